/* ddl_inside.h - the tokenizer and the parser's state, shared by ddl_lex.c, ddl_column.c and ddl.c only. */
#ifndef ROWTIDE_DDL_INSIDE_H
#define ROWTIDE_DDL_INSIDE_H

#include "ddl.h"

enum tok_kind {
    TOK_END,    /* of the text, or a semicolon: nothing behind it is read */
    TOK_WORD,   /* keyword or unquoted name */
    TOK_QUOTED, /* quoted name: never a keyword */
    TOK_STRING,
    TOK_NUMBER, /* decimal */
    TOK_BITS,   /* x'..', b'..', 0x.., 0b.. */
    TOK_CHAR    /* one other character */
};
struct tok {
    enum tok_kind kind;
    struct bytes raw; /* with its quotes */
};
struct lex {
    const uint8_t *p, *end;
    bool ansi_quotes, no_backslash;
    bool in_code_comment; /* inside an executable comment, whose end is skipped like a blank */
    enum tok_kind previous;
    const uint8_t *previous_end;
    bool after_dot; /* a digit now begins a name: t.1a */
};

struct lex lex_over(struct bytes sql, const struct ddl_context *ctx);
struct tok lex_next(struct lex *l);

struct parser {
    struct lex lx;
    struct tok t; /* the current token */
    const struct ddl_context *ctx;
    struct arena *arena;
    struct err *err;
    bool failed;             /* out of memory: the only failure. Every loop also ends then */
    struct ddl_clause spare; /* takes what is parsed into a clause that there was no memory for */
};

void step(struct parser *p);                       /* to the next token */
struct tok look(const struct parser *p);           /* the token behind the current one */
bool tok_is(struct tok t, const char *word);       /* that keyword, in any case */
bool tok_in(struct tok t, const char *words);      /* one of "A B C" */
bool tok_char(struct tok t, char c);               /* that single character */
bool at(const struct parser *p, const char *word); /* the current token is that keyword */
bool at_char(const struct parser *p, char c);
bool take(struct parser *p, const char *word); /* step over it if it is there */
bool take_char(struct parser *p, char c);
bool take_if_exists(struct parser *p);     /* IF EXISTS */
bool take_if_not_exists(struct parser *p); /* IF NOT EXISTS */
bool at_name(const struct parser *p);
struct bytes take_name(struct parser *p); /* unquoted, in the arena; empty if there is none */
/* Unquoted and unescaped, adjacent strings joined. The current token is a string. */
struct bytes take_string(struct parser *p);
void skip_parens(struct parser *p); /* the current token is '(': to behind its partner */
void skip_item(struct parser *p);   /* to the next ',' or ')' of this level, or the end */
struct bytes keep(struct parser *p, struct bytes b);
/* Room for one more element; the array moves inside the arena. */
void *grow(struct parser *p, void *array, unsigned n, size_t size);

/* "int unsigned not null default 5 after x" up to the next ',' or ')' of this level. c->name is set. */
void parse_column_definition(struct parser *p, struct ddl_clause *c);

#endif

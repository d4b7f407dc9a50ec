/* ddl_lex.c - tokens of MySQL's and MariaDB's SQL, and the small steps that the parser is made of.
 *
 * Rules: MySQL Reference Manual, "Lexical Structure" (names of [A-Za-z0-9_$] and everything beyond ASCII, a leading digit allowed
 * if not all are digits; "--" is a comment only before white space or at the end). Executable comments are read as code
 * whatever version they name: the server has already blanked those that it did not execute when it wrote the binlog. */
#include "ddl_inside.h"

static bool is_blank(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(uint8_t c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' || c >= 0x80;
}

struct lex lex_over(struct bytes sql, const struct ddl_context *ctx)
{
    static const uint8_t none;
    const uint8_t *p = sql.p == NULL ? &none : sql.p;
    return (struct lex){ .p = p,
                         .end = p + sql.n,
                         .ansi_quotes = ctx->ansi_quotes,
                         .no_backslash = ctx->no_backslash_escapes,
                         .previous = TOK_END };
}

static size_t left(const struct lex *l)
{
    return (size_t)(l->end - l->p);
}

static bool ahead(const struct lex *l, const char *s)
{
    size_t n = strlen(s);
    return left(l) >= n && memcmp(l->p, s, n) == 0;
}

static void skip_line(struct lex *l)
{
    const uint8_t *eol = memchr(l->p, '\n', left(l));
    l->p = eol == NULL ? l->end : eol + 1;
}

/* At a slash and a star. */
static void enter_comment(struct lex *l)
{
    size_t mark = ahead(l, "/*!") ? 3 : ahead(l, "/*M!") ? 4 : 0;
    if (mark != 0) {
        l->p += mark;
        for (int i = 0; i < 6 && left(l) != 0 && is_digit(*l->p); i++) /* the version */
            l->p++;
        l->in_code_comment = true;
        return;
    }
    for (l->p += 2; left(l) != 0; l->p++)
        if (ahead(l, "*/")) {
            l->p += 2;
            return;
        }
}

static void skip_blanks(struct lex *l)
{
    while (left(l) != 0) {
        if (is_blank(*l->p)) {
            l->p++;
        } else if (*l->p == '#') {
            skip_line(l);
        } else if (ahead(l, "--") && (left(l) == 2 || is_blank(l->p[2]) || l->p[2] < 0x20)) {
            skip_line(l);
        } else if (ahead(l, "/*")) {
            enter_comment(l);
        } else if (l->in_code_comment && ahead(l, "*/")) {
            l->in_code_comment = false;
            l->p += 2;
        } else {
            return;
        }
    }
}

/* At a quote; to behind its partner, or to the end. */
static void quoted(struct lex *l, bool backslash)
{
    uint8_t quote = *l->p++;
    while (left(l) != 0) {
        uint8_t c = *l->p++;
        if (c == '\\' && backslash && left(l) != 0) {
            l->p++;
        } else if (c == quote) {
            if (left(l) == 0 || *l->p != quote)
                return;
            l->p++;
        }
    }
}

/* At a digit, or at a dot before one. */
static enum tok_kind number(struct lex *l)
{
    if (ahead(l, "0x") || ahead(l, "0b")) {
        size_t good = 2, n = 2;
        bool hex = l->p[1] == 'x';
        for (; n < left(l) && is_word(l->p[n]); n++)
            good += hex ? memchr("0123456789abcdefABCDEF", l->p[n], 22) != NULL : l->p[n] == '0' || l->p[n] == '1';
        l->p += n;
        return good == n && n > 2 ? TOK_BITS : TOK_WORD;
    }
    while (left(l) != 0 && is_digit(*l->p))
        l->p++;
    bool dot = left(l) != 0 && *l->p == '.';
    if (dot)
        for (l->p++; left(l) != 0 && is_digit(*l->p);)
            l->p++;
    if (left(l) > 1 && (*l->p == 'e' || *l->p == 'E')) {
        const uint8_t *digits = l->p + 1;
        if (l->end - digits > 1 && (*digits == '+' || *digits == '-'))
            digits++;
        if (is_digit(*digits)) {
            while (digits < l->end && is_digit(*digits))
                digits++;
            if (digits == l->end || !is_word(*digits)) {
                l->p = digits;
                return TOK_NUMBER;
            }
        }
    }
    if (dot || left(l) == 0 || !is_word(*l->p))
        return TOK_NUMBER;
    while (left(l) != 0 && is_word(*l->p)) /* 1a is a name */
        l->p++;
    return TOK_WORD;
}

static enum tok_kind scan(struct lex *l)
{
    uint8_t c = *l->p;
    bool named = (l->previous == TOK_WORD || l->previous == TOK_QUOTED) && l->previous_end == l->p; /* not DEFAULT .5 */
    if (c == '`' || (c == '"' && l->ansi_quotes)) {
        quoted(l, false);
        return TOK_QUOTED;
    }
    if (c == '\'' || c == '"') {
        quoted(l, !l->no_backslash);
        return TOK_STRING;
    }
    if (left(l) > 1 && l->p[1] == '\'' && memchr("xXbBnN", c, 6) != NULL) {
        l->p++;
        quoted(l, !l->no_backslash);
        return c == 'n' || c == 'N' ? TOK_STRING : TOK_BITS;
    }
    if (!l->after_dot && (is_digit(c) || (c == '.' && left(l) > 1 && is_digit(l->p[1]) && !named)))
        return number(l);
    if (is_word(c)) {
        while (left(l) != 0 && is_word(*l->p))
            l->p++;
        return TOK_WORD;
    }
    l->p++;
    return TOK_CHAR;
}

struct tok lex_next(struct lex *l)
{
    skip_blanks(l);
    const uint8_t *begin = l->p;
    if (left(l) == 0 || *l->p == ';' || *l->p == '\0') {
        l->previous = TOK_END;
        return (struct tok){ TOK_END, { begin, 0 } };
    }
    enum tok_kind kind = scan(l);
    bool named = l->previous == TOK_WORD || l->previous == TOK_QUOTED;
    l->after_dot = named && kind == TOK_CHAR && *begin == '.';
    l->previous = kind;
    l->previous_end = l->p;
    return (struct tok){ kind, { begin, (size_t)(l->p - begin) } };
}

void step(struct parser *p)
{
    p->t = p->failed ? (struct tok){ TOK_END, { p->lx.end, 0 } } : lex_next(&p->lx);
}

struct tok look(const struct parser *p)
{
    struct lex copy = p->lx;
    return lex_next(&copy);
}

static bool same_word(struct bytes raw, const char *word, size_t n)
{
    if (raw.n != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        uint8_t c = raw.p[i];
        if (c >= 'a' && c <= 'z')
            c = (uint8_t)(c - ('a' - 'A'));
        if (c != (uint8_t)word[i])
            return false;
    }
    return true;
}

bool tok_is(struct tok t, const char *word)
{
    return t.kind == TOK_WORD && same_word(t.raw, word, strlen(word));
}

bool tok_in(struct tok t, const char *words)
{
    if (t.kind != TOK_WORD)
        return false;
    while (*words != '\0') {
        size_t n = strcspn(words, " ");
        if (same_word(t.raw, words, n))
            return true;
        words += n;
        words += *words == ' ';
    }
    return false;
}

bool tok_char(struct tok t, char c)
{
    return t.kind == TOK_CHAR && t.raw.p[0] == (uint8_t)c;
}

bool at(const struct parser *p, const char *word)
{
    return tok_is(p->t, word);
}

bool at_char(const struct parser *p, char c)
{
    return tok_char(p->t, c);
}

bool take(struct parser *p, const char *word)
{
    if (!at(p, word))
        return false;
    step(p);
    return true;
}

bool take_char(struct parser *p, char c)
{
    if (!at_char(p, c))
        return false;
    step(p);
    return true;
}

bool take_if_exists(struct parser *p)
{
    if (!at(p, "IF") || !tok_is(look(p), "EXISTS"))
        return false;
    step(p);
    step(p);
    return true;
}

bool take_if_not_exists(struct parser *p)
{
    if (!at(p, "IF") || !tok_is(look(p), "NOT"))
        return false;
    step(p);
    step(p);
    take(p, "EXISTS");
    return true;
}

struct bytes keep(struct parser *p, struct bytes b)
{
    struct bytes copy = { NULL, 0 };
    if (!p->failed && !arena_copy(p->arena, b, &copy, p->err))
        p->failed = true;
    return copy;
}

/* raw without its quotes: doubled ones become one, escapes are resolved where there are any. */
static struct bytes unquote(struct parser *p, struct bytes raw, bool backslash)
{
    const uint8_t *s = raw.p;
    const uint8_t *end = raw.p + raw.n;
    if (*s == 'n' || *s == 'N') /* N'..' */
        s++;
    uint8_t quote = *s++;
    uint8_t *out = p->failed ? NULL : arena_alloc(p->arena, raw.n, p->err);
    if (out == NULL) {
        p->failed = true;
        return (struct bytes){ NULL, 0 };
    }
    size_t n = 0;
    while (s < end) {
        uint8_t c = *s++;
        if (c == quote) {
            if (s == end || *s != quote)
                break;
            s++;
        } else if (c == '\\' && backslash && s < end) {
            static const char from[] = "0bnrtZ", to[] = "\0\b\n\r\t\x1a";
            const char *special = memchr(from, *s, sizeof from - 1);
            if (*s == '%' || *s == '_') /* kept, for LIKE */
                out[n++] = '\\';
            c = special != NULL ? (uint8_t)to[special - from] : *s;
            s++;
        }
        out[n++] = c;
    }
    return (struct bytes){ out, n };
}

bool at_name(const struct parser *p)
{
    return p->t.kind == TOK_WORD || p->t.kind == TOK_QUOTED;
}

struct bytes take_name(struct parser *p)
{
    struct bytes name = { NULL, 0 };
    if (p->t.kind == TOK_WORD)
        name = keep(p, p->t.raw);
    else if (p->t.kind == TOK_QUOTED)
        name = unquote(p, p->t.raw, false);
    else
        return name;
    step(p);
    return name;
}

struct bytes take_string(struct parser *p)
{
    struct bytes whole = unquote(p, p->t.raw, !p->ctx->no_backslash_escapes);
    step(p);
    while (p->t.kind == TOK_STRING && !p->failed) { /* 'a' 'b' is one string */
        struct bytes part = unquote(p, p->t.raw, !p->ctx->no_backslash_escapes);
        uint8_t *joined = p->failed ? NULL : arena_alloc(p->arena, whole.n + part.n + 1, p->err);
        if (joined == NULL) {
            p->failed = true;
            break;
        }
        if (whole.n != 0)
            memcpy(joined, whole.p, whole.n);
        if (part.n != 0)
            memcpy(joined + whole.n, part.p, part.n);
        whole = (struct bytes){ joined, whole.n + part.n };
        step(p);
    }
    return whole;
}

void skip_parens(struct parser *p)
{
    size_t depth = 0;
    do {
        if (at_char(p, '('))
            depth++;
        else if (at_char(p, ')'))
            depth--;
        step(p);
    } while (depth != 0 && p->t.kind != TOK_END);
}

void skip_item(struct parser *p)
{
    while (p->t.kind != TOK_END && !at_char(p, ',') && !at_char(p, ')')) {
        if (at_char(p, '('))
            skip_parens(p);
        else
            step(p);
    }
}

void *grow(struct parser *p, void *array, unsigned n, size_t size)
{
    if (n != 0 && (n & (n - 1)) != 0) /* full only at powers of two */
        return array;
    void *bigger = p->failed ? NULL : arena_zalloc(p->arena, (n == 0 ? 1 : (size_t)n * 2) * size, p->err);
    if (bigger == NULL) {
        p->failed = true;
        return NULL;
    }
    if (n != 0)
        memcpy(bigger, array, n * size);
    return bigger;
}

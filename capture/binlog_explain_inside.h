/* binlog_explain_inside.h - private to binlog_explain.c (headers, the small events), explain_query.c (statements and
 * what belongs to them) and explain_rows.c (TABLE_MAP and rows): the state, and how a field is written. */
#ifndef ROWTIDE_BINLOG_EXPLAIN_INSIDE_H
#define ROWTIDE_BINLOG_EXPLAIN_INSIDE_H

#include "binlog_explain.h"
#include "payload.h"
#include "row_event.h"
#include "table_map.h"

struct shown_table { /* what is to be said about a table besides its definition */
    uint64_t id;
    struct table_map_missing missing;
    uint8_t *real_types; /* owned; NULL: nothing is missing */
    unsigned ncols;
};

struct binlog_explain {
    struct binlog_explain_options o;
    struct binlog_format fmt;
    struct table_defs *defs;
    struct arena *arena; /* of one row */
    struct payload *payload;
    struct buf scratch, text;
    struct shown_table *tables; /* of the running statement */
    size_t ntables;
    uint64_t problems;
    struct buf *out;
    unsigned indent;
};

/* Fields of the event whose header was written. Keys are lower_case. */
void explain_text(struct binlog_explain *x, const char *key, struct bytes v); /* quoted; not UTF-8: as U+FFFD */
void explain_word(struct binlog_explain *x, const char *key, const char *v);  /* not quoted in text */
void explain_u64(struct binlog_explain *x, const char *key, uint64_t v);
void explain_hex(struct binlog_explain *x, const char *key, struct bytes v); /* its beginning, and how long it is */
void explain_problem(struct binlog_explain *x, const char *what);
void explain_indent(struct binlog_explain *x);
/* "key": or "key: " in front of a value that the caller writes; in text it must end with a newline. */
void explain_key(struct binlog_explain *x, const char *key);

/* Each writes the fields; false with err for what cannot be decoded. */
bool explain_query(struct binlog_explain *x, const struct binlog_event *e, struct err *err);
bool explain_load_query(struct binlog_explain *x, const struct binlog_event *e, struct err *err);
bool explain_intvar(struct binlog_explain *x, const struct binlog_event *e, struct err *err);
bool explain_rand(struct binlog_explain *x, const struct binlog_event *e, struct err *err);
bool explain_user_var(struct binlog_explain *x, const struct binlog_event *e, struct err *err);
bool explain_table_map(struct binlog_explain *x, const struct binlog_event *e, struct err *err);
bool explain_rows(struct binlog_explain *x, const struct binlog_event *e, struct err *err);
/* Only what later rows need. */
bool explain_learn_table(struct binlog_explain *x, const struct binlog_event *e, const struct table_def **def,
                         struct shown_table **shown, struct err *err);
void explain_end_statement(struct binlog_explain *x);

#endif

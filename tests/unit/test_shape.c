/* test_shape.c - interning: equal shapes are one object, different ones are not, the relation's own shape is found. */
#include "script_unit.h"

#include "shape.h"

static const struct shape *make(struct shape_table *t, const struct relation *r, const char *schema, const char *table,
                                const char *cols, unsigned nkey)
{
    struct shape_col c[16];
    uint16_t key[2] = { 0, 1 };
    char copy[200], *save = NULL;
    unsigned n = 0;
    struct err err = { 0 };
    snprintf(copy, sizeof copy, "%s", cols);
    for (char *p = strtok_r(copy, " ", &save); p != NULL; p = strtok_r(NULL, " ", &save), n++) {
        int at = relation_column(r, bytes_str(p));
        c[n] = (struct shape_col){ .name = bytes_str(p) };
        if (at >= 0)
            c[n].type = r->cols[at];
    }
    const struct shape *s = shape_intern(t, bytes_str(schema), bytes_str(table), c, n, key, nkey, r, &err);
    CHECK(s != NULL, "%s", err.msg);
    return s;
}

int main(void)
{
    struct err err = { 0 };
    struct shape_table *t = shape_table_new();
    struct relation *r = script_relation("shop.users id:int:k st:enum name:varchar");
    struct relation *again = script_relation("shop.users id:int:k st:enum name:varchar");
    struct relation *other = script_relation("shop.users id:bigint:k st:enum name:varchar");
    const struct shape *own = shape_of_relation(t, r, &err);

    CHECK(own != NULL && own->original && own->rel == r && own->ncols == 3 && own->nkey == 1, "own shape");
    CHECK(shape_of_relation(t, r, &err) == own, "found again");
    CHECK(shape_of_relation(t, again, &err) == own, "an equal definition is the same shape");
    CHECK(shape_of_relation(t, other, &err) != own, "another definition is another shape");
    CHECK(make(t, r, "shop", "users", "id st name", 1) == own, "interned to the relation's own");

    const struct shape *a = make(t, r, "crm", "users", "id st name", 1);
    CHECK(a != own && !a->original && a->id != own->id && strcmp(a->schema, "crm") == 0, "another schema");
    CHECK(make(t, r, "crm", "users", "id st name", 1) == a, "equal shapes are one object");
    CHECK(make(t, r, "crm", "people", "id st name", 1) != a, "another table");
    CHECK(make(t, r, "crm", "users", "id st", 1) != a, "fewer columns");
    CHECK(make(t, r, "crm", "users", "id name st", 1) != a, "another order");
    CHECK(make(t, r, "crm", "users", "id st extra", 1) != a, "another name");
    CHECK(make(t, r, "crm", "users", "id st name", 2) != a, "another key");
    CHECK(make(t, r, "crm", "users", "id st name", 0) != a, "no key");
    CHECK(make(t, r, "crm", "users", "id x", 1)->cols[1].type.type == 0, "a script's column has no source type");
    CHECK(a->cols[1].type.nlabels == 3 && bytes_eq_str(a->cols[1].type.labels[1], "paid"), "labels");

    const struct shape *none = shape_intern(t, BYTES_LIT("shop"), BYTES_LIT("users"), NULL, 0, NULL, 0, NULL, &err);
    CHECK(none != NULL && none->rel == NULL && none->ncols == 0 && !none->original, "a shape without relation");

    /* growth: many shapes keep their places */
    for (int round = 0; round < 2; round++) {
        static const struct shape *seen[500];
        for (int i = 0; i < 500; i++) {
            char name[20];
            snprintf(name, sizeof name, "t%d", i);
            const struct shape *s = make(t, r, "many", name, "id name", 1);
            CHECK(round == 0 || s == seen[i], "shape %d moved", i);
            seen[i] = s;
        }
    }
    /* shapes outlive the references of those who made them */
    relation_unref(r);
    relation_unref(again);
    relation_unref(other);
    CHECK(bytes_eq_str(own->rel->table, "users") && bytes_eq_str(own->cols[1].type.labels[0], "new"), "relation kept");

    struct shape_table *small = shape_table_new();
    bool refused = false;
    for (int i = 0; i < 60000 && !refused; i++) {
        char name[20];
        snprintf(name, sizeof name, "t%d", i);
        refused = shape_intern(small, BYTES_LIT("s"), bytes_str(name), NULL, 0, NULL, 0, NULL, &err) == NULL;
    }
    CHECK(refused && strstr(err.msg, "row values") != NULL, "the number of shapes is bounded");
    shape_table_free(small);
    shape_table_free(t);
    return UNIT_END();
}

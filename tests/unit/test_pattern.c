/* test_pattern.c - table lists of publications. */
#include "unit.h"

#include "pattern.h"

int main(void)
{
    static const struct {
        const char *list, *schema, *table;
        bool match, any; /* any: some table of the schema may match */
    } cases[] = {
        { NULL, "shop", "orders", true, true },
        { "", "shop", "orders", true, true },
        { " , ", "shop", "orders", true, true },
        { "", "mysql", "user", false, false },
        { "*.*", "mysql", "user", false, false },
        { "m*.*", "mysql", "user", false, false },
        { "mysql.*", "mysql", "user", true, true },
        { "sys.x", "sys", "x", true, true },
        { "shop.*", "shop", "orders", true, true },
        { "shop.*", "crm", "orders", false, false },
        { "shop.*,crm.customers,!shop.audit_*", "shop", "audit_1", false, true },
        { "shop.*,crm.customers,!shop.audit_*", "shop", "audit", true, true },
        { "shop.*,crm.customers,!shop.audit_*", "crm", "customers", true, true },
        { "shop.*,crm.customers,!shop.audit_*", "crm", "customers2", false, true },
        { "!shop.audit_*", "shop", "orders", true, true },
        { "!shop.audit_*", "shop", "audit_9", false, true },
        { "!shop.*", "shop", "x", false, false },
        { "!shop.*", "mysql", "user", false, false },
        { "!shop.*,shop.x", "shop", "x", true, true },
        { "!shop.*,shop.x", "crm", "y", true, true },
        { "shop.*,!shop.*,shop.keep", "shop", "keep", true, true },
        { "shop.*,!*.*", "shop", "keep", false, false },
        { "*.*,!mysql.*,mysql.user", "mysql", "user", true, true },
        { "Shop.Orders", "shop", "orders", false, false },
        { "sh?p.o*s", "shop", "orders", true, true },
        { "sh?p.o*s", "sh\xc3\xb6p", "os", true, true },
        { "shop.a*b*c", "shop", "a1b2bc", true, true },
        { "shop.a*b*c", "shop", "a1b2b", false, true },
        { "shop.a\\*", "shop", "a*", true, true },
        { "shop.a\\*", "shop", "ab", false, true },
        { "my\\.db.t.x", "my.db", "t.x", true, true },
        { "shop.a\\,b , shop.c", "shop", "a,b", true, true },
        { "shop.a\\,b , shop.c", "shop", "c", true, true },
        { "shop.orders\n,\nshop.items", "shop", "items", true, true },
        { "shop.x\\ ", "shop", "x ", true, true },
        { "\\!x.*", "!x", "t", true, true },
        { "shop.**", "shop", "", true, true },
        { "shop.?", "shop", "", false, true },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pattern *p = NULL;
        struct err e = { 0 };
        bool ok = pattern_parse(cases[i].list, &p, &e);
        CHECK(ok, "\"%s\": %s", cases[i].list, e.msg);
        if (!ok)
            continue;
        CHECK(pattern_match(p, bytes_str(cases[i].schema), bytes_str(cases[i].table)) == cases[i].match,
              "case %zu \"%s\": %s.%s", i, cases[i].list, cases[i].schema, cases[i].table);
        CHECK(pattern_match_schema(p, bytes_str(cases[i].schema)) == cases[i].any, "case %zu \"%s\": schema %s", i,
              cases[i].list, cases[i].schema);
        pattern_free(p);
    }
    static const char *const bad[] = { "shop", "shop.", ".orders", "!", "!shop", "shop.x\\", "a.b,c", "." };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct pattern *p = NULL;
        struct err e = { 0 };
        CHECK(!pattern_parse(bad[i], &p, &e) && p == NULL && e.code == ERR_CONFIG && e.msg[0] != 0, "accepted \"%s\"",
              bad[i]);
    }
    pattern_free(NULL);
    return UNIT_END();
}

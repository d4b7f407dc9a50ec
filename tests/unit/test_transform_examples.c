/* test_transform_examples.c - the scripts under transforms/ do what their README.md says. */
#include "script_unit.h"

#include "file.h"

#include <fcntl.h>

#define PEOPLE "shop.people id:int:k email:varchar phone:varchar birthday:date password:varchar"
#define CONTACTS "crm.contacts id:int:k full_name:varchar city:varchar"
#define ORDERS "shop.orders id:int:k status:varchar amount:decimal note:varchar"
#define MASK "mask_pii/mask_pii.lua"
#define SPLIT "split_name/split_name.lua"
#define AUDIT "audit_log/audit_log.lua"

static const struct {
    const char *script, *table, *change, *want;
} cases[] = {
    { MASK, PEOPLE, "+ 1|Jane.Doe@Example.org|+49 (171) 23456-89|1980-05-17|secret",
      "insert shop.people[id]: id=1 email=J***@example.org phone=**********89 birthday=1980-01-01" },
    { MASK, PEOPLE, "+ 1|nonsense|NULL|NULL|NULL", "insert shop.people[id]: id=1 email=*** phone=NULL birthday=NULL" },
    { MASK, PEOPLE, "~ 1|~|~|~|~ => ~|a@b.c|~|~|x", "update shop.people[id]: id=1 => id=1 email=a***@b.c" },
    { MASK, "shop.tags id:int:k tag:varchar", "+ 1|x", "insert shop.tags[id]: id=1 tag=x" },
    { SPLIT, CONTACTS, "+ 1|Ada Lovelace|London",
      "insert crm.contacts[id]: id=1 city=London given_name=Ada family_name=Lovelace" },
    { SPLIT, CONTACTS, "+ 1|Lovelace, Ada|London",
      "insert crm.contacts[id]: id=1 city=London given_name=Ada family_name=Lovelace" },
    { SPLIT, CONTACTS, "+ 1|  Jan van der Berg |x",
      "insert crm.contacts[id]: id=1 city=x given_name=Jan van der family_name=Berg" },
    { SPLIT, CONTACTS, "+ 1|Plato|x", "insert crm.contacts[id]: id=1 city=x given_name=NULL family_name=Plato" },
    { SPLIT, CONTACTS, "+ 1|NULL|x", "insert crm.contacts[id]: id=1 city=x given_name=NULL family_name=NULL" },
    { SPLIT, CONTACTS, "~ 1|~|~ => ~|~|y", "update crm.contacts[id]: id=1 => id=1 city=y" },
    { SPLIT, "crm.other id:int:k", "+ 1", "(not wanted)" },
    { AUDIT, ORDERS, "+ 7|new|12.50|NULL",
      "insert shop.orders[id]: id=7 status=new amount=12.50 note=NULL; *insert audit.orders_log[log_lsn]: "
      "log_at=2024-02-29 10:11:12.123456 log_key=7 log_lsn=42 log_op=insert log_row={\"id\": 7, \"note\": null, "
      "\"amount\": \"12.50\", \"status\": \"new\"} log_old=NULL" },
    { AUDIT, ORDERS, "~ 7|new|12.50|a => 7|new|12.50|b",
      "update shop.orders[id]: id=7 status=new amount=12.50 note=a => id=7 status=new amount=12.50 note=b" },
    { AUDIT, ORDERS, "~ 7|new|12.50|a => 7|paid|12.50|a",
      "update shop.orders[id]: id=7 status=new amount=12.50 note=a => id=7 status=paid amount=12.50 note=a; *insert "
      "audit.orders_log[log_lsn]: log_at=2024-02-29 10:11:12.123456 log_key=7 log_lsn=42 log_op=update "
      "log_row={\"id\": 7, \"note\": \"a\", \"amount\": \"12.50\", \"status\": \"paid\"} log_old={\"id\": 7, \"note\": "
      "\"a\", \"amount\": \"12.50\", \"status\": \"new\"}" },
};

int main(void)
{
    struct buf got = { 0 };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[200];
        struct err err = { 0 };
        struct buf script = { 0 };
        snprintf(path, sizeof path, "../transforms/%s", cases[i].script); /* tests run in tests/ */
        CHECK(file_read(AT_FDCWD, path, 1 << 20, &script, &err), "%s", err.msg);
        script_run(buf_cstr(&script), cases[i].table, cases[i].change, &got);
        CHECK(strcmp(buf_cstr(&got), cases[i].want) == 0, "%s, %s:\n  want %s\n  got  %s", path, cases[i].change,
              cases[i].want, buf_cstr(&got));
        buf_free(&script);
    }
    buf_free(&got);
    return UNIT_END();
}

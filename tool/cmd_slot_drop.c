/* cmd_slot_drop.c - rowtide slot drop: the explicit end of a subscription's registration; retention no longer waits for it. */
#include "tool.h"

#include <stdio.h>

struct drop_options {
    const char *name;
    bool json;
};
static const struct opt options[] = {
    { "name", "SUBSCRIPTION", NULL, "which one", OPT_STR, offsetof(struct drop_options, name), NULL },
    { "json", NULL, NULL, "answer as JSON", OPT_FLAG, offsetof(struct drop_options, json), NULL },
    { 0 },
};
static const struct opt_program program = {
    .name = "rowtide slot drop",
    .synopsis = "DIR --name SUBSCRIPTION",
    .about = "Ends a subscription's registration: segments are no longer kept for it. Stop its applier first: a "
             "running one registers it again. Its progress row at the "
             "destination stays.",
    .epilog = "Exit codes: 0 dropped, 1 there is no such subscription.",
    .opts = options,
    .min_args = 1,
    .max_args = 1,
};

int cmd_slot_drop(int argc, char **argv)
{
    struct drop_options o = { 0 };
    struct opt_list args = { 0 };
    struct err err = { 0 };
    struct slot *slot = NULL;
    bool found = false;
    int code = 0;
    if (!tool_parse(&program, argc, argv, &o, &args, &code))
        return code;
    bool ok = o.name != NULL || err_set(&err, ERR_CONFIG, "--name is missing: which subscription?");
    ok = ok && (slot_sub_name_ok(o.name) || err_set(&err, ERR_CONFIG, "%s cannot be a subscription's name", o.name));
    ok = ok && slot_open(args.v[0], SLOT_READ, &slot, &err) && slot_sub_drop(slot, o.name, &found, &err);
    if (!ok) {
        code = tool_fail(&program, &err);
    } else {
        if (o.json)
            printf("{\"name\":\"%s\",\"dropped\":%s}\n", o.name, found ? "true" : "false");
        else
            printf(found ? "subscription %s is dropped\n" : "there is no subscription %s\n", o.name);
        code = found ? 0 : 1;
    }
    slot_close(slot);
    opts_free(&program, &o, &args);
    return code;
}

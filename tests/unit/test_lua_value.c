/* test_lua_value.c - values between rows and Lua: every column type there and back, what is refused, decimals,
 * temporals, JSON. */
#include "script_unit.h"

/* A column's value through `c.row.v = EXPR` (v the value before): its text after, "!why" refused. */
static const struct {
    const char *type, *value, *expr, *want;
} columns[] = {
    { "int", "5", "v", "5" },
    { "int", "5", "v + 1", "6" },
    { "int", "5", "nil", "NULL" },
    { "int", "NULL", "v == nil and 1 or 2", "1" },
    { "int", "5", "7.0", "7" },
    { "int", "5", "7.5", "!7.5 is not an integer" },
    { "int", "5", "'7'", "!a string does not fit int" },
    { "int", "5", "true", "1" },
    { "int", "5", "decimal '8.0'", "8" },
    { "int", "5", "decimal '8.5'", "!not an integer" },
    { "int", "5", "{}", "!a table does not fit int" },
    { "int", "5", "1 << 31", "!2147483648 is out of range for int" },
    { "int", "5", "-(1 << 31)", "-2147483648" },
    { "tiny", "5", "-128", "-128" },
    { "tiny", "5", "-129", "!-129 is out of range for tinyint" },
    { "utiny", "5", "255", "255" },
    { "utiny", "5", "-1", "!out of range" },
    { "bigint", "9223372036854775807", "v", "9223372036854775807" },
    { "bigint", "-9223372036854775808", "v", "-9223372036854775808" },
    { "bigint", "9007199254740993", "v - 1", "9007199254740992" },
    { "ubigint", "18446744073709551615", "v", "18446744073709551615" },
    { "ubigint", "18446744073709551615", "v - 1", "18446744073709551614" },
    { "ubigint", "9223372036854775807", "v - 7", "9223372036854775800" },
    { "ubigint", "9223372036854775808", "tostring(v) == '9223372036854775808' and v or 0", "9223372036854775808" },
    { "ubigint", "18446744073709551615", "v + 1", "!not an integer of 64 bits" },
    { "double", "1.5", "v * 2", "3" },
    { "double", "1.5", "3", "3" },
    { "double", "1.5", "(1 << 53) + 1", "!more digits than a double" },
    { "double", "1.5", "0/0", "!nan cannot be stored" },
    { "double", "1.5", "decimal '1'", "!use :tonumber()" },
    { "float", "0.1", "v", "0.1" },
    { "float", "0.1", "0.2", "0.2" },
    { "float", "0.1", "1e39", "!out of range for float" },
    { "decimal", "12.30", "v", "12.30" },
    { "decimal", "12.30", "v + 1", "13.30" },
    { "decimal", "12.30", "v * 3", "36.90" },
    { "decimal", "12.30", "v * decimal '0.5'", "6.15" },
    { "decimal", "12.30", "v * decimal '1.19'", "!more than 2 digits behind the point: use :round(2)" },
    { "decimal", "12.30", "(v * decimal '1.19'):round(2)", "14.64" },
    { "decimal", "12.30", "7", "7.00" },
    { "decimal", "12.30", "1.5", "!for it is not exact" },
    { "decimal", "12.30", "'1.5'", "!use decimal(text)" },
    { "decimal", "12.30", "decimal '123456789'", "!out of range for decimal(10,2)" },
    { "decimal", "-0.05", "v", "-0.05" },
    { "bigdecimal", "123456789012345678901234567890123456.7890", "v", "123456789012345678901234567890123456.7890" },
    { "bigdecimal", "123456789012345678901234567890123456.7890", "v + decimal '0.0001'",
      "123456789012345678901234567890123456.7891" },
    { "date", "2024-02-29", "v", "2024-02-29" },
    { "date", "0000-00-00", "v", "0000-00-00" },
    { "date", "2024-00-00", "v", "2024-00-00" },
    { "date", "2024-02-29", "v:add_days(1)", "2024-03-01" },
    { "date", "2024-02-29", "'2025-01-31'", "2025-01-31" },
    { "date", "2024-02-29", "'2025-02-29'", "!not of the form" },
    { "date", "2024-02-29", "now()", "!an instant does not fit date: use :to_date()" },
    { "date", "2024-02-29", "now():to_date()", "2024-02-29" },
    { "time", "-838:59:59.999", "v", "-838:59:59.999" },
    { "time", "10:11:12.500", "v + duration '0:00:00.5'", "10:11:13.000" },
    { "time", "10:11:12.500", "v * 100", "!out of range for time" },
    { "time", "10:11:12.500", "duration '0:00:00.0001'", "!more than the column's 3 digits" },
    { "datetime", "2024-02-29 10:11:12", "v", "2024-02-29 10:11:12" },
    { "datetime", "2024-02-29 10:11:12", "v + duration(86400)", "2024-03-01 10:11:12" },
    { "datetime", "2024-02-29 10:11:12", "now()", "!use :to_datetime()" },
    { "datetime", "2024-02-29 10:11:12", "now():to_datetime()", "!more than the column's 0 digits" },
    { "datetime", "0000-00-00 00:00:00", "v", "0000-00-00 00:00:00" },
    { "timestamp", "2024-02-29 10:11:12.5", "v", "2024-02-29 10:11:12.500000" },
    { "timestamp", "2024-02-29 10:11:12.5", "now()", "2024-02-29 10:11:12.123456" },
    { "timestamp", "2024-02-29 10:11:12.5", "instant(0)", "0000-00-00 00:00:00.000000" },
    { "year", "2024", "v + 1", "2025" },
    { "year", "2024", "1800", "!out of range" },
    { "varchar", "été", "v .. '!'", "été!" },
    { "varchar", "été", "v:sub(1, 1)", "!not valid UTF-8" },
    { "varchar", "x", "5", "!an integer does not fit varchar" },
    { "varchar", "x", "''", "" },
    { "blob", "x", "'\\0\\255'", "" }, /* printed up to its NUL below */
    { "bit", "5", "v | 8", "13" },
    { "bit", "5", "4096", "!out of range" },
    { "bit64", "18446744073709551615", "v", "18446744073709551615" },
    { "enum", "1", "v == 'new' and 'sent' or 'paid'", "sent" },
    { "enum", "0", "v == '' and 'new'", "new" },
    { "enum", "1", "''", "" },
    { "enum", "1", "2", "!assign a label" },
    { "set", "5", "v == 'new,sent' and 'paid,sent'", "paid,sent" },
    { "set", "5", "''", "" },
    { "set", "5", "'new,nix'", "!\"nix\" is none of its labels" },
    { "json", "{\"a\": 1}", "v", "{\"a\": 1}" },
    { "json", "{\"a\": 1}", "{ b = json.array(), a = json.null }", "{\"a\": null, \"b\": []}" },
    { "json", "{\"a\": 1}", "'{'", "!the string is not JSON: expected a member name at byte 2" },
    { "json", "{\"a\": 1}", "json.encode 'x'", "\"x\"" },
    { "json", "{\"a\": 1}", "1", "!use json.encode()" },
    { "geometry", "123456789", "v", "123456789" },
    { "geometry", "123456789", "'x'", "!no SRID" },
    { "vector", "abcd", "v .. v", "abcdabcd" },
    { "vector", "abcd", "'abc'", "!no array of float32" },
};

static void column_values(void)
{
    struct buf got = { 0 };
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        char table[100], change[300], script[500];
        snprintf(table, sizeof table, "s.t v:%s", columns[i].type);
        snprintf(change, sizeof change, "+ %s", columns[i].value);
        snprintf(script, sizeof script, "function transform(c) local v = c.row.v c.row.v = %s end", columns[i].expr);
        script_run(script, table, change, &got);
        const char *g = buf_cstr(&got), *w = columns[i].want, *head = "insert s.t[]: v=";
        bool same = w[0] == '!' ? g[0] == '!' && strstr(g, w + 1) != NULL
                                : strncmp(g, head, strlen(head)) == 0 && strcmp(g + strlen(head), w) == 0;
        CHECK(same, "%s %s: %s: want %s, got %s", columns[i].type, columns[i].value, columns[i].expr, w, g);
    }
    buf_free(&got);
}

/* An added column: what kind of value it becomes. */
static const struct {
    const char *expr;
    uint8_t kind; /* VAL_SAME: refused */
    const char *text;
} added[] = {
    { "1", VAL_I64, "1" },
    { "1.5", VAL_F64, "1.5" },
    { "true", VAL_I64, "1" },
    { "nil", VAL_NULL, "NULL" },
    { "'x'", VAL_TEXT, "x" },
    { "'\\255x'", VAL_BYTES, "\xffx" },
    { "decimal '1.50'", VAL_DEC64, "1.50" },
    { "decimal '1234567890123456789012.5'", VAL_DECIMAL, "1234567890123456789012.5" },
    { "date '2024-02-29'", VAL_DATE, "2024-02-29" },
    { "duration '1:00:00'", VAL_TIME, "01:00:00" },
    { "datetime '2024-02-29 10:11:12'", VAL_DATETIME, "2024-02-29 10:11:12" },
    { "now()", VAL_INSTANT, "2024-02-29 10:11:12.123456" },
    { "{}", VAL_SAME, "" },
    { "print", VAL_SAME, "" },
    { "DROP", VAL_SAME, "" },
    { "c", VAL_SAME, "" },
    { "0/0", VAL_SAME, "" },
};

static void added_values(void)
{
    struct relation *r = script_relation("s.t v:int");
    for (size_t i = 0; i < sizeof added / sizeof *added; i++) {
        struct err err = { 0 };
        char script[300];
        snprintf(script, sizeof script, "function transform(c) c:add('x', %s) end", added[i].expr);
        struct shape_table *shapes = shape_table_new();
        struct lua_host *h = NULL;
        struct lua_host_options o = { 0 };
        struct batch *b = batch_new();
        struct frame_builder *fb = frame_builder_new();
        struct buf text = { 0 };
        frame_builder_reset(fb, 1, true);
        script_add(fb, r, "+ 1", &err);
        struct frame *f = script_frame(fb, &err);
        struct batch_txn *txn = batch_add_txn(b, &err);
        txn->commit_us = INT64_C(1709201472123456);
        struct lua_change c = { frame_record(f, 0), txn };
        bool ok = lua_host_open("t.lua", script, &o, shapes, &h, &err) && lua_host_change(h, &c, b, &err);
        CHECK(ok == (added[i].kind != VAL_SAME), "%s: %s", added[i].expr, ok ? "accepted" : err.msg);
        if (ok && b->nrows == 1) {
            val_text(&b->rows[0].new_row[1], &text);
            CHECK(b->rows[0].new_row[1].kind == added[i].kind && strcmp(buf_cstr(&text), added[i].text) == 0,
                  "%s: got %s %s", added[i].expr, val_kind_name(b->rows[0].new_row[1].kind), buf_cstr(&text));
            CHECK(b->rows[0].shape->cols[1].type.type == 0, "an added column has no source type");
        }
        buf_free(&text);
        batch_free(b);
        lua_host_close(h);
        frame_unref(f);
        frame_builder_free(fb);
        shape_table_free(shapes);
    }
    relation_unref(r);
}

/* Expressions that must be true, or "!error" that they must raise. */
static const struct {
    const char *expr, *want;
} facts[] = {
    /* decimals */
    { "tostring(decimal '1.20') == '1.20'", "" },
    { "tostring(decimal '-0.05') == '-0.05' and tostring(decimal '.5') == '0.5' and tostring(decimal '007') == '7'",
      "" },
    { "tostring(decimal '1.20' + decimal '0.8') == '2.00'", "" },
    { "tostring(decimal '1' - decimal '1.001') == '-0.001'", "" },
    { "tostring(decimal '99999999999999999999' * decimal '99999999999999999999') == "
      "'9999999999999999999800000000000000000001'",
      "" },
    { "tostring(decimal '0.1' + decimal '0.2') == '0.3'", "" },
    { "tostring(5 - decimal '0.5') == '4.5'", "" },
    { "tostring(-decimal '2.50') == '-2.50' and tostring(-decimal '0.0') == '0.0'", "" },
    { "decimal '1.0' == decimal '1.00' and decimal '1.0' < decimal '1.01' and decimal '-2' < decimal '-1.5'", "" },
    { "decimal '2' > 1 and 3 >= decimal '3.0' and decimal '3':eq(3)", "" },
    { "tostring(decimal '2.345':round(2)) == '2.35' and tostring(decimal '-2.345':round(2)) == '-2.35'", "" },
    { "tostring(decimal '2.344999':round(2)) == '2.34' and tostring(decimal '9.99':round(1)) == '10.0'", "" },
    { "tostring(decimal '0.4':round()) == '0' and tostring(decimal '0.5':round()) == '1' and tostring(decimal "
      "'7':round(2)) == '7.00'",
      "" },
    { "tostring(decimal '123456789123456789.123456789123456789':round(9)) == '123456789123456789.123456789'", "" },
    { "decimal '1.5':tonumber() == 1.5 and decimal '3.0':tointeger() == 3 and decimal '3.5':tointeger() == nil", "" },
    { "decimal '1.50':scale() == 2 and tostring(decimal '-1':abs()) == '1'", "" },
    { "decimal(5) == decimal '5' and decimal(math.mininteger) == decimal '-9223372036854775808'", "" },
    { "decimal '1' + 0.5", "!would not be exact" },
    { "decimal '1' / 2", "!decimals are not divided" },
    { "decimal '1' < 'x'", "!comparison of a decimal and a string" },
    { "decimal(1.5)", "!the float's error" },
    { "decimal '1.2.3'", "!not that text" },
    { "decimal ''", "!not that text" },
    { "decimal(('9'):rep(201))", "!not that text" },
    { "decimal(('9'):rep(200)) * 10", "!too many digits" },
    { "decimal(('9'):rep(108)) * decimal(('9'):rep(108))", "!too many digits" },
    { "decimal(('9'):rep(200)) > decimal(('0.' .. ('0'):rep(99) .. '1'))", "" },
    { "decimal('0.' .. ('0'):rep(99) .. '1') < decimal(('9'):rep(200))", "" },
    { "decimal '1'.foo == nil", "" },
    /* temporals */
    { "date '2024-02-29'.year == 2024 and date '2024-02-29'.month == 2 and date '2024-02-29'.day == 29", "" },
    { "datetime '2024-02-29 10:11:12.5'.usec == 500000 and tostring(datetime '2024-02-29T10:11:12.5') == '2024-02-29 "
      "10:11:12.5'",
      "" },
    { "instant '2024-02-29T10:11:12Z'.epoch == 1709201472 and instant(1709201472) == instant '2024-02-29 10:11:12'",
      "" },
    { "instant '1969-12-31T23:59:59.5Z'.epoch == -1 and instant '1969-12-31T23:59:59.5Z'.epoch_us == -500000", "" },
    { "tostring(date '2024-02-29' + duration(86400)) == '2024-03-01'", "" },
    { "date '2024-02-29' + duration(1)", "!whole days" },
    { "tostring(datetime '2024-03-01 00:00:00' - datetime '2024-02-28 00:00:00') == '48:00:00'", "" },
    { "(instant '2024-03-01T00:00:00Z' - instant '2024-02-29T00:00:00Z').us == 86400000000", "" },
    { "tostring(instant '2024-02-29T00:00:00Z' - duration '0:00:00.000001') == '2024-02-28 23:59:59.999999'", "" },
    { "duration '-1:30:15'.hours == 1 and duration '-1:30:15'.min == 30 and duration '-1:30:15'.us == -5415000000",
      "" },
    { "tostring(-duration '1:00:00') == '-01:00:00' and tostring(2 * duration '1:00:00') == '02:00:00'", "" },
    { "date '2024-01-01' < date '2024-01-02' and duration '2:00:00' >= duration '1:59:59'", "" },
    { "date '2024-01-01' < now()", "!attempt to compare date with instant" },
    { "date '2024-01-01' ~= datetime '2024-01-01 00:00:00'", "" },
    { "date '0000-00-00'.is_zero and date '2024-00-01'.is_zero and not date '2024-01-01'.is_zero", "" },
    { "date '0000-00-00' + duration(86400)", "!cannot be calculated with" },
    { "date '0000-00-00':to_instant()", "!is no instant" },
    { "datetime '2024-02-29 10:11:12':to_date() == date '2024-02-29'", "" },
    { "datetime '2024-02-29 10:11:12':to_instant():to_datetime() == datetime '2024-02-29 10:11:12'", "" },
    { "tostring(datetime '2024-02-29 10:11:12':to_duration()) == '10:11:12'", "" },
    { "date '9999-12-31':add_days(1)", "!out of range" },
    { "date '2023-02-29'", "!date wants" },
    { "date '2024-13-01'", "!date wants" },
    { "datetime '2024-01-01'", "!datetime wants" },
    { "duration '1:60:00'", "!duration wants" },
    { "duration '1'", "!duration wants" },
    { "date(5)", "!not number" },
    { "date '2024-01-01'.hour", "!date has no field \"hour\"" },
    { "date '2024-01-01'.yaer", "!date has no field \"yaer\"" },
    { "date '2024-01-01' + date '2024-01-01'", "!date + date is not defined" },
    { "duration '1:00:00' + 1", "!is not defined" },
    { "duration(math.maxinteger)", "!out of range" },
    { "duration '9999999:00:00' * 1000000000", "!out of range" },
    /* JSON */
    { "json.decode('[1, 2.5, \"x\", true, false, null]')[6] == json.null", "" },
    { "math.type(json.decode '9223372036854775807') == 'integer' and math.type(json.decode '1.0') == 'float'", "" },
    { "json.decode '18446744073709551615' == decimal '18446744073709551615'", "" },
    { "json.decode '1.20' == decimal '1.20' and json.decode '1.2' == 1.2", "" },
    { "json.encode(json.decode '{\"bb\": [], \"a\": {}, \"c\": [1, 1.0, 1.20, null, \"\\\\u00e9\\\\n\"]}') == "
      "'{\"a\": {}, \"c\": [1, 1.0, 1.20, null, \"é\\\\n\"], \"bb\": []}'",
      "" },
    { "json.encode(json.decode '[123456789012345678901234567890, 0.1, 1e20, -0.0]') == "
      "'[123456789012345678901234567890, 0.1, 1e20, -0.0]'",
      "" },
    { "json.decode '\"\\\\ud83d\\\\ude00\"' == '\\u{1F600}'", "" },
    { "json.encode { 1, 2, 3 } == '[1, 2, 3]' and json.encode {} == '{}' and json.encode(json.array()) == '[]'", "" },
    { "json.encode { b = 1, a = 2, [1] = nil } == '{\"a\": 2, \"b\": 1}'", "" },
    { "json.is_array(json.decode '[]') and not json.is_array(json.decode '{}')", "" },
    { "json.encode { when = date '2024-02-29', price = decimal '1.20' } == '{\"when\": \"2024-02-29\", \"price\": "
      "1.20}'",
      "" },
    { "json.encode(nil) == 'null' and json.encode(true) == 'true' and json.encode(1.0) == '1.0'", "" },
    { "json.encode { 1, nil, 3 }", "!an array with a hole" },
    { "json.encode { 1, a = 2 }", "!both names and numbers" },
    { "json.encode { [1.5] = 1 }", "!neither names nor 1..n" },
    { "json.encode(print)", "!no JSON value" },
    { "json.encode(0/0)", "!no JSON numbers" },
    { "json.encode '\\255'", "!not UTF-8" },
    { "(function() local t = {} t.t = t return json.encode(t) end)()", "!contain" },
    { "json.decode(('['):rep(200))", "!nested deeper" },
    { "json.decode ''", "!ends too early" },
    { "json.decode '{\"a\":1,}'", "!expected a member name" },
    { "json.decode '01'", "!bad number" },
    { "json.decode '1 2'", "!text behind the end" },
    { "json.decode '\"\\\\ud800\"'", "!unexpected character at byte" },
    { "json.decode '\"a'", "!string not closed" },
    { "json.decode '\\255'", "!not UTF-8" },
    { "json.decode 'nul'", "!unexpected character" },
};

static void fact_list(void)
{
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        struct err err = { 0 };
        char script[800];
        struct lua_host *h = NULL;
        struct shape_table *shapes = shape_table_new();
        struct lua_host_options o = { 0 };
        bool raises = facts[i].want[0] == '!';
        /* now() is not known at load time: facts that need it only need its error */
        snprintf(script, sizeof script, "%s function transform(c) end",
                 raises ? "local now = function() return instant(5) end local x = "
                        : "local now = function() return instant(5) end assert(");
        size_t n = strlen(script) - strlen(" function transform(c) end");
        snprintf(script + n, sizeof script - n, "%s%s function transform(c) end", facts[i].expr, raises ? "" : ")");
        bool ok = lua_host_open("t.lua", script, &o, shapes, &h, &err);
        CHECK(raises ? !ok && strstr(err.msg, facts[i].want + 1) != NULL : ok, "%s: %s", facts[i].expr,
              ok ? "no error" : err.msg);
        lua_host_close(h);
        shape_table_free(shapes);
    }
}

static void json_truncations(void)
{
    static const char text[] = "{\"a\": [1, -2.5e3, \"x\\u00e9\\n\", true, null], \"b\": {}}";
    char why[100];
    CHECK(json_valid(bytes_str(text), why, sizeof why), "%s", why);
    for (size_t n = 0; n < sizeof text - 1; n++) {
        uint8_t *cut = malloc(n == 0 ? 1 : n);
        memcpy(cut, text, n);
        CHECK(!json_valid(bytes_of(cut, n), why, sizeof why), "cut at %zu was taken", n);
        free(cut);
    }
}

int main(void)
{
    column_values();
    added_values();
    fact_list();
    json_truncations();
    return UNIT_END();
}

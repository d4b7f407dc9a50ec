/* test_source_url.c - --source in its parts, one line per form; what is refused, and that no error repeats a secret. */
#include "binlog_client.h"
#include "unit.h"

#include <unistd.h>

static const struct {
    const char *url;
    const char *want; /* user|password|host|port|socket|mode|ca|cert|key|timeout, or "!text in the error" */
} cases[] = {
    { "mysql://db", "||db|3306||PREFERRED||||10" },
    { "mysql://db/", "||db|3306||PREFERRED||||10" },
    { "MariaDB://db:3307", "||db|3307||PREFERRED||||10" },
    { "mysql://u@db", "u||db|3306||PREFERRED||||10" },
    { "mysql://u:p@db:1/", "u|p|db|1||PREFERRED||||10" },
    { "mysql://u:@db", "u||db|3306||PREFERRED||||10" },
    { "mysql://u:a:b@db", "u|a:b|db|3306||PREFERRED||||10" },
    { "mysql://u:a@b@db", "u|a@b|db|3306||PREFERRED||||10" },
    { "mysql://u%3A1:%40%2f%25%3f%23@db", "u:1|@/%?#|db|3306||PREFERRED||||10" },
    { "mysql://u:a+b%20c@db", "u|a+b c|db|3306||PREFERRED||||10" },
    { "mysql://u:p\xc3\xa4%C3%A4@db", "u|p\xc3\xa4\xc3\xa4|db|3306||PREFERRED||||10" },
    { "mysql://u@[::1]", "u||::1|3306||PREFERRED||||10" },
    { "mysql://u@[fe80::1%25eth0]:3310/", "u||fe80::1%eth0|3310||PREFERRED||||10" },
    { "mysql://u@127.0.0.1:65535?ssl-mode=DISABLED", "u||127.0.0.1|65535||DISABLED||||10" },
    { "mysql://u@/?socket=/run/my%20sql.sock", "u||localhost|3306|/run/my sql.sock|PREFERRED||||10" },
    { "mysql://u@db/?ssl-mode=required&connect-timeout=3", "u||db|3306||REQUIRED||||3" },
    { "mysql://u@db/?&ssl-mode=REQUIRED&", "u||db|3306||REQUIRED||||10" },
    { "mysql://u@db/?ssl-ca=/ca.pem", "u||db|3306||VERIFY_CA|/ca.pem|||10" },
    { "mysql://u@db/?ssl-mode=verify_identity&ssl-ca=/c&ssl-cert=/d&ssl-key=/e",
      "u||db|3306||VERIFY_IDENTITY|/c|/d|/e|10" },
    { "mysql://u@db/?ssl-cert=/d&ssl-key=/e", "u||db|3306||PREFERRED||/d|/e|10" },

    { "", "!missing" },
    { "mysql:", "!must begin with mysql://" },
    { "postgresql://db", "!must begin with mysql://" },
    { "mysql://", "!names no host" },
    { "mysql://u:p@", "!names no host" },
    { "mysql://u:p@:3306/", "!names no host" },
    { "mysql://db:", "!port must be a number" },
    { "mysql://db:0", "!port must be a number" },
    { "mysql://db:65536", "!port must be a number" },
    { "mysql://db:99999999999999999999", "!port must be a number" },
    { "mysql://db:33o6", "!port must be a number" },
    { "mysql://db:-1", "!port must be a number" },
    { "mysql://::1/", "!several colons" },
    { "mysql://[::1/", "!no ]" },
    { "mysql://[::1]3306/", "!only :PORT" },
    { "mysql://db/shop", "!--tables" },
    { "mysql://u:SECRET/x@db/", "!port must be" },
    { "mysql://u:SECRET%@db", "!the password has a %" },
    { "mysql://u:SECRET%4@db", "!the password has a %" },
    { "mysql://u:SECRET%4g@db", "!the password has a %" },
    { "mysql://u%00:SECRET@db", "!the user has a control character" },
    { "mysql://u:SECRET%0a@db", "!the password has a control character" },
    { "mysql://u:SECRET@db#x", "!%23" },
    { "mysql://u:x?SECRET@db", "!port must be" },
    { "mysql://u?SECRET@db", "!an option behind ? is unknown" },
    { "mysql://u:SECRET@db/?ssl=1", "!an option behind ? is unknown" },
    { "mysql://u:SECRET@db/?socket", "!needs a value" },
    { "mysql://u:SECRET@db/?socket=", "!needs a value" },
    { "mysql://u:SECRET@db/?ssl-ca=a&ssl-ca=b", "!given twice" },
    { "mysql://u:SECRET@db/?connect-timeout=0", "!from 1 to 3600" },
    { "mysql://u:SECRET@db/?connect-timeout=5s", "!from 1 to 3600" },
    { "mysql://u:SECRET@db/?ssl-mode=on", "!ssl-mode must be" },
    { "mysql://u:SECRET@db/?ssl-mode=VERIFY_CA", "!needs ssl-ca" },
    { "mysql://u:SECRET@db/?ssl-mode=REQUIRED&ssl-ca=/c", "!checks no certificate" },
    { "mysql://u:SECRET@db/?ssl-mode=DISABLED&ssl-cert=/c&ssl-key=/d", "!DISABLED" },
    { "mysql://u:SECRET@db/?ssl-cert=/c", "!belong together" },
};

static void url_cases(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct source_url u;
        struct err err = { 0 };
        char *exact = strdup(cases[i].url), got[1400]; /* exact size: ASan sees one byte over */
        if (source_url_parse(exact, NULL, &u, &err)) {
            snprintf(got, sizeof got, "%s|%s|%s|%u|%s|%s|%s|%s|%s|%u", u.user, u.password, u.host, u.port, u.socket,
                     u.ssl_mode, u.ssl_ca, u.ssl_cert, u.ssl_key, u.connect_timeout_s);
            source_url_clear(&u);
            CHECK(strcmp(got, cases[i].want) == 0, "%s: want %s, got %s", cases[i].url, cases[i].want, got);
        } else {
            CHECK(cases[i].want[0] == '!' && strstr(err.msg, cases[i].want + 1) != NULL, "%s: want %s, got !%s",
                  cases[i].url, cases[i].want, err.msg);
            CHECK(err.code == ERR_CONFIG && !err.transient, "%s: wrong code", cases[i].url);
        }
        CHECK(strstr(err.msg, "SECRET") == NULL, "%s: the error repeats a secret: %s", cases[i].url, err.msg);
        free(exact);
    }
}

/* Whatever the cut, it parses or fails; nothing is read behind the end. */
static void url_cuts(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t n = 0; n < strlen(cases[i].url); n++) {
            struct source_url u;
            struct err err = { 0 };
            char *cut = strndup(cases[i].url, n);
            if (source_url_parse(cut, NULL, &u, &err))
                source_url_clear(&u);
            else
                CHECK(err.code == ERR_CONFIG, "%s: code %d", cut, (int)err.code);
            free(cut);
        }
}

static void password_case(const char *url, const char *content, const char *env, const char *want)
{
    char path[] = "/tmp/rowtide-url-XXXXXX";
    int fd = content != NULL ? mkstemp(path) : -1;
    if (fd >= 0) {
        CHECK(write(fd, content, strlen(content)) == (ssize_t)strlen(content), "write %s", path);
        close(fd);
    }
    if (env != NULL)
        setenv("ROWTIDE_SOURCE_PASSWORD", env, 1);
    else
        unsetenv("ROWTIDE_SOURCE_PASSWORD");
    struct source_url u;
    struct err err = { 0 };
    if (source_url_parse(url, content != NULL ? path : NULL, &u, &err)) {
        CHECK(strcmp(u.password, want) == 0, "%s: want password %s, got %s", url, want, u.password);
        source_url_clear(&u);
    } else {
        CHECK(want[0] == '!' && strstr(err.msg, want + 1) != NULL, "%s: want %s, got !%s", url, want, err.msg);
    }
    unsetenv("ROWTIDE_SOURCE_PASSWORD");
    if (fd >= 0)
        unlink(path);
}

static void passwords(void)
{
    password_case("mysql://u@db", NULL, NULL, "");
    password_case("mysql://u@db", "file%20 pass\r\nsecond\n", NULL, "file%20 pass"); /* not percent-decoded */
    password_case("mysql://u@db", "nonewline", NULL, "nonewline");
    password_case("mysql://u@db", "file\n", "env", "file");
    password_case("mysql://u@db", NULL, "env", "env");
    password_case("mysql://u:url@db", NULL, "env", "url");
    password_case("mysql://u:url@db", "file\n", NULL, "!given twice");
    password_case("mysql://u@db", "", NULL, "!is empty");
    password_case("mysql://u@db", "\nx", NULL, "!is empty");
    char *longline = calloc(1, 1100);
    if (longline != NULL) {
        memset(longline, 'x', 1025);
        password_case("mysql://u@db", longline, NULL, "!longer than 1024");
        password_case("mysql://u@db", NULL, longline, "!longer than 1024");
        longline[1024] = '\0';
        password_case("mysql://u@db", longline, NULL, longline);
        free(longline);
    }
    struct source_url u;
    struct err err = { 0 };
    CHECK(!source_url_parse("mysql://u@db", "/nonexistent/password", &u, &err) && err.code == ERR_CONFIG &&
              strstr(err.msg, "/nonexistent/password") != NULL,
          "a missing password file: %s", err.msg);
}

static void places(void)
{
    static const char *const v[][2] = { { "mysql://u:SECRET@db:3307", "u@db:3307" },
                                        { "mysql://db", "db:3306" },
                                        { "mysql://u:SECRET@[::1]", "u@[::1]:3306" },
                                        { "mysql://u:SECRET@/?socket=/s", "u@/s" } };
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        struct source_url u;
        struct err err = { 0 };
        struct buf b = { 0 };
        if (!source_url_parse(v[i][0], NULL, &u, &err)) {
            CHECK(false, "%s: %s", v[i][0], err.msg);
            continue;
        }
        source_url_place(&u, &b);
        CHECK(strcmp(buf_cstr(&b), v[i][1]) == 0, "%s: got %s", v[i][0], buf_cstr(&b));
        buf_free(&b);
        source_url_clear(&u);
        source_url_clear(&u); /* safe twice */
    }
}

int main(void)
{
    unsetenv("ROWTIDE_SOURCE_PASSWORD");
    url_cases();
    url_cuts();
    passwords();
    places();
    return UNIT_END();
}

/* source_url.c - reads --source mysql://USER:PASS@HOST:PORT/?key=value into its parts, and finds the password.
 *
 * Syntax: RFC 3986, authority and query, percent-decoded once; '+' stands for itself. Nothing here opens a connection.
 * I10: an error never quotes the URL, its user part or a value, since the password may stand in any of them; every copy of
 * the password but the one in `out` is wiped. */
#include "binlog_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { URL_MAX = 8192, PASSWORD_MAX = 1024, TIMEOUT_MAX_S = 3600 };

static void wipe_free(char *s)
{
    if (s != NULL)
        explicit_bzero(s, strlen(s));
    free(s);
}

bool source_url_copy(const struct source_url *u, struct source_url *out, struct err *err)
{
    struct source_url c = { strdup(u->host),     strdup(u->user),     strdup(u->password),
                            strdup(u->socket),   strdup(u->ssl_mode), strdup(u->ssl_ca),
                            strdup(u->ssl_cert), strdup(u->ssl_key),  u->port,
                            u->connect_timeout_s };
    char *const each[] = { c.host, c.user, c.password, c.socket, c.ssl_mode, c.ssl_ca, c.ssl_cert, c.ssl_key };
    for (size_t i = 0; i < sizeof each / sizeof *each; i++)
        if (each[i] == NULL) {
            source_url_clear(&c);
            return err_nomem(err);
        }
    *out = c;
    return true;
}

void source_url_clear(struct source_url *u)
{
    if (u == NULL)
        return;
    wipe_free(u->password);
    free(u->host);
    free(u->user);
    free(u->socket);
    free(u->ssl_mode);
    free(u->ssl_ca);
    free(u->ssl_cert);
    free(u->ssl_key);
    *u = (struct source_url){ 0 };
}

void source_url_place(const struct source_url *u, struct buf *out)
{
    if (u->user[0] != '\0')
        buf_printf(out, "%s@", u->user);
    if (u->socket[0] != '\0')
        buf_str(out, u->socket);
    else
        buf_printf(out, strchr(u->host, ':') == NULL ? "%s:%u" : "[%s]:%u", u->host, u->port);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A NUL-terminated copy of the n bytes at s without their percent signs; *out was "" from defaults. */
static bool decode(const char *s, size_t n, const char *what, char **out, struct err *err)
{
    char *to = malloc(n + 1);
    if (to == NULL)
        return err_nomem(err);
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        int c = (unsigned char)s[i];
        if (c == '%') {
            int hi = n - i > 2 ? hex_digit(s[i + 1]) : -1;
            int lo = hi < 0 ? -1 : hex_digit(s[i + 2]);
            if (lo < 0) {
                explicit_bzero(to, n + 1);
                free(to);
                return err_set(
                    err, ERR_CONFIG,
                    "--source: %s has a %% that is not followed by two hex digits (write %%25 for a percent sign)",
                    what);
            }
            c = hi * 16 + lo;
            i += 2;
        }
        if (c < 0x20 || c == 0x7f) {
            explicit_bzero(to, n + 1);
            free(to);
            return err_set(err, ERR_CONFIG, "--source: %s has a control character in it", what);
        }
        to[k++] = (char)c;
    }
    to[k] = '\0';
    wipe_free(*out);
    *out = to;
    return true;
}

static bool parse_number(const char *s, size_t n, unsigned min, unsigned max, const char *what, unsigned *out,
                         struct err *err)
{
    unsigned v = 0;
    bool ok = n > 0 && n <= 5;
    for (size_t i = 0; ok && i < n; i++) {
        ok = s[i] >= '0' && s[i] <= '9';
        v = v * 10 + (unsigned)(s[i] - '0');
    }
    if (!ok || v < min || v > max)
        return err_set(err, ERR_CONFIG, "--source: %s must be a number from %u to %u", what, min, max);
    *out = v;
    return true;
}

/* HOST, HOST:PORT, [V6], [V6]:PORT, or nothing. */
static bool parse_place(const char *s, size_t n, struct source_url *u, struct err *err)
{
    const char *port = NULL, *end = s + n;
    if (n > 0 && s[0] == '[') {
        const char *close = memchr(s, ']', n);
        if (close == NULL)
            return err_set(err, ERR_CONFIG, "--source: the host begins with [ but has no ]");
        if (!decode(s + 1, (size_t)(close - s - 1), "the host", &u->host, err))
            return false;
        if (close + 1 < end && close[1] != ':')
            return err_set(err, ERR_CONFIG, "--source: behind the host's ] only :PORT may follow");
        port = close + 1 < end ? close + 2 : NULL;
    } else {
        const char *colon = memchr(s, ':', n);
        if (colon != NULL && memchr(colon + 1, ':', (size_t)(end - colon - 1)) != NULL)
            return err_set(err, ERR_CONFIG,
                           "--source: the host has several colons; write an IPv6 address in brackets, [::1]:3306, and "
                           "a colon in the user as %%3A");
        if (!decode(s, (size_t)((colon != NULL ? colon : end) - s), "the host", &u->host, err))
            return false;
        port = colon != NULL ? colon + 1 : NULL;
    }
    return port == NULL || parse_number(port, (size_t)(end - port), 1, 65535, "the port", &u->port, err);
}

static bool parse_option(const char *s, size_t n, struct source_url *u, bool seen[], struct err *err)
{
    const struct {
        const char *name;
        char **to;
    } known[] = { { "ssl-mode", &u->ssl_mode }, { "ssl-ca", &u->ssl_ca }, { "ssl-cert", &u->ssl_cert },
                  { "ssl-key", &u->ssl_key },   { "socket", &u->socket }, { "connect-timeout", NULL } };
    enum { KNOWN = sizeof known / sizeof *known };
    const char *eq = memchr(s, '=', n);
    size_t name_n = eq == NULL ? n : (size_t)(eq - s);
    for (size_t i = 0; i < KNOWN; i++) {
        if (strlen(known[i].name) != name_n || memcmp(known[i].name, s, name_n) != 0)
            continue;
        size_t value_n = eq == NULL ? 0 : n - name_n - 1;
        if (value_n == 0)
            return err_set(err, ERR_CONFIG, "--source: %s= needs a value", known[i].name);
        if (seen[i])
            return err_set(err, ERR_CONFIG, "--source: %s= is given twice", known[i].name);
        seen[i] = true;
        return known[i].to != NULL
                   ? decode(eq + 1, value_n, known[i].name, known[i].to, err)
                   : parse_number(eq + 1, value_n, 1, TIMEOUT_MAX_S, known[i].name, &u->connect_timeout_s, err);
    }
    /* The name is not repeated: behind a stray ? it might be a part of the password. */
    return err_set(err, ERR_CONFIG,
                   "--source: an option behind ? is unknown; there are ssl-mode, ssl-ca, ssl-cert, ssl-key, socket and "
                   "connect-timeout (write a ? in the password as %%3F)");
}

static bool parse(const char *url, struct source_url *u, struct err *err)
{
    const char *s = NULL;
    if (strncasecmp(url, "mysql://", 8) == 0)
        s = url + 8;
    else if (strncasecmp(url, "mariadb://", 10) == 0)
        s = url + 10;
    if (s == NULL)
        return err_set(err, ERR_CONFIG, "--source must begin with mysql:// or mariadb://");
    if (strlen(s) > URL_MAX)
        return err_set(err, ERR_CONFIG, "--source is longer than %d bytes", URL_MAX);
    if (strchr(s, '#') != NULL)
        return err_set(err, ERR_CONFIG, "--source has a #, which a URL ends at: write it as %%23");

    size_t authority = strcspn(s, "/?");
    const char *at = memrchr(s, '@', authority);
    if (at != NULL) {
        size_t user_n = (size_t)(at - s);
        const char *colon = memchr(s, ':', user_n);
        if (colon != NULL && !decode(colon + 1, (size_t)(at - colon - 1), "the password", &u->password, err))
            return false;
        if (!decode(s, colon != NULL ? (size_t)(colon - s) : user_n, "the user", &u->user, err))
            return false;
    }
    const char *place = at != NULL ? at + 1 : s;
    if (!parse_place(place, (size_t)(s + authority - place), u, err))
        return false;

    const char *rest = s + authority;
    if (*rest == '/')
        rest++;
    if (*rest != '\0' && *rest != '?')
        return err_set(err, ERR_CONFIG,
                       "--source: nothing may stand behind HOST:PORT/ but ?options; which tables are taken is chosen "
                       "with --tables (write a / in the password as %%2F)");
    bool seen[8] = { false };
    while (*rest != '\0') {
        rest++; /* ? or & */
        size_t n = strcspn(rest, "&");
        if (n > 0 && !parse_option(rest, n, u, seen, err))
            return false;
        rest += n;
    }
    return true;
}

/* Contradictions are refused: whoever names a CA file believes that the server is checked. */
static bool check_tls(struct source_url *u, struct err *err)
{
    static const char *const modes[] = { "DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY" };
    enum { MODES = sizeof modes / sizeof *modes };
    if (u->ssl_mode[0] == '\0') {
        free(u->ssl_mode);
        u->ssl_mode = strdup(u->ssl_ca[0] != '\0' ? "VERIFY_CA" : "PREFERRED");
        if (u->ssl_mode == NULL)
            return err_nomem(err);
    }
    size_t m = 0;
    while (m < MODES && strcasecmp(modes[m], u->ssl_mode) != 0)
        m++;
    if (m == MODES)
        return err_set(err, ERR_CONFIG,
                       "--source: ssl-mode must be DISABLED, PREFERRED, REQUIRED, VERIFY_CA or VERIFY_IDENTITY");
    memcpy(u->ssl_mode, modes[m], strlen(modes[m])); /* same length: upper case from here on */
    bool verify = strncmp(modes[m], "VERIFY", 6) == 0;
    if (verify && u->ssl_ca[0] == '\0')
        return err_set(
            err, ERR_CONFIG,
            "--source: ssl-mode=%s needs ssl-ca=FILE, the certificate authority that signed the server's certificate",
            modes[m]);
    if (!verify && u->ssl_ca[0] != '\0')
        return err_set(err, ERR_CONFIG,
                       "--source: ssl-ca= is given but ssl-mode=%s checks no certificate; use ssl-mode=VERIFY_CA or "
                       "VERIFY_IDENTITY",
                       modes[m]);
    if ((u->ssl_cert[0] != '\0') != (u->ssl_key[0] != '\0'))
        return err_set(err, ERR_CONFIG, "--source: ssl-cert= and ssl-key= belong together: one of them is missing");
    if (m == 0 && u->ssl_cert[0] != '\0')
        return err_set(err, ERR_CONFIG, "--source: ssl-cert= is given but ssl-mode=DISABLED");
    return true;
}

/* The first line, without its line end. Unbuffered: stdio's buffer would keep the password. */
static bool read_password_file(const char *path, char **out, struct err *err)
{
    char line[PASSWORD_MAX + 2];
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        err_sys(err, "open the password file %s", path);
        err->code = ERR_CONFIG;
        return false;
    }
    setvbuf(f, NULL, _IONBF, 0);
    bool got = fgets(line, sizeof line, f) != NULL, failed = ferror(f) != 0;
    int sys = errno;
    fclose(f);
    bool ok = true;
    size_t n = got ? strcspn(line, "\r\n") : 0;
    if (failed) {
        errno = sys;
        ok = err_sys(err, "read the password file %s", path);
        err->code = ERR_CONFIG;
    } else if (n > PASSWORD_MAX) {
        ok = err_set(err, ERR_CONFIG, "the first line of the password file %s is longer than %d bytes", path,
                     PASSWORD_MAX);
    } else if (n == 0) {
        ok = err_set(err, ERR_CONFIG, "the first line of the password file %s is empty", path);
    } else {
        char *copy = strndup(line, n);
        if (copy == NULL) {
            ok = err_nomem(err);
        } else {
            wipe_free(*out);
            *out = copy;
        }
    }
    explicit_bzero(line, sizeof line);
    return ok;
}

static bool find_password(const char *password_file, const char *variable, struct source_url *u, struct err *err)
{
    bool have_file = password_file != NULL && password_file[0] != '\0';
    if (have_file && u->password[0] != '\0')
        return err_set(err, ERR_CONFIG, "the password is given twice: in the URL and by a password file");
    if (have_file)
        return read_password_file(password_file, &u->password, err);
    const char *env = getenv(variable);
    if (u->password[0] != '\0' || env == NULL)
        return true;
    if (strlen(env) > PASSWORD_MAX)
        return err_set(err, ERR_CONFIG, "%s is longer than %d bytes", variable, PASSWORD_MAX);
    char *copy = strdup(env);
    if (copy == NULL)
        return err_nomem(err);
    wipe_free(u->password);
    u->password = copy;
    return true;
}

static bool defaults(struct source_url *u)
{
    char **each[] = {
        &u->host, &u->user, &u->password, &u->socket, &u->ssl_mode, &u->ssl_ca, &u->ssl_cert, &u->ssl_key
    };
    bool ok = true;
    for (size_t i = 0; i < sizeof each / sizeof *each; i++) {
        *each[i] = strdup("");
        ok = ok && *each[i] != NULL;
    }
    u->port = 3306;
    u->connect_timeout_s = 10;
    return ok;
}

static bool parse_url(const char *url, const char *password_file, const char *variable, struct source_url *out,
                      struct err *err)
{
    struct source_url u = { 0 };
    bool ok = defaults(&u) || err_nomem(err);
    if (url == NULL)
        url = "";
    if (ok && url[0] == '\0')
        ok = err_set(err, ERR_CONFIG, "--source is missing: mysql://USER@HOST:PORT/");
    ok = ok && parse(url, &u, err) && check_tls(&u, err) && find_password(password_file, variable, &u, err);
    if (ok && u.host[0] == '\0') {
        if (u.socket[0] == '\0') {
            ok = err_set(err, ERR_CONFIG,
                         "--source names no host: mysql://USER@HOST:PORT/, or mysql://USER@/?socket=PATH");
        } else {
            free(u.host);
            u.host = strdup("localhost");
            ok = u.host != NULL || err_nomem(err);
        }
    }
    if (!ok) {
        source_url_clear(&u);
        return false;
    }
    *out = u;
    return true;
}

bool source_url_parse(const char *url, const char *password_file, struct source_url *out, struct err *err)
{
    return parse_url(url, password_file, "ROWTIDE_SOURCE_PASSWORD", out, err);
}

bool schema_url_parse(const char *url, const char *password_file, struct source_url *out, struct err *err)
{
    return parse_url(url, password_file, "ROWTIDE_SCHEMA_PASSWORD", out, err) || err_ctx(err, "--schema-server");
}

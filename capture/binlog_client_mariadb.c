/* binlog_client_mariadb.c - the connection over MariaDB Connector/C (3.3, 3.4): raw dump commands, raw packets.
 *
 * mariadb_rpl_fetch is not used: it breaks at a rotation, refuses events that it does not know, and has no COM_BINLOG_DUMP_GTID
 * for MySQL. What is used instead is exported and in the installed headers: methods->db_command and mysql_net_read_packet, which
 * joins packets of 16 MiB. Layout of the commands: MySQL sql/rpl_source.cc, com_binlog_dump and com_binlog_dump_gtid.
 *
 * TLS. MySQL's five modes are made from what Connector/C has (libmariadb/secure/openssl.c, plugins/auth/my_auth.c, read for 3.3 and
 * 3.4, tried on 3.3.20). MYSQL_OPT_SSL_ENFORCE alone is not enough: against a server without TLS 3.3 goes on in clear text, and
 * its caching_sha2_password then takes the connection for a secure one and sends the password readable (I10). So every mode but
 * DISABLED makes TLS mandatory before anything is sent, and PREFERRED connects again, knowing that there is none. */
#include "binlog_client_lib.h"

#include "source_error.h"

#include <ma_pvio.h>

enum { DUMP = 18, DUMP_GTID = 30, TLS_ERROR = 2026, EOF_MAX = 8 };

const char *binlog_client_library(void)
{
    return "MariaDB Connector/C " MARIADB_PACKAGE_VERSION; /* at run time it only knows the server's version it came with */
}

static bool is_mode(const struct source_url *u, const char *mode)
{
    return strcmp(u->ssl_mode, mode) == 0;
}

#ifdef MARIADB_TLS_VERIFY_HOST          /* 3.4: the default callback knows no mode between none and all */
static _Thread_local MYSQL *connecting; /* the callback's own argument is opaque in the installed headers */

static int accept_any(void *tls, unsigned flags)
{
    (void)tls;
    (void)flags;
    connecting->net.tls_verify_status = MARIADB_TLS_VERIFY_OK;
    return 0;
}

static int accept_signed(void *tls, unsigned flags)
{
    (void)tls;
    (void)flags;
    if ((connecting->net.tls_verify_status & ~MARIADB_TLS_VERIFY_HOST) == MARIADB_TLS_VERIFY_OK) {
        connecting->net.tls_verify_status = MARIADB_TLS_VERIFY_OK;
        return 0;
    }
    connecting->methods->set_error(connecting, TLS_ERROR, "HY000",
                                   "TLS/SSL error: the server's certificate is not signed by ssl-ca, or expired");
    return 1;
}

static bool set_verification(MYSQL *my, const struct source_url *u)
{
    my_bool verify = 1; /* also what makes TLS mandatory */
    int (*callback)(void *, unsigned) = is_mode(u, "VERIFY_CA") ? accept_signed : accept_any;
    void *as_object = NULL; /* ISO C has no cast for this; POSIX says that the sizes agree */
    memcpy(&as_object, &callback, sizeof as_object);
    connecting = my;
    return mysql_options(my, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify) == 0 &&
           (is_mode(u, "VERIFY_IDENTITY") || mysql_optionsv(my, MARIADB_OPT_TLS_VERIFICATION_CALLBACK, as_object) == 0);
}
#else
/* 3.3: a CA file alone makes it check the chain but not the name, which is VERIFY_CA. An empty fingerprint is compared with nothing,
 * but a server without TLS is refused before anything is sent. */
static bool set_verification(MYSQL *my, const struct source_url *u)
{
    my_bool verify = is_mode(u, "VERIFY_IDENTITY");
    return mysql_options(my, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify) == 0 &&
           mysql_options(my, MARIADB_OPT_TLS_PEER_FP, "") == 0;
}
#endif

static bool set_tls(MYSQL *my, const struct source_url *u, bool tls, struct err *err)
{
    my_bool on = tls, off = 0;
    bool ok = mysql_options(my, MYSQL_OPT_SSL_ENFORCE, &on) == 0;
    if (tls)
        ok = ok && set_verification(my, u) &&
             (u->ssl_ca[0] == '\0' || mysql_options(my, MYSQL_OPT_SSL_CA, u->ssl_ca) == 0) &&
             (u->ssl_cert[0] == '\0' || mysql_options(my, MYSQL_OPT_SSL_CERT, u->ssl_cert) == 0) &&
             (u->ssl_key[0] == '\0' || mysql_options(my, MYSQL_OPT_SSL_KEY, u->ssl_key) == 0);
    else
        ok = ok && mysql_options(my, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &off) == 0;
    return ok || err_set(err, ERR_CONFIG, "the client library refuses a TLS option: %s", mysql_error(my));
}

static bool try_connect(struct binlog_client *c, const struct source_url *u, bool tls, bool *has_no_tls,
                        struct err *err)
{
    *has_no_tls = false;
    c->my = mysql_init(NULL);
    if (c->my == NULL)
        return err_nomem(err);
    /* Not in the list: mysql_clear_password and dialog, which a server could ask for to be told the password. */
    if (mysql_options(c->my, MARIADB_OPT_RESTRICTED_AUTH,
                      "mysql_native_password,caching_sha2_password,sha256_password,client_ed25519,parsec") != 0)
        return err_set(err, ERR_CONFIG, "the client library refuses an authentication option: %s", mysql_error(c->my));
    if (!client_common_options(c->my, u, c->read_timeout_s, err) || !set_tls(c->my, u, tls, err))
        return false;
    if (mysql_real_connect(c->my, u->host, u->user, u->password, NULL, u->port, u->socket[0] != '\0' ? u->socket : NULL,
                           0) != NULL)
        return true;
    *has_no_tls = mysql_errno(c->my) == TLS_ERROR && c->my->server_capabilities != 0 &&
                  (c->my->server_capabilities & CLIENT_SSL) == 0;
    return source_error_connect(err, mysql_errno(c->my), mysql_error(c->my), c->place);
}

bool client_lib_connect(struct binlog_client *c, const struct source_url *u, struct err *err)
{
    bool has_no_tls, socket = u->socket[0] != '\0';
    /* As MySQL's clients: a socket needs no encryption unless somebody insists. */
    bool tls = !is_mode(u, "DISABLED") && !(socket && is_mode(u, "PREFERRED"));
    bool ok = try_connect(c, u, tls, &has_no_tls, err);
    if (!ok && has_no_tls && is_mode(u, "PREFERRED")) {
        mysql_close(c->my);
        c->my = NULL;
        tls = false;
        ok = try_connect(c, u, false, &has_no_tls, err);
    }
    if (ok && tls && mysql_get_ssl_cipher(c->my) == NULL)
        return err_set(err, ERR_CONFIG, "the connection to the source %s is not encrypted, though ssl-mode=%s",
                       c->place, u->ssl_mode);
    return ok;
}

int client_lib_fd(MYSQL *my)
{
    return mysql_get_socket(my);
}

bool client_lib_dump(struct binlog_client *c, const struct dump_command *d, struct err *err)
{
    struct buf b = { 0 };
    size_t file_n = strlen(d->file);
    if (d->gtid_command) {
        buf_le(&b, d->flags, 2);
        buf_le(&b, d->server_id, 4);
        buf_le(&b, file_n, 4);
        buf_put(&b, d->file, file_n);
        buf_le(&b, d->offset, 8);
        buf_le(&b, d->gtids.n, 4);
        buf_bytes(&b, d->gtids);
    } else {
        buf_le(&b, d->offset, 4);
        buf_le(&b, d->flags, 2);
        buf_le(&b, d->server_id, 4);
        buf_put(&b, d->file, file_n);
    }
    bool ok = buf_ok(&b, err);
    if (ok && c->my->methods->db_command(c->my, (enum enum_server_command)(d->gtid_command ? DUMP_GTID : DUMP),
                                         (const char *)b.p, b.n, 1, NULL) != 0)
        ok = source_error_stream(err, mysql_errno(c->my), mysql_error(c->my));
    buf_free(&b);
    return ok;
}

enum fetch_result client_lib_fetch(struct binlog_client *c, struct bytes *event)
{
    unsigned long n = mysql_net_read_packet(c->my);
    if (n == packet_error)
        return FETCH_FAIL;
    const uint8_t *p = c->my->net.read_pos;
    if (n >= 1 && p[0] == 0xfe && n <= EOF_MAX)
        return FETCH_END;
    if (n < 1 || p[0] != 0) {
        c->my->methods->set_error(c->my, 2027, "HY000", "a packet of the stream does not begin with 0: %02x",
                                  n < 1 ? 0 : p[0]);
        return FETCH_FAIL;
    }
    *event = bytes_of(p + 1, n - 1);
    return FETCH_EVENT;
}

/* The read-ahead cache lies above TLS. A rest of a record inside the TLS library is not seen; the cache asks for as much as a
 * record holds, so there seldom is one. */
bool client_lib_buffered(struct binlog_client *c)
{
    const MARIADB_PVIO *io = c->my->net.pvio;
    return io != NULL && io->cache != NULL && io->cache + io->cache_size > io->cache_pos;
}

void client_lib_close(struct binlog_client *c)
{
    (void)c;
}

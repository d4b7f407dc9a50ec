/* binlog_client_mysqlclient.c - the connection over libmysqlclient (8.0 and later): mysql_binlog_open, fetch, close.
 *
 * The library joins packets and has all of MySQL's TLS modes. What it does not have: a way to see the bytes that it has buffered, and
 * one to acknowledge semisync. Source: MySQL include/mysql.h, sql-common/client.cc (mysql_binlog_*). */
#include "binlog_client_lib.h"

#include "source_error.h"

#include <client_plugin.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>

const char *binlog_client_library(void)
{
    static char name[64]; /* the same text whoever writes it */
    snprintf(name, sizeof name, "libmysqlclient %s", mysql_get_client_info());
    return name;
}

/* libmysqlclient 9 left out mysql_native_password, which is what MariaDB's accounts and those of old MySQL servers have. The answer to
 * the 20 random bytes R: SHA1(password) xor SHA1(R, SHA1(SHA1(password))). Source: MySQL documentation, "Native Authentication". */
#if MYSQL_VERSION_ID >= 90000
enum { SHA1_SIZE = 20, SCRAMBLE_SIZE = 20 };

static bool sha1(const void *a, size_t na, const void *b, size_t nb, unsigned char out[SHA1_SIZE])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha1(), NULL) == 1 && EVP_DigestUpdate(ctx, a, na) == 1 &&
              EVP_DigestUpdate(ctx, b, nb) == 1 && EVP_DigestFinal_ex(ctx, out, NULL) == 1;
    EVP_MD_CTX_free(ctx);
    return ok;
}

static int native_password(MYSQL_PLUGIN_VIO *vio, MYSQL *my)
{
    unsigned char *pkt = NULL, once[SHA1_SIZE], twice[SHA1_SIZE], answer[SHA1_SIZE];
    int n = vio->read_packet(vio, &pkt);
    if (n < 0)
        return CR_ERROR;
    if (n != SCRAMBLE_SIZE + 1)
        return CR_AUTH_HANDSHAKE;
    if (my->passwd == NULL || my->passwd[0] == '\0')
        return vio->write_packet(vio, (const unsigned char *)"", 0) != 0 ? CR_ERROR : CR_OK;
    bool ok = sha1(my->passwd, strlen(my->passwd), "", 0, once) && sha1(once, sizeof once, "", 0, twice) &&
              sha1(pkt, SCRAMBLE_SIZE, twice, sizeof twice, answer);
    for (size_t i = 0; i < SHA1_SIZE; i++)
        answer[i] ^= once[i];
    ok = ok && vio->write_packet(vio, answer, SHA1_SIZE) == 0;
    explicit_bzero(once, sizeof once);
    explicit_bzero(twice, sizeof twice);
    explicit_bzero(answer, sizeof answer);
    return ok ? CR_OK : CR_ERROR;
}

static void register_native_password(void)
{
    static struct auth_plugin_t plugin = { .type = MYSQL_CLIENT_AUTHENTICATION_PLUGIN,
                                           .interface_version = MYSQL_CLIENT_AUTHENTICATION_PLUGIN_INTERFACE_VERSION,
                                           .name = "mysql_native_password",
                                           .author = "Rowtide",
                                           .desc = "native password authentication",
                                           .version = { 1, 0, 0 },
                                           .license = "MIT",
                                           .authenticate_user = native_password };
    MYSQL *my = mysql_init(NULL); /* a failure shows as error 2059 at the first account that needs it */
    if (my != NULL)
        mysql_client_register_plugin(my, (struct st_mysql_client_plugin *)&plugin);
    mysql_close(my);
}
#else
static void register_native_password(void)
{
}
#endif

static pthread_once_t plugin_once = PTHREAD_ONCE_INIT;

static unsigned ssl_mode(const char *mode)
{
    return strcmp(mode, "DISABLED") == 0    ? SSL_MODE_DISABLED
           : strcmp(mode, "PREFERRED") == 0 ? SSL_MODE_PREFERRED
           : strcmp(mode, "REQUIRED") == 0  ? SSL_MODE_REQUIRED
           : strcmp(mode, "VERIFY_CA") == 0 ? SSL_MODE_VERIFY_CA
                                            : SSL_MODE_VERIFY_IDENTITY;
}

bool client_lib_connect(struct binlog_client *c, const struct source_url *u, struct err *err)
{
    pthread_once(&plugin_once, register_native_password);
    c->my = mysql_init(NULL);
    if (c->my == NULL)
        return err_nomem(err);
    if (!client_common_options(c->my, u, c->read_timeout_s, err))
        return false;
    unsigned mode = ssl_mode(u->ssl_mode);
    bool get_key =
        true; /* caching_sha2_password without TLS: encrypt the password with the server's key, else it refuses */
    if (mysql_options(c->my, MYSQL_OPT_SSL_MODE, &mode) != 0 ||
        mysql_options(c->my, MYSQL_OPT_GET_SERVER_PUBLIC_KEY, &get_key) != 0 ||
        (u->ssl_ca[0] != '\0' && mysql_options(c->my, MYSQL_OPT_SSL_CA, u->ssl_ca) != 0) ||
        (u->ssl_cert[0] != '\0' && mysql_options(c->my, MYSQL_OPT_SSL_CERT, u->ssl_cert) != 0) ||
        (u->ssl_key[0] != '\0' && mysql_options(c->my, MYSQL_OPT_SSL_KEY, u->ssl_key) != 0))
        return err_set(err, ERR_CONFIG, "the client library refuses a TLS option: %s", mysql_error(c->my));
    if (mysql_real_connect(c->my, u->host, u->user, u->password, NULL, u->port, u->socket[0] != '\0' ? u->socket : NULL,
                           0) == NULL)
        return source_error_connect(err, mysql_errno(c->my), mysql_error(c->my), c->place);
    if (mode >= SSL_MODE_REQUIRED && mysql_get_ssl_cipher(c->my) == NULL)
        return err_set(err, ERR_CONFIG, "the connection to the source %s is not encrypted, though ssl-mode=%s",
                       c->place, u->ssl_mode);
    return true;
}

int client_lib_fd(MYSQL *my)
{
    return my->net.fd;
}

bool client_lib_dump(struct binlog_client *c, const struct dump_command *d, struct err *err)
{
    buf_str(&c->file, d->file);
    buf_bytes(&c->gtids, d->gtids);
    if (!buf_ok(&c->file, err) || !buf_ok(&c->gtids, err))
        return false;
    c->rpl = (MYSQL_RPL){ .file_name = buf_cstr(&c->file),
                          .file_name_length = c->file.n,
                          .start_position = d->offset,
                          .server_id = d->server_id,
                          .flags = d->flags | (d->gtid_command ? (unsigned)MYSQL_RPL_GTID : 0),
                          .gtid_set_encoded_size = c->gtids.n,
                          .gtid_set_arg = c->gtids.p };
    if (mysql_binlog_open(c->my, &c->rpl) != 0)
        return source_error_stream(err, mysql_errno(c->my), mysql_error(c->my));
    c->rpl_open = true;
    return true;
}

enum fetch_result client_lib_fetch(struct binlog_client *c, struct bytes *event)
{
    if (mysql_binlog_fetch(c->my, &c->rpl) != 0)
        return FETCH_FAIL;
    if (c->rpl.size == 0)
        return FETCH_END;
    *event = bytes_of(c->rpl.buffer + 1, c->rpl.size - 1); /* behind the packet's OK byte */
    return FETCH_EVENT;
}

/* The library's buffers are out of sight: below a backlog the socket is hardly ever empty at the same moment. */
bool client_lib_buffered(struct binlog_client *c)
{
    (void)c;
    return false;
}

void client_lib_close(struct binlog_client *c)
{
    if (c->rpl_open)
        mysql_binlog_close(c->my, &c->rpl);
    buf_free(&c->file);
    buf_free(&c->gtids);
}

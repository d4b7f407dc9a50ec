/* http_status.c - the read-only HTTP endpoint (http_status.h). It opens the listening socket itself, so that an
 * address in use is reported with its reason and port 0 can be asked for; libmicrohttpd does the rest on one thread.
 * Only calls are used that libmicrohttpd has from 0.9.71 up to 1.0. */
#include "http_status.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    MAX_CONNECTIONS = 32,
    PLACES = 2 * MAX_CONNECTIONS, /* with those that were told to go and have not yet */
    IDLE_SECONDS = 10,
    REQUEST_MEMORY = 16 << 10,
    HTTP_OK = 200,
    HTTP_NOT_FOUND = 404,
    HTTP_METHOD = 405,
    HTTP_TOO_LARGE = 413,
    HTTP_INTERNAL = 500,
    HTTP_UNAVAILABLE = 503
};

/* A client that sends a byte now and then is never idle. So that such ones cannot keep all others out, there is always
 * room for one more: the connection that has gone longest without an answer goes. */
struct guest {
    int fd;         /* -1: a free place */
    uint64_t since; /* order of begin and answers */
    bool leaving;
};
struct http_status {
    struct MHD_Daemon *daemon;
    const struct http_status_ops *ops;
    void *ctx;
    unsigned port;
    struct guest guests[PLACES]; /* these two: the endpoint's thread only */
    uint64_t order;
};

static const char text_plain[] = "text/plain; charset=utf-8";

static enum MHD_Result reply(struct MHD_Connection *conn, unsigned code, const char *type, struct bytes body)
{
    /* MUST_COPY: the body dies with our buffer; the cast is for an API that is not const. */
    static const uint8_t none;
    struct MHD_Response *r = MHD_create_response_from_buffer(
        body.n, (void *)(uintptr_t)(body.p == NULL ? &none : body.p), MHD_RESPMEM_MUST_COPY);
    if (r == NULL)
        return MHD_NO;
    MHD_add_response_header(r, "Content-Type", type);
    MHD_add_response_header(r, "Cache-Control", "no-store");
    MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    if (code == HTTP_METHOD)
        MHD_add_response_header(r, "Allow", "GET, HEAD");
    if (code == HTTP_TOO_LARGE) /* the body is still under way and nobody will read it */
        MHD_add_response_header(r, "Connection", "close");
    enum MHD_Result queued = MHD_queue_response(conn, code, r);
    MHD_destroy_response(r);
    return queued;
}

static bool has_body(struct MHD_Connection *conn)
{
    const char *length = MHD_lookup_connection_value(conn, MHD_HEADER_KIND, "Content-Length");
    return MHD_lookup_connection_value(conn, MHD_HEADER_KIND, "Transfer-Encoding") != NULL ||
           (length != NULL && strcmp(length, "0") != 0);
}

static enum MHD_Result answer(struct http_status *h, struct MHD_Connection *conn, const char *url)
{
    struct buf out = { 0 };
    unsigned code = HTTP_OK;
    const char *type = text_plain;
    if (strcmp(url, "/healthz") == 0) {
        if (!h->ops->healthy(h->ctx, &out))
            code = HTTP_UNAVAILABLE;
        if (out.n == 0)
            buf_str(&out, code == HTTP_OK ? "ok" : "unhealthy");
        buf_u8(&out, '\n');
    } else if (strcmp(url, "/metrics") == 0) {
        type = "text/plain; version=0.0.4; charset=utf-8";
        h->ops->metrics(h->ctx, &out);
    } else if (strcmp(url, "/api/v1/status") == 0) {
        type = "application/json";
        h->ops->status(h->ctx, &out);
    } else {
        code = HTTP_NOT_FOUND;
        buf_str(&out, "not found; there is /healthz, /metrics and /api/v1/status\n");
    }
    enum MHD_Result queued = out.failed ? reply(conn, HTTP_INTERNAL, text_plain, BYTES_LIT("out of memory\n"))
                                        : reply(conn, code, type, buf_view(&out));
    buf_free(&out);
    return queued;
}

static void make_room(struct http_status *h)
{
    struct guest *oldest = NULL;
    unsigned n = 0;
    for (struct guest *g = h->guests; g < h->guests + PLACES; g++) {
        if (g->fd < 0 || g->leaving)
            continue;
        n++;
        if (oldest == NULL || g->since < oldest->since)
            oldest = g;
    }
    if (n < MAX_CONNECTIONS)
        return;
    oldest->leaving = true;
    (void)shutdown(oldest->fd, SHUT_RDWR); /* the library sees its end, and closes it */
}

static void on_connection(void *cls, struct MHD_Connection *conn, void **place,
                          enum MHD_ConnectionNotificationCode what)
{
    struct http_status *h = cls;
    struct guest *g = *place;
    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (g != NULL)
            g->fd = -1;
        return;
    }
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD);
    make_room(h);
    for (g = h->guests; info != NULL && g < h->guests + PLACES; g++) {
        if (g->fd < 0) {
            *g = (struct guest){ .fd = info->connect_fd, .since = h->order++ };
            *place = g;
            return;
        }
    }
}

static void note_answer(struct http_status *h, struct MHD_Connection *conn)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct guest *g = info == NULL ? NULL : info->socket_context;
    if (g != NULL)
        g->since = h->order++;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *conn, const char *url, const char *method,
                                  const char *version, const char *upload, size_t *upload_size, void **state)
{
    static char headers_seen; /* its address marks the second call */
    (void)version;
    (void)upload;
    if (*state == NULL) {
        *state = &headers_seen;
        if (has_body(conn))
            return reply(conn, HTTP_TOO_LARGE, text_plain, BYTES_LIT("this endpoint takes no request body\n"));
        return MHD_YES; /* an answer before the request is read whole would end the connection */
    }
    if (*upload_size != 0)
        return MHD_NO;
    note_answer(cls, conn);
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        return reply(conn, HTTP_METHOD, text_plain, BYTES_LIT("read-only: GET or HEAD\n"));
    return answer(cls, conn, url);
}

struct where {
    char host[256], port[8];
};

static bool bad_addr(const char *addr, const char *why, struct err *err)
{
    return err_set(err, ERR_CONFIG, "status address \"%s\": %s; write HOST:PORT, [IPv6]:PORT or PORT", addr, why);
}

static bool parse_addr(const char *addr, struct where *out, struct err *err)
{
    const char *host = addr, *port = addr;
    size_t host_n = 0;
    if (addr[0] == '[') {
        const char *end = strchr(addr, ']');
        if (end == NULL || end[1] != ':')
            return bad_addr(addr, "no \"]:\" after the IPv6 address", err);
        host = addr + 1;
        host_n = (size_t)(end - host);
        port = end + 2;
        if (host_n == 0)
            return bad_addr(addr, "empty IPv6 address", err);
    } else if (strchr(addr, ':') != NULL) {
        const char *colon = strchr(addr, ':');
        if (strchr(colon + 1, ':') != NULL)
            return bad_addr(addr, "an IPv6 address needs brackets", err);
        host_n = (size_t)(colon - addr);
        port = colon + 1;
    }
    struct where w;
    if (host_n >= sizeof w.host)
        return bad_addr(addr, "the host is too long", err);
    if (host_n == 0)
        snprintf(w.host, sizeof w.host, "127.0.0.1");
    else
        snprintf(w.host, sizeof w.host, "%.*s", (int)host_n, host);
    size_t digits = strspn(port, "0123456789");
    if (digits == 0 || digits > 5 || port[digits] != '\0' || strtoul(port, NULL, 10) > 65535)
        return bad_addr(addr, "the port is not a number from 0 to 65535", err);
    snprintf(w.port, sizeof w.port, "%.5s", port);
    *out = w;
    return true;
}

static unsigned bound_port(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } sa = { .v6 = { 0 } };
    socklen_t n = sizeof sa;
    if (getsockname(fd, &sa.any, &n) != 0)
        return 0;
    return ntohs(sa.any.sa_family == AF_INET6 ? sa.v6.sin6_port : sa.v4.sin_port);
}

static int listen_on(const char *addr, const struct where *w, struct err *err)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV }, *list = NULL;
    int rc = getaddrinfo(w->host, w->port, &hints, &list);
    if (rc != 0) {
        err_set(err, ERR_CONFIG, "status address \"%s\": %s", addr, gai_strerror(rc));
        return -1;
    }
    int fd = -1;
    for (struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next) {
        int one = 1;
        fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);
        if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
            bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0)
            break;
        err_sys(err, "status address \"%s\"", addr);
        err->code = ERR_CONFIG;
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    freeaddrinfo(list);
    return fd;
}

bool http_status_start(struct http_status **out, const char *addr, const struct http_status_ops *ops, void *ctx,
                       struct err *err)
{
    struct where w;
    if (!parse_addr(addr, &w, err))
        return false;
    struct http_status *h = calloc(1, sizeof *h);
    if (h == NULL)
        return err_nomem(err);
    h->ops = ops;
    h->ctx = ctx;
    for (size_t i = 0; i < PLACES; i++)
        h->guests[i].fd = -1;
    int fd = listen_on(addr, &w, err);
    if (fd < 0) {
        free(h);
        return false;
    }
    h->port = bound_port(fd);
    h->daemon = MHD_start_daemon(MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, on_request, h,
                                 MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)PLACES,
                                 MHD_OPTION_NOTIFY_CONNECTION, on_connection, h, MHD_OPTION_CONNECTION_TIMEOUT,
                                 (unsigned)IDLE_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)REQUEST_MEMORY,
                                 MHD_OPTION_END);
    if (h->daemon == NULL) {
        free(
            h); /* the library does not say whether it closed fd already; the caller ends, and closing twice is worse */
        return err_set(err, ERR_NET, "status address \"%s\": the HTTP library did not start", addr);
    }
    *out = h;
    return true;
}

unsigned http_status_port(const struct http_status *h)
{
    return h->port;
}

void http_status_stop(struct http_status **h)
{
    if (*h == NULL)
        return;
    MHD_stop_daemon((*h)->daemon); /* joins its thread, so that no callback runs afterwards; closes the socket */
    free(*h);
    *h = NULL;
}

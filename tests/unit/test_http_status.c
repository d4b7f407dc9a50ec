/* test_http_status.c - the endpoint over real loopback sockets: what is served, what is refused, which addresses are
 * taken. */
#include "http_status.h"
#include "unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static atomic_bool well = true;

static bool healthy(void *ctx, struct buf *why)
{
    (void)ctx;
    if (!well)
        buf_str(why, "source: no event for 70 s");
    return well;
}
static void metrics(void *ctx, struct buf *out)
{
    buf_printf(out, "m %d\n", *(int *)ctx);
}
static void status(void *ctx, struct buf *out)
{
    (void)ctx;
    buf_str(out, "{\"lsn\":1}");
}
static const struct http_status_ops ops = { healthy, metrics, status };

static int connect_to(unsigned port)
{
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct timeval limit = { .tv_sec = 10 };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0 ||
                    connect(fd, (const struct sockaddr *)&sa, sizeof sa) != 0)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static const char *ask(unsigned port, const char *request)
{
    static char text[8192];
    size_t n = 0;
    int fd = connect_to(port);
    if (fd >= 0 && send(fd, request, strlen(request), MSG_NOSIGNAL) == (ssize_t)strlen(request))
        for (ssize_t r; n < sizeof text - 1 && (r = recv(fd, text + n, sizeof text - 1 - n, 0)) > 0;)
            n += (size_t)r;
    if (fd >= 0)
        close(fd);
    text[n] = '\0';
    return text;
}

#define END " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
static const struct {
    const char *request;
    int code;
    const char *header, *body; /* both must be there; body is what follows the empty line */
} cases[] = {
    { "GET /healthz" END, 200, "Content-Type: text/plain", "ok\n" },
    { "GET /metrics" END, 200, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n", "m 5\n" },
    { "GET /api/v1/status" END, 200, "Content-Type: application/json\r\n", "{\"lsn\":1}" },
    { "GET /api/v1/status?x=1" END, 200, "Cache-Control: no-store\r\n", "{\"lsn\":1}" },
    { "HEAD /metrics" END, 200, "Content-Length: 4\r\n", "" },
    { "GET /" END, 404, "Cache-Control: no-store\r\n", NULL },
    { "GET /metrics/" END, 404, "", NULL },
    { "GET /../etc/passwd" END, 404, "", NULL },
    { "POST /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", 405,
      "Allow: GET, HEAD\r\n", NULL },
    { "DELETE /healthz" END, 405, "", NULL },
    { "OPTIONS /healthz" END, 405, "", NULL },
    { "GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 413, "", NULL },
    { "POST /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 413, "", NULL },
};

static void test_requests(unsigned port)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *got = ask(port, cases[i].request), *body = strstr(got, "\r\n\r\n");
        CHECK(strncmp(got, "HTTP/1.1 ", 9) == 0 && atoi(got + 9) == cases[i].code, "%s: want %d, got %s",
              cases[i].request, cases[i].code, got);
        CHECK(strstr(got, cases[i].header) != NULL, "%s: no %s in %s", cases[i].request, cases[i].header, got);
        CHECK(cases[i].body == NULL || (body != NULL && strcmp(body + 4, cases[i].body) == 0), "%s: want %s, got %s",
              cases[i].request, cases[i].body, got);
    }
    well = false;
    const char *got = ask(port, "GET /healthz" END);
    CHECK(atoi(got + 9) == 503 && strstr(got, "\r\n\r\nsource: no event for 70 s\n") != NULL, "unhealthy: %s", got);
    well = true;
    static char big[40000];
    snprintf(big, sizeof big, "GET /healthz HTTP/1.1\r\nHost: x\r\nX: %030000d\r\n\r\n", 1);
    got = ask(port, big);
    CHECK(strncmp(got, "HTTP/1.1 200", 12) != 0, "huge headers are refused: %.60s", got);
    got = ask(port, "nonsense\r\n\r\n");
    CHECK(strncmp(got, "HTTP/1.1 200", 12) != 0, "not HTTP: %.60s", got);
    CHECK(atoi(ask(port, "GET /healthz" END) + 9) == 200, "still alive");
}

static bool say(int fd, const char *text)
{
    return send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
}

static bool ended(int fd)
{
    char c;
    return recv(fd, &c, 1, MSG_DONTWAIT) == 0;
}

/* More clients than there is room for, that say nothing, or begin a request and never end it, a byte at a time: they do not keep
 * others out, and the first of them have to go. One that asks now and then stays. */
static void test_many(unsigned port)
{
    enum { MANY = 100 };
    static const char slow[] = "GET /metrics HTTP/1.1\r\nHost: x\r\n",
                      whole[] = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    int fds[MANY], regular = connect_to(port);
    char answer[2000];
    CHECK(regular >= 0, "connect");
    for (size_t i = 0; i < MANY; i++) {
        fds[i] = connect_to(port);
        CHECK(fds[i] >= 0, "connection %zu", i);
        if (i % 2 == 0)
            say(fds[i], slow);
        if (i % 8 == 0) {
            const char *got = ask(port, "GET /healthz" END);
            CHECK(strncmp(got, "HTTP/1.1 200", 12) == 0, "among %zu: %s", i, got);
            CHECK(say(regular, whole) && recv(regular, answer, sizeof answer, 0) > 12 &&
                      memcmp(answer, "HTTP/1.1 200", 12) == 0,
                  "one that asks again, among %zu", i);
        }
    }
    for (size_t i = 0; i < MANY; i += 2) /* those that are left */
        say(fds[i], "X");
    unsigned open = MANY;
    for (int tries = 0; tries < 250 && open > 32; tries++) {
        usleep(20000);
        open = 0;
        for (size_t i = 0; i < MANY; i++)
            open += !ended(fds[i]);
    }
    CHECK(ended(fds[0]) && ended(fds[1]) && !ended(fds[MANY - 1]) && open <= 32, "%u are open", open);
    CHECK(atoi(ask(port, "GET /healthz" END) + 9) == 200, "while they are there");
    close(regular);
    for (size_t i = 0; i < MANY; i++)
        close(fds[i]);
    CHECK(atoi(ask(port, "GET /healthz" END) + 9) == 200, "when they are gone");
}

static const struct {
    const char *addr;
    const char *error; /* NULL: starts */
} addrs[] = {
    { "0", NULL },
    { ":0", NULL },
    { "127.0.0.1:0", NULL },
    { "localhost:0", NULL },
    { "", "port is not a number" },
    { "x", "port is not a number" },
    { "127.0.0.1:", "port is not a number" },
    { "127.0.0.1:70000", "port is not a number" },
    { "127.0.0.1:1x", "port is not a number" },
    { "127.0.0.1:-1", "port is not a number" },
    { "::1:9", "needs brackets" },
    { "[::1]", "no \"]:\"" },
    { "[::1", "no \"]:\"" },
    { "[]:9", "empty IPv6" },
    { "no host:9", "status address \"no host:9\"" },
};

int main(void)
{
    struct err e = { 0 };
    struct http_status *h = NULL;
    int five = 5;
    for (size_t i = 0; i < sizeof addrs / sizeof *addrs; i++) {
        bool ok = http_status_start(&h, addrs[i].addr, &ops, &five, &e);
        if (addrs[i].error == NULL)
            CHECK(ok && http_status_port(h) != 0, "\"%s\": %s", addrs[i].addr, e.msg);
        else
            CHECK(!ok && e.code == ERR_CONFIG && strstr(e.msg, addrs[i].error) != NULL, "\"%s\": got %s", addrs[i].addr,
                  e.msg);
        http_status_stop(&h);
        CHECK(h == NULL, "stopped");
    }
    if (http_status_start(&h, "[::1]:0", &ops, &five, &e)) /* where the machine has IPv6 */
        http_status_stop(&h);

    CHECK(http_status_start(&h, "0", &ops, &five, &e), "%s", e.msg);
    if (h == NULL)
        return UNIT_END();
    unsigned port = http_status_port(h);
    char again[32];
    struct http_status *second = NULL;
    snprintf(again, sizeof again, "127.0.0.1:%u", port);
    CHECK(!http_status_start(&second, again, &ops, &five, &e) && strstr(e.msg, "Address already in use") != NULL,
          "got %s", e.msg);
    test_requests(port);
    test_many(port);
    int open_fd = connect_to(port); /* stopping must not wait for an idle client */
    http_status_stop(&h);
    CHECK(connect_to(port) < 0, "nothing listens afterwards");
    close(open_fd);
    return UNIT_END();
}

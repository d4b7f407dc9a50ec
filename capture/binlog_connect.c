/* binlog_connect.c - binlog_client_connect: the attempt runs in a thread of its own. Both libraries look up names, connect and
 * shake hands without a way to break it off, for connect-timeout and more; a stop does not wait for that: it leaves the attempt
 * behind, which cleans up after itself. */
#include "binlog_client_lib.h"

#include "stop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

struct attempt {
    struct source_url url; /* its own: the caller's may be gone before it ends */
    unsigned read_timeout_s;
    int done[2]; /* a pipe: the end of its writing side is the end of the attempt */
    pthread_mutex_t lock;
    bool finished, left;
    struct binlog_client *client;
    struct err err;
};

static atomic_bool any_left;

bool binlog_client_left_attempt(void)
{
    return atomic_load(&any_left);
}

static void attempt_free(struct attempt *a)
{
    binlog_client_close(a->client);
    source_url_clear(&a->url);
    for (int i = 0; i < 2; i++)
        if (a->done[i] >= 0)
            close(a->done[i]);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

static void *attempt_run(void *arg)
{
    struct attempt *a = arg;
    (void)client_connect_now(&a->url, a->read_timeout_s, &a->client, &a->err);
    mysql_thread_end();
    pthread_mutex_lock(&a->lock);
    bool left = a->left;
    a->finished = true;
    close(a->done[1]);
    a->done[1] = -1;
    pthread_mutex_unlock(&a->lock);
    if (left)
        attempt_free(a);
    return NULL;
}

static struct attempt *attempt_new(const struct source_url *u, unsigned read_timeout_s, struct err *err)
{
    struct attempt *a = calloc(1, sizeof *a);
    if (a == NULL) {
        err_nomem(err);
        return NULL;
    }
    a->read_timeout_s = read_timeout_s;
    a->done[0] = a->done[1] = -1;
    pthread_mutex_init(&a->lock, NULL);
    if (source_url_copy(u, &a->url, err)) {
        if (pipe2(a->done, O_CLOEXEC) == 0)
            return a;
        err_sys(err, "make a pipe");
    }
    attempt_free(a);
    return NULL;
}

/* True: it has ended. False: we are to stop, and it is left to itself. */
static bool attempt_wait(struct attempt *a)
{
    struct pollfd p[2] = { { .fd = a->done[0], .events = POLLIN }, { .fd = stop_fd(), .events = POLLIN } };
    while (stop_level() == STOP_NO && poll(p, 2, -1) >= 0 && p[0].revents == 0 && p[1].revents == 0) {
    }
    pthread_mutex_lock(&a->lock);
    bool finished = a->finished;
    a->left = !finished;
    pthread_mutex_unlock(&a->lock);
    return finished;
}

bool binlog_client_connect(const struct source_url *u, unsigned read_timeout_s, struct binlog_client **out,
                           struct err *err)
{
    pthread_t thread;
    struct attempt *a = attempt_new(u, read_timeout_s, err);
    if (a == NULL)
        return false;
    int rc = pthread_create(&thread, NULL, attempt_run, a);
    if (rc != 0) {
        attempt_free(a);
        errno = rc;
        return err_sys(err, "start a thread");
    }
    if (!attempt_wait(a)) {
        atomic_store(&any_left, true);
        pthread_detach(thread);
        return err_set(err, ERR_STOPPED, "stopped while connecting to the source");
    }
    pthread_join(thread, NULL);
    bool ok = a->client != NULL;
    if (ok)
        *out = a->client;
    else
        *err = a->err;
    a->client = NULL;
    attempt_free(a);
    return ok;
}

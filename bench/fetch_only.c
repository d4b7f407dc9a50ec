/* fetch_only.c - the limit of a capture: asks for a binlog through libmysqlclient's binlog API, counts events and bytes, keeps nothing.
 *
 *   fetch_only HOST PORT USER FILE BYTES [CA]     the password is in $ROWTIDE_SOURCE_PASSWORD
 *
 * Reads FILE from offset 4 until BYTES of events have come (what SHOW BINARY LOGS says of the file or files), or the source has no more.
 * CA: with TLS, verified. Prints events and bytes. */
#include <mysql.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER = 19, FLAGS_AT = 17, ARTIFICIAL = 0x20, TYPE_AT = 4, HEARTBEAT = 27, HEARTBEAT_V2 = 41, MAGIC = 4 };

static int fail(MYSQL *my, const char *what)
{
    fprintf(stderr, "fetch_only: %s: %s\n", what, mysql_error(my));
    return 1;
}

static bool counts(const unsigned char *event, unsigned long n)
{
    return n >= HEADER && (event[FLAGS_AT] & ARTIFICIAL) == 0 && event[TYPE_AT] != HEARTBEAT &&
           event[TYPE_AT] != HEARTBEAT_V2;
}

int main(int argc, char **argv)
{
    if (argc < 6) {
        fprintf(stderr, "usage: fetch_only HOST PORT USER FILE BYTES [CA]\n");
        return 2;
    }
    MYSQL *my = mysql_init(NULL);
    unsigned mode = argc > 6 ? SSL_MODE_VERIFY_CA : SSL_MODE_DISABLED;
    bool get_key = true;
    if (my == NULL || mysql_options(my, MYSQL_OPT_SSL_MODE, &mode) != 0 ||
        mysql_options(my, MYSQL_OPT_GET_SERVER_PUBLIC_KEY, &get_key) != 0 ||
        (argc > 6 && mysql_options(my, MYSQL_OPT_SSL_CA, argv[6]) != 0))
        return fail(my, "options");
    if (mysql_real_connect(my, argv[1], argv[3], getenv("ROWTIDE_SOURCE_PASSWORD"), NULL, (unsigned)atoi(argv[2]), NULL,
                           0) == NULL)
        return fail(my, "connect");
    if (mysql_query(my, "SET @source_binlog_checksum = @@GLOBAL.binlog_checksum, @master_binlog_checksum = "
                        "@@GLOBAL.binlog_checksum") != 0)
        return fail(my, "checksum");
    MYSQL_RPL rpl = {
        .file_name = argv[4], .file_name_length = strlen(argv[4]), .start_position = MAGIC, .server_id = 4242
    };
    if (mysql_binlog_open(my, &rpl) != 0)
        return fail(my, "open the binlog");
    unsigned long long want = strtoull(argv[5], NULL, 10), bytes = MAGIC, events = 0;
    while (bytes < want) {
        if (mysql_binlog_fetch(my, &rpl) != 0)
            return fail(my, "fetch");
        if (rpl.size == 0)
            break;
        if (!counts(rpl.buffer + 1, rpl.size - 1))
            continue;
        bytes += rpl.size - 1;
        events++;
    }
    printf("%llu events, %llu bytes\n", events, bytes);
    mysql_binlog_close(my, &rpl);
    mysql_close(my);
    return bytes < want;
}

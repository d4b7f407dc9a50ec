/* test_source_file.c - one binlog file is known by its name and by when it was made; the next one replaces it. */
#include "source_file.h"

#include "file.h"
#include "unit.h"

#include <fcntl.h>
#include <unistd.h>

static const struct {
    const char *name;
    uint32_t made;
    const char *lost; /* in the error, or NULL */
    const char *kept;
} cases[] = {
    { "b.000001", 100, NULL, "b.000001 100\n" },
    { "b.000001", 100, NULL, "b.000001 100\n" },        /* again after a reconnect */
    { "b.000001", 101, "was reset", "b.000001 100\n" }, /* refused, and remembered as it was */
    { "b.000001", 100, NULL, "b.000001 100\n" },
    { "b.000001", 10, "was reset", "b.000001 100\n" },
    { "b.000001", 1000, "was reset", "b.000001 100\n" },
    { "b.00000", 5, NULL, "b.00000 5\n" },
    { "b.000002", 100, NULL, "b.000002 100\n" },
    { "b.000002", UINT32_MAX, "was reset", "b.000002 100\n" },
    { "b.000003", UINT32_MAX, NULL, "b.000003 4294967295\n" },
};

int main(void)
{
    char root[] = "/tmp/rowtide-test-source-file-XXXXXX";
    int dir = mkdtemp(root) == NULL ? -1 : open(root, O_RDONLY | O_DIRECTORY);
    CHECK(dir >= 0, "a directory");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = { 0 };
        struct buf kept = { 0 };
        bool ok = source_file_note(dir, cases[i].name, cases[i].made, &err);
        CHECK(ok == (cases[i].lost == NULL), "%zu: %s", i, err.msg);
        CHECK(ok || (err.code == ERR_LOST && strstr(err.msg, cases[i].lost) != NULL), "%zu: %s", i, err.msg);
        CHECK(file_read(dir, "source_file", 100, &kept, &err) && bytes_eq_str(buf_view(&kept), cases[i].kept),
              "%zu: %s", i, buf_cstr(&kept));
        buf_free(&kept);
    }
    unlinkat(dir, "source_file", 0);
    close(dir);
    rmdir(root);
    return UNIT_END();
}

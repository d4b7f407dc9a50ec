/* row_temporal.c - dates and times as they lie in rows.
 *
 * The forms of MySQL 5.6 and later, and MariaDB's default (types 17, 18, 19): big-endian, biased so that they sort as
 * bytes, the fraction in (digits + 1) / 2 bytes behind. The older ones (7, 11, 12): little-endian, decimal digits.
 * Source: MySQL, sql-common/my_time.cc, my_datetime_packed_from_binary and the functions beside it; sql/field.cc for
 * the old ones. */
#include "row_decode.h"

unsigned row_temporal_bytes(uint8_t type, unsigned scale)
{
    unsigned fraction = (scale + 1) / 2;
    switch (type) {
    case WT_DATE:
    case WT_NEWDATE:
    case WT_TIME:
        return 3;
    case WT_TIME2:
        return 3 + fraction;
    case WT_TIMESTAMP:
        return 4;
    case WT_TIMESTAMP2:
        return 4 + fraction;
    case WT_DATETIME:
        return 8;
    case WT_DATETIME2:
        return 5 + fraction;
    default:
        return 0;
    }
}

static bool sane(struct civil c)
{
    return c.year <= 9999 && c.mon <= 12 && c.day <= 31 && c.hour < 24 && c.min < 60 && c.sec < 60 &&
           c.usec < ROW_US_PER_SECOND;
}

static bool time_of(unsigned hours, unsigned min, unsigned sec, uint32_t usec, bool negative, int64_t *us)
{
    if (hours > ROW_HOURS_MAX || min > 59 || sec > 59 || usec >= ROW_US_PER_SECOND)
        return false;
    int64_t v = (((int64_t)hours * 60 + min) * 60 + sec) * ROW_US_PER_SECOND + usec;
    *us = negative ? -v : v;
    return true;
}

static struct civil old_datetime(uint64_t digits) /* YYYYMMDDhhmmss */
{
    uint64_t date = digits / 1000000, clock = digits % 1000000;
    if (date / 10000 > 9999)
        return (struct civil){ .mon = 99 };
    return (struct civil){ .year = (uint16_t)(date / 10000),
                           .mon = (uint8_t)(date / 100 % 100),
                           .day = (uint8_t)(date % 100),
                           .hour = (uint8_t)(clock / 10000),
                           .min = (uint8_t)(clock / 100 % 100),
                           .sec = (uint8_t)(clock % 100) };
}

bool row_temporal_decode(struct cur *c, uint8_t type, unsigned scale, struct val *out)
{
    unsigned fraction = (scale + 1) / 2;
    bool ok = true;
    out->scale = (uint8_t)scale;
    switch (type) {
    case WT_DATE:
    case WT_NEWDATE:
        ok = row_date((uint32_t)cur_le(c, 3), &out->u.i64);
        out->kind = VAL_DATE;
        break;
    case WT_TIME: { /* hhmmss, signed */
        uint32_t raw = (uint32_t)cur_le(c, 3);
        bool negative = (raw & 0x800000) != 0;
        uint32_t d = negative ? 0x1000000 - raw : raw;
        out->kind = VAL_TIME;
        ok = time_of(d / 10000, d / 100 % 100, d % 100, 0, negative, &out->u.i64);
        break;
    }
    case WT_TIME2:
        out->kind = VAL_TIME;
        ok = row_time2(cur_be(c, 3 + fraction) << (40 - 8 * fraction), fraction, &out->u.i64);
        break;
    case WT_TIMESTAMP:
        out->kind = VAL_INSTANT;
        out->u.i64 = (int64_t)cur_le(c, 4) * ROW_US_PER_SECOND;
        break;
    case WT_TIMESTAMP2:
        ok = row_timestamp2(cur_be(c, 4 + fraction) << (32 - 8 * fraction), fraction, &out->u.i64);
        out->kind = VAL_INSTANT;
        break;
    case WT_DATETIME: {
        struct civil t = old_datetime(cur_le(c, 8));
        ok = sane(t);
        out->kind = VAL_DATETIME;
        out->u.i64 = civil_pack(t);
        break;
    }
    case WT_DATETIME2:
        ok = row_datetime2(cur_be(c, 5 + fraction) << (24 - 8 * fraction), fraction, &out->u.i64);
        out->kind = VAL_DATETIME;
        break;
    default:
        ok = false;
    }
    if (!ok)
        cur_fail(c, "no date or time that can be");
    return c->why == NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/lib/lib.h"

struct output {
    char *at;
    size_t size, length; /* length counts what would have been written, as snprintf does */
};

static void put(struct output *o, char c)
{
    if (o->length + 1 < o->size)
        o->at[o->length] = c;
    o->length++;
}

struct style {
    bool left, zero;
    int width, precision; /* -1: none */
};

static void put_padded(struct output *o, const char *s, size_t n, const struct style *style)
{
    size_t pad = style->width > 0 && (size_t)style->width > n ? (size_t)style->width - n : 0;
    for (size_t i = 0; !style->left && i < pad; i++)
        put(o, ' ');
    for (size_t i = 0; i < n; i++)
        put(o, s[i]);
    for (size_t i = 0; style->left && i < pad; i++)
        put(o, ' ');
}

static void put_number(struct output *o, uint64_t value, bool negative, unsigned base, const char *prefix,
                       const struct style *style)
{
    char digits[24];
    size_t n = sizeof digits;
    do
        digits[--n] = "0123456789abcdef"[value % base];
    while (value /= base);
    char text[64];
    size_t length = 0;
    if (negative)
        text[length++] = '-';
    for (; *prefix; prefix++)
        text[length++] = *prefix;
    size_t have = sizeof digits - n;
    size_t want = style->precision >= 0 ? (size_t)style->precision
                  : style->zero && !style->left && style->width > (int)length
                      ? (size_t)style->width - length
                      : 0;
    for (size_t i = have; i < want && length < 40; i++)
        text[length++] = '0';
    for (size_t i = n; i < sizeof digits; i++)
        text[length++] = digits[i];
    put_padded(o, text, length, style);
}

int print_vformat(char *out, size_t size, const char *format, va_list arguments)
{
    struct output o = {.at = out, .size = size};
    for (const char *f = format; *f; f++) {
        if (*f != '%') {
            put(&o, *f);
            continue;
        }
        struct style style = {.precision = -1};
        for (f++; *f == '-' || *f == '0'; f++) {
            style.left |= *f == '-';
            style.zero |= *f == '0';
        }
        if (*f == '*') {
            style.width = va_arg(arguments, int);
            f++;
        }
        for (; *f >= '0' && *f <= '9'; f++)
            style.width = style.width * 10 + (*f - '0');
        if (*f == '.') {
            style.precision = 0;
            f++;
            if (*f == '*') {
                style.precision = va_arg(arguments, int);
                f++;
            }
            for (; *f >= '0' && *f <= '9'; f++)
                style.precision = style.precision * 10 + (*f - '0');
        }
        bool wide = false;
        for (; *f == 'l' || *f == 'z' || *f == 'j'; f++)
            wide = true;
        switch (*f) {
        case 'd':
        case 'i': {
            int64_t v = wide ? va_arg(arguments, int64_t) : va_arg(arguments, int);
            put_number(&o, v < 0 ? -(uint64_t)v : (uint64_t)v, v < 0, 10, "", &style);
            break;
        }
        case 'u':
            put_number(&o, wide ? va_arg(arguments, uint64_t) : va_arg(arguments, unsigned), false, 10, "", &style);
            break;
        case 'o':
            put_number(&o, wide ? va_arg(arguments, uint64_t) : va_arg(arguments, unsigned), false, 8, "", &style);
            break;
        case 'x':
            put_number(&o, wide ? va_arg(arguments, uint64_t) : va_arg(arguments, unsigned), false, 16, "", &style);
            break;
        case 'p':
            put_number(&o, (uint64_t)va_arg(arguments, void *), false, 16, "0x", &style);
            break;
        case 'c': {
            char c = (char)va_arg(arguments, int);
            put_padded(&o, &c, 1, &style);
            break;
        }
        case 's': {
            const char *s = va_arg(arguments, const char *);
            s = s ? s : "(null)";
            put_padded(&o, s, strnlen(s, style.precision >= 0 ? (size_t)style.precision : SIZE_MAX), &style);
            break;
        }
        case 0:
            f--;
            break;
        default:
            put(&o, *f);
        }
    }
    if (size)
        out[MIN(o.length, size - 1)] = 0;
    return (int)o.length;
}

int print_format(char *out, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = print_vformat(out, size, format, arguments);
    va_end(arguments);
    return n;
}

/* SPDX-License-Identifier: MIT
 *
 * JSON strings, made from any bytes.
 */
#include "save.h"

/* The length of the UTF-8 sequence at the start of the text, 0 if there is none. */
static size_t sequence(const unsigned char *at)
{
    const unsigned char second = at[0] == 0xe0   ? 0xa0
                                 : at[0] == 0xf0 ? 0x90
                                                 : 0x80; /* at least: no longer than needed */
    const unsigned char last = at[0] == 0xed ? 0x9f : at[0] == 0xf4 ? 0x8f : 0xbf;
    const size_t length = at[0] < 0x80   ? 1
                          : at[0] < 0xc2 ? 0
                          : at[0] < 0xe0 ? 2
                          : at[0] < 0xf0 ? 3
                                         : 4;

    if (length > 1 && (at[0] > 0xf4 || at[1] < second || at[1] > last))
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

/* Characters that mean something in HTML are escaped too, so that the text can be put into a page.
 * What is not UTF-8 becomes the replacement character. */
void readyq__print_json(FILE *file, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;

    putc('"', file);
    while (*at != '\0') {
        const size_t length = sequence(at);

        if (length == 0)
            fputs("\\ufffd", file);
        else if (length == 1 && (*at < ' ' || *at == 0x7f || strchr("\"\\<>&", *at) != NULL))
            fprintf(file, "\\u%04x", *at);
        else
            fwrite(at, 1, length, file);
        at += length > 0 ? length : 1;
    }
    putc('"', file);
}

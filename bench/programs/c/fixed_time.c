/* SPDX-License-Identifier: MIT
 *
 * Is loaded before a program in Lua that is counted. Lua derives the seed of its hash tables from
 * time(), and with other seeds other strings collide.
 */
#include <time.h>

time_t time(time_t *where)
{
    if (where != NULL)
        *where = 0;
    return 0;
}

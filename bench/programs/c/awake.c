/* SPDX-License-Identifier: MIT
 *
 * Keeps a core awake: `awake CORE SECONDS`. A processor with nothing to do halts, and in a virtual
 * machine waking it costs more than the message it is woken for. This thread runs only while no
 * other thread wants the core, and ends when the time is over.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    const struct sched_param param = {0};
    cpu_set_t cores;

    if (argc != 3) {
        fprintf(stderr, "usage: awake CORE SECONDS\n");
        return 2;
    }
    CPU_ZERO(&cores);
    CPU_SET((size_t)atoi(argv[1]), &cores);
    alarm((unsigned)atoi(argv[2]));
    if (sched_setaffinity(0, sizeof cores, &cores) < 0 ||
        sched_setscheduler(0, SCHED_IDLE, &param) < 0) {
        perror("awake");
        return 1;
    }
    for (;;)
        __asm__ volatile(""); /* no pause instruction: it, too, may leave the virtual machine */
}

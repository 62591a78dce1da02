/* SPDX-License-Identifier: MIT
 *
 * A recording as a file in the Chrome Trace Event format: JSON that Perfetto, Speedscope and
 * readyq.timeline read. Each thread has a track, with its waits, sleeps and the handlers that it
 * ran; each watch has one, with its changes, the times when it was ready but not taken, and those
 * when it was handled. Arrows (flows) lead from a wake or a fire to the wait it ended.
 *
 * Records are read one after another. What has a beginning and an end is kept with its thread or
 * its watch until the end is found. Then it is written: the format requires no order.
 */
#include "save.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ------------------------------------------------------------------ JSON */

/* Microseconds since the first record. */
static void print_time(const struct readyq__trace *to, const char *name, int64_t time)
{
    fprintf(to->file, ",\"%s\":%" PRId64 ".%03d", name, time / 1000, (int)(time % 1000));
}

/* A tenth of a nanosecond less, so that a reader that adds it to the beginning does not get an end
 * after the beginning of the next slice: it computes with doubles, and would consider the two
 * nested.
 */
static void print_duration(const struct readyq__trace *to, int64_t duration)
{
    if (duration > 0)
        fprintf(to->file, ",\"dur\":%" PRId64 ".%03d9", (duration - 1) / 1000,
                (int)((duration - 1) % 1000));
    else
        fputs(",\"dur\":0", to->file);
}

static void begin_event(struct readyq__trace *to, const char *phase, uint64_t track,
                        const char *name)
{
    fprintf(to->file, "%s\n{\"ph\":\"%s\",\"pid\":%ld,\"tid\":%" PRIu64 ",\"name\":", to->separator,
            phase, to->process, track);
    to->separator = ",";
    readyq__print_json(to->file, name);
}

static void end_event(struct readyq__trace *to)
{
    fputs("}}", to->file);
}

/* Begins an event with its arguments. */
static void begin_instant(struct readyq__trace *to, uint64_t track, const char *category,
                          const char *name, int64_t time)
{
    begin_event(to, "i", track, name);
    fprintf(to->file, ",\"cat\":\"%s\",\"s\":\"%s\"", category,
            strcmp(category, "queue") == 0 ? "p" : "t");
    print_time(to, "ts", time - to->start);
    fputs(",\"args\":{", to->file);
}

/* `from` NONE: its beginning was dropped. `until` NONE: it has not ended. */
static void begin_slice(struct readyq__trace *to, uint64_t track, const char *category,
                        const char *name, int64_t from, int64_t until)
{
    const int64_t start = from == NONE ? to->start : from, end = until == NONE ? to->end : until;

    begin_event(to, "X", track, name);
    fprintf(to->file, ",\"cat\":\"%s\"", category);
    print_time(to, "ts", start - to->start);
    print_duration(to, end - start);
    fprintf(to->file, ",\"args\":{%s%s", from == NONE ? "\"cut\":true" : "",
            until == NONE ? "\"open\":true" : "");
    if (from == NONE || until == NONE)
        putc(',', to->file);
}

static void write_flow(struct readyq__trace *to, uint32_t from, int64_t start, uint32_t until,
                       int64_t end)
{
    to->flows++;
    begin_event(to, "s", from, "ends a wait");
    fprintf(to->file, ",\"cat\":\"flow\",\"id\":%u", to->flows);
    print_time(to, "ts", start - to->start);
    fputs(",\"args\":{", to->file);
    end_event(to);
    begin_event(to, "f", until, "ends a wait");
    fprintf(to->file, ",\"cat\":\"flow\",\"id\":%u,\"bp\":\"e\"", to->flows);
    print_time(to, "ts", end - to->start);
    fputs(",\"args\":{", to->file);
    end_event(to);
}

/* ------------------------------------------------------------------ watches and threads */

static const char *label(const struct readyq__lane *watch, char text[300])
{
    const size_t used = strlen(readyq__describe_source(&watch->source, text, 40));

    if (*watch->name != '\0')
        snprintf(text + used, 300 - used, " (%s)", watch->name);
    return text;
}

/* ------------------------------------------------------------------ slices */

static void print_bits(struct readyq__trace *to, const char *name, uint32_t bits)
{
    char text[128];

    fprintf(to->file, "\"%s\":\"%s\"", name, readyq_describe_bits(bits, text, sizeof text));
}

static void write_wait(struct readyq__trace *to, struct readyq__thread *thread,
                       const struct readyq_record *end)
{
    begin_slice(to, thread->id, "wait", thread->looks ? "look" : "wait", thread->wait,
                end != NULL ? end->time : NONE);
    if (thread->timeout < 0)
        fputs("\"timeout\":null", to->file);
    else
        fprintf(to->file, "\"timeout\":%.9f", (double)thread->timeout / 1e9);
    if (end != NULL && end->value >= 0) {
        fprintf(to->file, ",\"ready\":%" PRId64, end->value);
    } else if (end != NULL) {
        fputs(",\"error\":", to->file);
        readyq__print_json(to->file, strerror((int)-end->value));
    }
    end_event(to);
}

static void write_sleep(struct readyq__trace *to, struct readyq__thread *thread, int64_t until)
{
    begin_slice(to, thread->id, "sleep", "asleep in the kernel", thread->sleep, until);
    fputs("\"thread\":", to->file);
    fprintf(to->file, "%" PRIu32, thread->id);
    end_event(to);
    thread->sleep = NONE;
}

/* A handler runs until its thread takes the next watch, waits again, or is done. */
static void write_handler(struct readyq__trace *to, struct readyq__thread *thread, int64_t until)
{
    char text[300], bits[128];

    if (thread->handler == NONE)
        return;
    begin_slice(to, thread->id, "handler", label(thread->watch, text), thread->handler, until);
    fprintf(to->file, "\"watch\":%" PRIu64 ",\"count\":%" PRId64 ",", thread->watch->id,
            thread->count);
    print_bits(to, "ready", thread->bits);
    end_event(to);
    begin_slice(to, WATCHES + thread->watch->id, "handled",
                readyq_describe_bits(thread->bits, bits, sizeof bits), thread->handler, until);
    fprintf(to->file, "\"thread\":%" PRIu32, thread->id);
    end_event(to);
    thread->handler = NONE;
    /* A watch that became ready again meanwhile waits from now on: slices of a track must not
     * overlap. */
    if (thread->watch->ready != NONE && until != NONE && thread->watch->ready < until)
        thread->watch->ready = until;
}

static void write_ready(struct readyq__trace *to, struct readyq__lane *watch, int64_t until,
                        bool taken)
{
    char bits[128];

    if (watch->ready == NONE)
        return;
    begin_slice(to, WATCHES + watch->id, "ready",
                readyq_describe_bits(watch->ready_bits, bits, sizeof bits), watch->ready, until);
    fprintf(to->file, "\"taken\":%s", taken ? "true" : "false");
    end_event(to);
    watch->ready = NONE;
}

/* ------------------------------------------------------------------ records */

static void write_change(struct readyq__trace *to, struct readyq__lane *watch,
                         const struct readyq_record *record)
{
    static const char *const why[] = {"call", "fired", "closed descriptor", "closed queue"};

    if (record->type != READYQ_RECORD_ADD && record->type != READYQ_RECORD_RESTART)
        write_ready(to, watch, record->time, false);
    begin_instant(to, WATCHES + watch->id, "change", readyq_record_name(record->type),
                  record->time);
    fprintf(to->file, "\"thread\":%" PRIu32, record->thread);
    if (record->type == READYQ_RECORD_REMOVE)
        fprintf(to->file, ",\"why\":\"%s\"", why[record->value & 3]);
    else if (record->type == READYQ_RECORD_RESTART)
        fprintf(to->file, ",\"delay\":%.9f", (double)record->value / 1e9);
    if (record->bits != 0) {
        putc(',', to->file);
        print_bits(to, "interest", record->bits);
    }
    end_event(to);
}

static void write_fire(struct readyq__trace *to, struct readyq__lane *watch,
                       const struct readyq_record *record)
{
    char name[320] = "fire ", text[300];

    snprintf(name, sizeof name, "fire %s", label(watch, text));
    begin_instant(to, record->thread, "fire", name, record->time);
    fprintf(to->file, "\"watch\":%" PRIu64, watch->id);
    end_event(to);
    if (watch->fired == NONE) {
        watch->fired = record->time;
        watch->firing_thread = record->thread;
    }
}

static void write_wake(struct readyq__trace *to, const struct readyq_record *record)
{
    begin_instant(to, record->thread, "wake", "wake", record->time);
    end_event(to);
    to->wake = record->time;
    to->waking_thread = record->thread;
}

static void write_queue(struct readyq__trace *to, const struct readyq_record *record)
{
    begin_instant(to, record->thread, "queue", readyq_record_name(record->type), record->time);
    if (record->type == READYQ_RECORD_START)
        fprintf(to->file, "\"watches\":%" PRId64, record->value);
    else if (record->type == READYQ_RECORD_GHOST)
        fprintf(to->file, "\"fd\":%d", record->number);
    end_event(to);
}

static void begin_wait(struct readyq__trace *to, struct readyq__thread *thread,
                       const struct readyq_record *record)
{
    write_handler(to, thread, record->time);
    thread->wait = record->time;
    thread->timeout = record->value;
    thread->looks = (record->bits & READYQ_RECORD_LOOKS) != 0;
}

static void end_wait(struct readyq__trace *to, struct readyq__thread *thread,
                     const struct readyq_record *record)
{
    write_wait(to, thread, record);
    if ((record->bits & READYQ_RECORD_WOKEN) && to->wake != NONE) {
        write_flow(to, to->waking_thread, to->wake, thread->id, record->time);
        to->wake = NONE;
    }
    thread->wait_end = record->time;
}

/* Whether the fire ended the last wait of the thread: it happened during that wait. */
static bool has_ended(const struct readyq__lane *watch, const struct readyq__thread *thread)
{
    return watch->fired != NONE && watch->firing_thread != thread->id && thread->wait_end != NONE &&
           thread->wait <= watch->fired && watch->fired <= thread->wait_end;
}

static void deliver(struct readyq__trace *to, struct readyq__thread *thread,
                    struct readyq__lane *watch, const struct readyq_record *record)
{
    write_handler(to, thread, record->time);
    write_ready(to, watch, record->time, true);
    if (has_ended(watch, thread))
        write_flow(to, watch->firing_thread, watch->fired, thread->id, thread->wait_end);
    watch->fired = NONE;
    thread->handler = record->time;
    thread->watch = watch;
    thread->bits = record->bits;
    thread->count = record->value;
}

static void write_record(struct readyq__trace *to, const struct readyq_record *record)
{
    struct readyq__thread *thread = readyq__find_thread(to, record->thread);
    struct readyq__lane *watch = readyq__find_lane(to, record->watch);

    switch ((enum readyq_record_type)record->type) {
    case READYQ_RECORD_ADD:
    case READYQ_RECORD_MODIFY:
    case READYQ_RECORD_REMOVE:
    case READYQ_RECORD_RESTART: write_change(to, watch, record); break;
    case READYQ_RECORD_FIRE: write_fire(to, watch, record); break;
    case READYQ_RECORD_WAKE: write_wake(to, record); break;
    case READYQ_RECORD_WAIT: begin_wait(to, thread, record); break;
    case READYQ_RECORD_SLEEP: thread->sleep = record->time; break;
    case READYQ_RECORD_SLEEP_END: write_sleep(to, thread, record->time); break;
    case READYQ_RECORD_EVENT:
        if (watch->ready == NONE)
            watch->ready = record->time;
        watch->ready_bits = record->bits;
        break;
    case READYQ_RECORD_LAPSE: write_ready(to, watch, record->time, false); break;
    case READYQ_RECORD_WAIT_END: end_wait(to, thread, record); break;
    case READYQ_RECORD_DELIVERY: deliver(to, thread, watch, record); break;
    case READYQ_RECORD_DONE: write_handler(to, thread, record->time); break;
    case READYQ_RECORD_START:
    case READYQ_RECORD_GHOST:
    case READYQ_RECORD_REBUILD:
    case READYQ_RECORD_FORK:
    case READYQ_RECORD_CLOSE: write_queue(to, record); break;
    }
}

/* What has not ended at the end of the recording. */
static void write_open(struct readyq__trace *to)
{
    for (size_t i = 0; i < to->nthreads; i++) {
        struct readyq__thread *thread = &to->threads[i];

        write_handler(to, thread, NONE);
        if (thread->sleep != NONE)
            write_sleep(to, thread, NONE);
        if (thread->wait != NONE && (thread->wait_end == NONE || thread->wait_end < thread->wait))
            write_wait(to, thread, NULL);
    }
    for (size_t i = 0; i < to->nwatches; i++)
        write_ready(to, &to->watches[i], NONE, false);
}

static void write_name(struct readyq__trace *to, uint64_t track, const char *name, size_t place)
{
    begin_event(to, "M", track, "thread_name");
    fputs(",\"args\":{\"name\":", to->file);
    readyq__print_json(to->file, name);
    end_event(to);
    begin_event(to, "M", track, "thread_sort_index");
    fprintf(to->file, ",\"args\":{\"sort_index\":%zu", place);
    end_event(to);
}

static void write_names(struct readyq__trace *to, const char *backend)
{
    char text[300];

    begin_event(to, "M", 0, "process_name");
    fprintf(to->file, ",\"args\":{\"name\":\"readyq (%s)\"", backend);
    end_event(to);
    for (size_t i = 0; i < to->nthreads; i++) {
        const bool main = to->threads[i].id == (uint32_t)to->process;

        snprintf(text, sizeof text, "thread %" PRIu32, to->threads[i].id);
        write_name(to, to->threads[i].id, main ? "main thread" : text, main ? 0 : i + 1);
    }
    for (size_t i = 0; i < to->nwatches; i++)
        if (to->watches[i].id != 0)
            write_name(to, WATCHES + to->watches[i].id, label(&to->watches[i], text),
                       to->nthreads + 1 + i);
}

static void write_all(struct readyq__trace *to, const readyq *q)
{
    fprintf(to->file,
            "{\"displayTimeUnit\":\"ns\",\"otherData\":{\"readyq\":\"%s\",\"backend\":\"%s\","
            "\"clock\":\"%s\",\"dropped\":%" PRIu64 "},\"traceEvents\":[",
            READYQ_VERSION, q->backend->name, q->virtual_clock ? "virtual" : "real", to->dropped);
    for (size_t i = 0; i < to->n; i++)
        if (to->records[i].type != READYQ__DESCRIPTION)
            write_record(to, &to->records[i]);
    write_open(to);
    write_names(to, q->backend->name);
    fputs("\n]}\n", to->file);
}

/* ------------------------------------------------------------------ the file */

static int refuse(int error)
{
    if (error == ENOENT)
        return readyq__refuse(ENOENT, "there is no such directory", "create it first");
    if (error == ENOSPC)
        return readyq__refuse(ENOSPC, "the disk is full",
                              "free some space, or save to another disk");
    return -error;
}

static int write_file(struct readyq__trace *to, const readyq *q, const char *path)
{
    struct stat status;
    bool is_regular;
    int error = 0;

    readyq__forget_refusal();
    to->file = fopen(path, "we");
    if (to->file == NULL)
        return refuse(errno);
    is_regular = lstat(path, &status) == 0 && S_ISREG(status.st_mode);
    errno = 0;
    write_all(to, q);
    if (fflush(to->file) != 0 || ferror(to->file))
        error = refuse(errno != 0 ? errno : EIO);
    if (fclose(to->file) != 0 && error == 0)
        error = refuse(errno);
    if (error < 0 && is_regular)
        unlink(path);
    return error;
}

int readyq_save(readyq_recording *r, const char *path)
{
    struct readyq__trace trace = {.separator = "", .process = (long)getpid(), .wake = NONE};
    const struct readyq__cancel cancel = readyq__hold_cancel();
    int error = readyq__collect(&trace, r);

    if (error == 0)
        error = write_file(&trace, r->queue, path);
    readyq__release_cancel(cancel);
    free(trace.records);
    free(trace.watches);
    free(trace.threads);
    return error;
}

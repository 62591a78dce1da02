/* SPDX-License-Identifier: MIT
 *
 * What the files of the CPython binding share: the differences between CPython versions, the
 * objects, and the functions that one file calls in another. The binding has no policy: it converts
 * arguments and results, owns Python objects, and releases the GIL to sleep and to save.
 *
 * Threads   With the GIL, the GIL guards the objects: only a sleep (readyq_wait(),
 *           readyq_wait_until()) and readyq_save() run without it. On a free-threaded CPython, code
 *           that changes a queue's ring of watches, uses a batch, or turns a core watch into a
 *           reference is in a critical section of the queue, and an attribute of a watch is one
 *           atomic load.
 */
#ifndef READYQ_PYTHON_BINDING_H
#define READYQ_PYTHON_BINDING_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "readyq.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>

/* ------------------------------------------------------------------ CPython 3.9 to 3.13 */

#if PY_VERSION_HEX < 0x03090000
#error "readyq needs CPython 3.9 or later"
#endif

#if PY_VERSION_HEX < 0x030A0000
#define Py_TPFLAGS_IMMUTABLETYPE 0
#define Py_TPFLAGS_DISALLOW_INSTANTIATION 0 /* module.c takes tp_new away instead */
#define Py_NewRef(object) new_reference((PyObject *)(object))
#define Py_XNewRef(object) new_reference((PyObject *)(object))
static inline PyObject *new_reference(PyObject *object)
{
    Py_XINCREF(object);
    return object;
}
#endif

#if PY_VERSION_HEX < 0x030C0000
#include <structmember.h>
#define Py_READONLY READONLY
#define Py_T_OBJECT_EX T_OBJECT_EX
#define Py_T_PYSSIZET T_PYSSIZET
#endif

#if PY_VERSION_HEX < 0x030D0000
#define Py_BEGIN_CRITICAL_SECTION(object) {
#define Py_END_CRITICAL_SECTION() }
#endif

#define FAST_KEYWORDS (METH_FASTCALL | METH_KEYWORDS)
#define AS_METHOD(function) ((PyCFunction)(void (*)(void))(function))

/* ------------------------------------------------------------------ the objects */

typedef struct {
    PyTypeObject *queue_type;
    PyTypeObject *watch_type;
    PyTypeObject *batch_type;
    PyTypeObject *recording_type;
    PyTypeObject *stats_type;
    PyTypeObject *kind_stats_type;
    PyTypeObject *record_type;
    PyObject *sigint, *keyboard_interrupt, *getsignal; /* in the main interpreter: interrupt.c */
} State;

/* A place in the ring of a queue's watches; next is NULL outside of it. */
struct place {
    struct place *next, *prev;
};

typedef struct Batch Batch;

typedef struct {
    PyObject_HEAD
    readyq *core;           /* a reference of our own; NULL before __init__ */
    State *state;           /* lives as long as our type does */
    struct place watches;   /* the ring's head; the ring owns a reference to each watch */
    Batch *last;            /* the newest batch, or NULL; not a reference */
    _Atomic(Batch *) spare; /* the memory of a deallocated batch, for the next wait, or NULL */
    PyObject *tracer;       /* is called with each line of a trace, or NULL */
    _Atomic(readyq_recording *) trace; /* the recording that its lines are made from */
    uint64_t shown;                    /* the position in it */
    PyObject *weakrefs;
    atomic_bool closed;
    bool silent;                   /* does not warn of ghosts */
    atomic_bool watches_interrupt; /* SIGINT was added */
} Queue;

typedef struct {
    PyObject_HEAD
    readyq_watch core; /* its `data` is the PyObject, or NULL once it was deleted */
    PyObject *source;
    PyObject *queue; /* never NULL; kept after the watch has left it */
    PyObject *weakrefs;
    unsigned long long deliveries; /* changed in a critical section, read outside it */
    int64_t period;                /* of a timer; nanoseconds; 0: none */
    struct place place;
} Watch;

struct Batch {
    PyObject_HEAD
    readyq_batch core;
    Queue *queue;         /* never NULL */
    unsigned long thread; /* the one that waits, or waited, with it */
};

#define OWNER_OF(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* A public field of the core's watch. Without a GIL, another thread may be changing it. */
#define LOAD(watch, field) __atomic_load_n(&(watch)->core.field, __ATOMIC_RELAXED)

static inline Watch *watch_of(readyq_watch *core)
{
    return OWNER_OF(core, Watch, core);
}

static inline Watch *watch_at(struct place *place)
{
    return OWNER_OF(place, Watch, place);
}

/* ------------------------------------------------------------------ module.c */

PyObject *pyq_find_module(PyTypeObject *type); /* of Queue or a subclass; NULL with an exception */

/* ------------------------------------------------------------------ interrupt.c */

/* The first is for the start of the module. The second makes Python's handler in C count as the
 * default action for SIGINT if it raises KeyboardInterrupt now. -1 with an exception. */
int pyq_prepare_interrupt(State *state);
int pyq_follow_interrupt(const State *state);

/* ------------------------------------------------------------------ arguments.c */

/* The parameters of a function, for pyq_read_arguments(). */
struct signature {
    const char *call;
    const char *names[5]; /* ends with NULL; the positional ones first */
    Py_ssize_t required, positional;
    const char *by_name; /* how the others are passed, for an error message, or NULL */
};

/* Fills values[], one for each name, NULL if it was not given. This and the other read functions
 * return false with an exception on failure. */
bool pyq_read_arguments(const struct signature *signature, PyObject *const *arguments,
                        Py_ssize_t positional, PyObject *keywords, PyObject **values);

/* `call` and `name` of the argument are for error messages. Nanoseconds are never rounded down;
 * INT64_MAX stands for longer times. */
bool pyq_read_seconds(const char *call, const char *name, PyObject *object, int64_t *nanoseconds);
bool pyq_read_interest(const char *call, const char *name, PyObject *object, uint32_t *interest);

/* An int or an object with __index__(), but not a bool; `wanted`: what the argument may be. A count
 * is at least 1; `wanted`: which numbers it may be. */
bool pyq_read_integer(const char *call, const char *name, const char *wanted, PyObject *object,
                      int *value);
bool pyq_read_count(const char *call, const char *name, const char *type, const char *wanted,
                    PyObject *object, int *value);

/* The descriptor number given by an int, or by an object's fileno(). If fileno() is negative, the
 * object counts as closed. An exception from fileno() is passed on unchanged. */
bool pyq_read_number(const char *call, PyObject *object, int *fd, bool *closed);
bool pyq_read_descriptor(const char *call, PyObject *object, int *fd); /* refuses a closed object */

/* ------------------------------------------------------------------ errors.c */

/* Raises the exception for `error`, a negative errno that `call` got from the core. Returns
 * NULL. */
PyObject *pyq_raise_error(const char *call, int fd, int error);
PyObject *pyq_raise_error_for(const char *call, const char *target, int error);
PyObject *pyq_raise_watch_error(const char *call, const Watch *watch, int error);

/* Raises an OSError with the name of the file. Returns NULL. */
PyObject *pyq_raise_os_error(const char *call, int error, PyObject *path);

/* Raises "`call` failed for `target`: `why`", a reason of the binding's own. Releases `target`; if
 * it is NULL there is an exception already. Returns NULL. */
PyObject *pyq_raise_failure(PyObject *type, const char *call, PyObject *target, const char *why);

/* ------------------------------------------------------------------ text.c */

enum { BITS_SIZE = 128 }; /* all names and a number take 98 bytes */
PyObject *pyq_name_bits(uint32_t bits);
PyObject *
pyq_show_object(PyObject *object);     /* its repr, cut to fit a line; its type if that raises */
PyObject *pyq_show_data(Watch *watch); /* "data=...", or "" for None */
PyObject *pyq_describe_watch(Watch *watch); /* the repr without its brackets */
PyObject *pyq_show_watch(PyObject *watch);

/* A list of watches that were not taken, and what each is ready for. */
PyObject *pyq_show_batch(PyObject *watches, const uint32_t *ready);

PyObject *pyq_show_queue(PyObject *queue);

/* ------------------------------------------------------------------ watch.c */

extern PyType_Spec pyq_watch_spec;

/* A watch that is in no queue yet. */
Watch *pyq_new_watch(Queue *queue, PyObject *source, PyObject *data);

/* Puts it into the ring with a reference; takes it out and leaves that reference to the caller. */
void pyq_hold_watch(Queue *queue, Watch *watch);
void pyq_release_watch(Watch *watch);

/* Removes it from its queue and the ring. 0, or a negative errno of the core without an exception.
 * The caller has a reference to it. */
int pyq_detach_watch(Watch *watch);

/* Its data with a reference, or NULL without an exception if it was deleted. */
static inline PyObject *pyq_data_of(Watch *watch)
{
    PyObject *data;

    Py_BEGIN_CRITICAL_SECTION(watch);
    data = Py_XNewRef(watch->core.data);
    Py_END_CRITICAL_SECTION();
    return data;
}

PyObject *pyq_modify_watch(PyObject *watch, PyObject *interest);
PyObject *pyq_remove_watch(PyObject *watch, PyObject *none);

/* ------------------------------------------------------------------ queue.c */

extern PyType_Spec pyq_queue_spec;

/* The gate of every call: the core's queue, or NULL with ValueError if it is closed. */
readyq *pyq_enter_queue(Queue *self, const char *call);

/* ------------------------------------------------------------------ sources.c, members.c */

PyObject *pyq_add_descriptor(PyObject *self, PyObject *const *arguments, Py_ssize_t positional,
                             PyObject *keywords);
PyObject *pyq_add_timer(PyObject *self, PyObject *const *arguments, Py_ssize_t positional,
                        PyObject *keywords);
PyObject *pyq_add_signal(PyObject *self, PyObject *const *arguments, Py_ssize_t positional,
                         PyObject *keywords);
PyObject *pyq_add_process(PyObject *self, PyObject *const *arguments, Py_ssize_t positional,
                          PyObject *keywords);
PyObject *pyq_add_trigger(PyObject *self, PyObject *const *arguments, Py_ssize_t positional,
                          PyObject *keywords);

PyObject *pyq_modify_member(PyObject *self, PyObject *const *arguments, Py_ssize_t positional,
                            PyObject *keywords);
PyObject *pyq_remove_member(PyObject *object, PyObject *source);
PyObject *pyq_get_member(PyObject *object, PyObject *source);
PyObject *pyq_get_or_default(PyObject *self, PyObject *const *arguments, Py_ssize_t positional,
                             PyObject *keywords);
int pyq_has_member(PyObject *object, PyObject *source);
Py_ssize_t pyq_count_members(PyObject *self);
PyObject *pyq_iterate_members(PyObject *self);

/* Releases the watches whose descriptors the core found closed. */
void pyq_drop_stale(Queue *self);

/* ------------------------------------------------------------------ batch.c */

extern PyType_Spec pyq_batch_spec;

/* A batch of this thread that is not open, and that the collector does not track yet. Closes the
 * thread's batch of the previous wait. NULL with an exception. */
Batch *pyq_new_batch(Queue *queue);

/* The next ready watch with a reference, or NULL without an exception. */
Watch *pyq_take_watch(Batch *batch);

/* Frees queue->spare. */
void pyq_free_spare_batch(Queue *queue);

/* ------------------------------------------------------------------ wait.c */

PyObject *pyq_wait_queue(PyObject *self, PyObject *const *arguments, Py_ssize_t positional,
                         PyObject *keywords);
PyObject *pyq_dispatch_queue(PyObject *self, PyObject *const *arguments, Py_ssize_t positional,
                             PyObject *keywords);

/* ------------------------------------------------------------------ dispatch.c */

/* Calls data for each watch of the batch, and takes each when its turn comes. Returns how many were
 * called, or -1 with an exception. */
int pyq_call_ready(Batch *batch);

/* ------------------------------------------------------------------ selector.c */

PyObject *pyq_make_key(PyObject *module, PyObject *const *arguments, Py_ssize_t n);
PyObject *pyq_take_keys(PyObject *module, PyObject *const *arguments, Py_ssize_t n);

/* ------------------------------------------------------------------ prompt.c */

PyObject *pyq_set_inputhook(PyObject *self, PyObject *function);
PyObject *pyq_print_queue(PyObject *self);
PyObject *pyq_print_queue_as_html(PyObject *self, PyObject *none);

/* ------------------------------------------------------------------ recording.c */

extern PyType_Spec pyq_recording_spec;

PyObject *pyq_record_queue(PyObject *self, PyObject *const *arguments, Py_ssize_t positional,
                           PyObject *keywords);

/* ------------------------------------------------------------------ debug.c */

/* Reads Queue's argument `debug`. Sets options->debug to `debug`, or to NULL for None and False. */
bool pyq_read_debug(PyObject *object, struct readyq_options *options, struct readyq_debug *debug);

/* Gives the watchdog's warnings, at the caller's line. Returns how many there were, or -1 with an
 * exception. */
int pyq_warn(Queue *queue);

/* ------------------------------------------------------------------ trace.c */

PyObject *pyq_set_tracer(PyObject *self, PyObject *target);
void pyq_end_trace(Queue *queue);

/* To be called after each call: shows the tracer, if there is one, what was recorded since the last
 * call. Its errors go to sys.unraisablehook. `name`: that of a wait, with its timeout, or NULL;
 * `watch`: the call's own, or NULL. */
void pyq_trace(Queue *queue, const char *name, Watch *watch);
void pyq_trace_close(Queue *queue); /* called before it is closed: the tracer may use it */

#endif

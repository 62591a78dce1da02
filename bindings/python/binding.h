/* SPDX-License-Identifier: MIT
 *
 * What the files of the CPython binding share: what differs between CPython versions, the
 * objects, and the functions by which one file calls another. No policy is here or in any of
 * them: they convert arguments and results, own Python objects, and give up the GIL to sleep.
 *
 * Threads   With the GIL, the GIL guards the objects: it is let go in readyq_wait() alone. Without
 *           it, what touches a queue's ring of watches, or turns a core watch into a reference,
 *           does so in a critical section of the queue.
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
#define Py_T_BOOL T_BOOL
#define Py_T_OBJECT_EX T_OBJECT_EX
#define Py_T_PYSSIZET T_PYSSIZET
#define Py_T_UINT T_UINT
#define Py_T_ULONGLONG T_ULONGLONG
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
    PyTypeObject *stats_type;
} State;

/* A place in the ring of a queue's watches; next is NULL outside of it. */
struct place {
    struct place *next, *prev;
};

typedef struct {
    PyObject_HEAD
    readyq *core;         /* a reference of our own; NULL before __init__ */
    State *state;         /* lives as long as our type does */
    struct place watches; /* the ring's head; the ring owns a reference to each watch */
    PyObject *tracer;     /* is called with each line of a trace, or NULL */
    PyObject *weakrefs;
    unsigned long tracing; /* the thread inside the tracer, whose own calls are not reported */
    atomic_bool closed;
    bool silent; /* does not warn of ghosts */
} Queue;

typedef struct {
    PyObject_HEAD
    readyq_watch core;
    PyObject *data;
    PyObject *source;
    PyObject *queue; /* never NULL: kept also when the watch is out of it */
    PyObject *weakrefs;
    unsigned long long deliveries;
    struct place place;
} Watch;

#define OWNER_OF(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

static inline Watch *watch_of(readyq_watch *core)
{
    return OWNER_OF(core, Watch, core);
}

static inline Watch *watch_at(struct place *place)
{
    return OWNER_OF(place, Watch, place);
}

/* ------------------------------------------------------------------ module.c */

PyObject *find_module(PyTypeObject *type); /* of Queue or a subclass; NULL with an exception */

/* ------------------------------------------------------------------ convert.c */

/* The parameters of a function, for read_arguments(). */
struct signature {
    const char *call;
    const char *names[5]; /* ends with NULL */
    Py_ssize_t required;
};

/* Fills values[], one for each name, NULL where it was not given. Like all that read, false
 * with an exception set when it cannot. */
bool read_arguments(const struct signature *signature, PyObject *const *arguments,
                    Py_ssize_t positional, PyObject *keywords, PyObject **values);

/* Nanoseconds from seconds, never rounded down; INT64_MAX for what is longer than that. `name` is
 * what the argument is called. */
bool read_seconds(const char *name, PyObject *object, int64_t *nanoseconds);

bool read_descriptor(PyObject *object, int *fd);
bool read_interest(PyObject *object, uint32_t *interest);
bool read_integer(const char *name, PyObject *object, int *value);

/* ------------------------------------------------------------------ errors.c */

/* Raises what `error` (a negative errno of the core) of `call` stands for in Python. NULL. */
PyObject *raise_error(const char *call, int fd, int error);

/* ------------------------------------------------------------------ text.c */

enum { BITS_SIZE = 128 }; /* all names and a number are 98 long */
char *print_bits(uint32_t bits, char text[BITS_SIZE]);
PyObject *name_bits(uint32_t bits);
PyObject *describe_watch(Watch *watch); /* what repr says between the brackets */
PyObject *show_watch(Watch *watch);
PyObject *show_queue(Queue *queue);

/* ------------------------------------------------------------------ watch.c */

extern PyType_Spec watch_spec;

/* A watch that is in no queue yet. */
Watch *new_watch(Queue *queue, PyObject *source, PyObject *data);

/* Into the ring, with a reference of its own; out of it, handing that reference over. */
void hold_watch(Queue *queue, Watch *watch);
void release_watch(Watch *watch);

PyObject *modify_watch(Watch *watch, PyObject *interest);
PyObject *remove_watch(Watch *watch);

/* ------------------------------------------------------------------ queue.c */

extern PyType_Spec queue_spec;

/* The one gate: the core's queue, or NULL with ValueError when it is closed. */
readyq *enter_queue(Queue *self, const char *call);

/* ------------------------------------------------------------------ sources.c, members.c */

PyObject *add_descriptor(PyObject *self, PyObject *const *arguments, Py_ssize_t positional,
                         PyObject *keywords);
PyObject *add_timer(PyObject *self, PyObject *const *arguments, Py_ssize_t positional,
                    PyObject *keywords);
PyObject *add_signal(PyObject *self, PyObject *const *arguments, Py_ssize_t positional,
                     PyObject *keywords);
PyObject *add_process(PyObject *self, PyObject *const *arguments, Py_ssize_t positional,
                      PyObject *keywords);
PyObject *add_trigger(PyObject *self, PyObject *const *arguments, Py_ssize_t positional,
                      PyObject *keywords);

PyObject *modify_member(PyObject *self, PyObject *const *arguments, Py_ssize_t positional,
                        PyObject *keywords);
PyObject *remove_member(PyObject *object, PyObject *source);
PyObject *get_member(PyObject *object, PyObject *source);
int has_member(PyObject *object, PyObject *source);
Py_ssize_t count_members(PyObject *self);
PyObject *iterate_members(PyObject *self);

/* Lets go of the watches that the core found dead. */
void drop_stale(Queue *self);

/* ------------------------------------------------------------------ wait.c */

PyObject *wait_queue(PyObject *self, PyObject *const *arguments, Py_ssize_t positional,
                     PyObject *keywords);
PyObject *dispatch_queue(PyObject *self, PyObject *const *arguments, Py_ssize_t positional,
                         PyObject *keywords);

/* ------------------------------------------------------------------ prompt.c */

PyObject *set_inputhook(PyObject *self, PyObject *function);
PyObject *print_queue(PyObject *self);
PyObject *print_queue_as_html(PyObject *self, PyObject *none);

/* ------------------------------------------------------------------ trace.c */

PyObject *set_tracer(PyObject *self, PyObject *target);

/* Report, where somebody asked for it. An error in the tracer is not the queue's: it goes to
 * sys.unraisablehook. */
void trace_watch(Queue *queue, const char *call, Watch *watch);
void trace_text(Queue *queue, const char *format, ...);

#endif

/* SPDX-License-Identifier: MIT
 *
 * The type Batch: what Queue.wait() returns. It is an iterator over one batch of the core. It gives
 * back what was not taken when it is deallocated; the core does so when its thread waits again.
 *
 * A Batch holds a reference to its queue but none to watches: the queue's ring keeps those alive.
 * It needs no tp_clear, as every cycle through it is a cycle through its queue.
 */
#include "binding.h"

/* ------------------------------------------------------------------ its life */

static void free_batch(Batch *self)
{
    PyTypeObject *type;

    if (self == NULL)
        return;
    type = Py_TYPE(self);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

void pyq_free_spare_batch(Queue *queue)
{
    free_batch(atomic_exchange(&queue->spare, NULL));
}

static Batch *allocate(Queue *queue, PyTypeObject *type)
{
    Batch *self = atomic_exchange(&queue->spare, NULL);

    if (self == NULL)
        return PyObject_GC_New(Batch, type);
    PyObject_Init((PyObject *)self, type);
    Py_DECREF(type); /* the spare one held a reference */
    return self;
}

/* Closes this thread's batch of the previous wait, which `ready = q.wait()` in a loop keeps until
 * it has the new one. The core would give its watches back, but waits cost more while two are
 * open. */
static void replace_last(Queue *queue, Batch *self)
{
    Py_BEGIN_CRITICAL_SECTION(queue);
    if (queue->last != NULL && queue->last->thread == self->thread)
        readyq_done(&queue->last->core);
    queue->last = self;
    Py_END_CRITICAL_SECTION();
}

Batch *pyq_new_batch(Queue *queue)
{
    PyTypeObject *type = queue->state->batch_type;
    Batch *self;

    if (type == NULL) /* the module is being torn down */
        return (Batch *)pyq_raise_error("wait", -1, -ESHUTDOWN);
    self = allocate(queue, type);
    if (self == NULL)
        return NULL;
    self->core = (readyq_batch){0};
    self->queue = (Queue *)Py_NewRef(queue);
    self->thread = PyThread_get_thread_ident();
    replace_last(queue, self);
    return self;
}

static void dealloc_batch(PyObject *object)
{
    Batch *self = (Batch *)object;
    Queue *queue = self->queue;

    PyObject_GC_UnTrack(object);
    Py_BEGIN_CRITICAL_SECTION(queue);
    readyq_done(&self->core);
    if (queue->last == self)
        queue->last = NULL;
    Py_END_CRITICAL_SECTION();
    free_batch(atomic_exchange(&queue->spare, self));
    Py_DECREF(queue);
}

static int traverse_batch(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(((Batch *)object)->queue);
    return 0;
}

/* ------------------------------------------------------------------ taking */

/* A watch that left the queue when it was delivered brings along the reference that the ring
 * held. */
static Watch *take_reference(readyq_watch *core)
{
    Watch *watch = watch_of(core);

    __atomic_store_n(&watch->deliveries, watch->deliveries + 1, __ATOMIC_RELAXED);
    if (core->queue == NULL)
        pyq_release_watch(watch);
    else
        Py_INCREF(watch);
    return watch;
}

Watch *pyq_take_watch(Batch *self)
{
    Watch *watch = NULL;
    readyq_watch *next;

    Py_BEGIN_CRITICAL_SECTION(self->queue);
    next = readyq_next(&self->core);
    if (next != NULL)
        watch = take_reference(next);
    Py_END_CRITICAL_SECTION();
    if (watch != NULL && self->queue->trace != NULL)
        pyq_trace(self->queue, NULL, watch);
    return watch;
}

static PyObject *take_next(PyObject *self)
{
    return (PyObject *)pyq_take_watch((Batch *)self);
}

/* ------------------------------------------------------------------ looking */

static Py_ssize_t count_left(PyObject *object)
{
    Batch *self = (Batch *)object;
    size_t count;

    Py_BEGIN_CRITICAL_SECTION(self->queue);
    count = readyq_peek(&self->core, NULL, NULL, 0);
    Py_END_CRITICAL_SECTION();
    return (Py_ssize_t)count;
}

/* A copy of the watches that have not been taken from a batch yet. */
struct left {
    Py_ssize_t room;
    readyq_watch **watches;
    uint32_t *ready; /* of each */
    PyObject *list;  /* of Watch */
};

static void free_left(struct left *left)
{
    PyMem_Free(left->watches);
    PyMem_Free(left->ready);
    Py_CLEAR(left->list);
}

static bool reserve(struct left *left, Py_ssize_t room)
{
    *left = (struct left){.room = room};
    left->list = PyList_New(room);
    left->watches = PyMem_New(readyq_watch *, (size_t)room);
    left->ready = PyMem_New(uint32_t, (size_t)room);
    if (left->list != NULL && left->watches != NULL && left->ready != NULL)
        return true;
    free_left(left);
    if (PyErr_Occurred() == NULL)
        PyErr_NoMemory();
    return false;
}

/* Nothing in here may run Python code: that could remove a watch. */
static void fill(struct left *left, Batch *self)
{
    Py_ssize_t count;

    Py_BEGIN_CRITICAL_SECTION(self->queue);
    count = (Py_ssize_t)readyq_peek(&self->core, left->watches, left->ready, (size_t)left->room);
    if (count > left->room)
        count = left->room;
    for (Py_ssize_t i = 0; i < count; i++)
        PyList_SET_ITEM(left->list, i, Py_NewRef(watch_of(left->watches[i])));
    Py_END_CRITICAL_SECTION();
    Py_SET_SIZE(left->list, count);
}

static bool look(Batch *self, struct left *left)
{
    if (!reserve(left, count_left((PyObject *)self)))
        return false;
    fill(left, self);
    return true;
}

/* By identity: a watch is equal only to itself. */
static int has_left(PyObject *self, PyObject *object)
{
    struct left left;
    int found = 0;

    if (!look((Batch *)self, &left))
        return -1;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(left.list) && !found; i++)
        found = PyList_GET_ITEM(left.list, i) == object;
    free_left(&left);
    return found;
}

static PyObject *repr_batch(PyObject *self)
{
    struct left left;
    PyObject *text;

    if (!look((Batch *)self, &left))
        return NULL;
    text = pyq_show_batch(left.list, left.ready);
    free_left(&left);
    return text;
}

/* ------------------------------------------------------------------ the type */

PyDoc_STRVAR(
    batch_doc,
    "The result of Queue.wait(): an iterator that takes the ready watches one at a time.\n"
    "\n"
    "A watch that is removed in the meantime is skipped. Watches that were not taken are not lost:\n"
    "the next wait delivers them before newer ones, once this batch is dropped or its thread waits\n"
    "again. Until then no other thread gets the watches of this batch.\n"
    "\n"
    "len(), bool(), repr() and `watch in batch` look at the watches that have not been taken yet\n"
    "without taking them. list() takes them all.\n"
    "\n"
    "    >>> for w in q.wait(timeout=1.5):\n"
    "    ...     handle(w.data, w.ready)\n");

static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)batch_doc},
    {Py_tp_dealloc, dealloc_batch},
    {Py_tp_traverse, traverse_batch},
    {Py_tp_repr, repr_batch},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, take_next},
    {Py_sq_length, count_left},
    {Py_sq_contains, has_left},
    {0, NULL},
};

PyType_Spec pyq_batch_spec = {
    .name = "readyq.Batch",
    .basicsize = sizeof(Batch),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = slots,
};

/* SPDX-License-Identifier: MIT
 *
 * The type Watch: its life, its methods, its attributes. It embeds the core's watch, so a delivery
 * needs neither a lookup nor an allocation. Adding watches to a queue is in sources.c.
 */
#include "binding.h"
#include "watch_docs.h"

#include <stddef.h>
#include <stdio.h>

/* ------------------------------------------------------------------ its life */

Watch *pyq_new_watch(Queue *queue, PyObject *source, PyObject *data)
{
    PyTypeObject *type = queue->state->watch_type;
    Watch *self;

    if (type == NULL) /* the module is being torn down */
        return (Watch *)pyq_raise_error("add", -1, -ESHUTDOWN);
    self = (Watch *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->queue = Py_NewRef(queue);
    self->source = Py_NewRef(source);
    self->core.data = Py_NewRef(data);
    return self;
}

void pyq_hold_watch(Queue *queue, Watch *self)
{
    struct place *head = &queue->watches;

    Py_INCREF(self);
    self->place.next = head;
    self->place.prev = head->prev;
    head->prev->next = &self->place;
    head->prev = &self->place;
}

void pyq_release_watch(Watch *self)
{
    self->place.prev->next = self->place.next;
    self->place.next->prev = self->place.prev;
    self->place.next = self->place.prev = NULL;
}

static int traverse_watch(PyObject *object, visitproc visit, void *arg)
{
    Watch *self = (Watch *)object;

    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->core.data);
    Py_VISIT(self->source);
    Py_VISIT(self->queue);
    return 0;
}

/* A cycle through the queue ends when the queue is cleared. */
static int clear_watch(PyObject *object)
{
    Watch *self = (Watch *)object;

    Py_CLEAR(self->core.data);
    Py_CLEAR(self->source);
    return 0;
}

/* The ring holds a reference as long as the core holds the watch, so here it is not in a queue. */
static void dealloc_watch(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);

    PyObject_GC_UnTrack(object);
    Py_TRASHCAN_BEGIN(object, dealloc_watch);
    if (((Watch *)object)->weakrefs != NULL)
        PyObject_ClearWeakRefs(object);
    clear_watch(object);
    Py_DECREF(((Watch *)object)->queue);
    type->tp_free(object);
    Py_DECREF(type);
    Py_TRASHCAN_END
}

/* ------------------------------------------------------------------ its methods */

/* The queue that it is in or was in, open; or NULL with an exception. */
static Queue *enter_own_queue(Watch *self, const char *call)
{
    Queue *queue = (Queue *)self->queue;

    return pyq_enter_queue(queue, call) != NULL ? queue : NULL;
}

/* If another thread has closed the queue, the watch is in none, but the reason is the close. */
static PyObject *raise_refusal(Queue *queue, const char *call, Watch *self, int error)
{
    return pyq_raise_watch_error(call, self,
                                 error == -ENOENT && queue->closed ? -ESHUTDOWN : error);
}

PyObject *pyq_modify_watch(PyObject *watch, PyObject *object)
{
    Watch *self = (Watch *)watch;
    char call[BITS_SIZE + 32], bits[BITS_SIZE];
    uint32_t interest;
    Queue *queue;
    int error;

    if (!pyq_read_interest("modify", "interest", object, &interest))
        return NULL;
    queue = enter_own_queue(self, "modify");
    if (queue == NULL)
        return NULL;
    error = readyq_modify(&self->core, interest);
    if (error < 0) {
        snprintf(call, sizeof call, "modify(%s)",
                 readyq_describe_bits(interest, bits, sizeof bits));
        return raise_refusal(queue, call, self, error);
    }
    pyq_trace(queue, NULL, self);
    Py_RETURN_NONE;
}

int pyq_detach_watch(Watch *self)
{
    int error;

    Py_BEGIN_CRITICAL_SECTION(self->queue);
    error = readyq_remove(&self->core);
    if (error >= 0) {
        pyq_release_watch(self);
        Py_DECREF(self);
    }
    Py_END_CRITICAL_SECTION();
    return error;
}

PyObject *pyq_remove_watch(PyObject *watch, PyObject *Py_UNUSED(none))
{
    Watch *self = (Watch *)watch;
    int error = pyq_detach_watch(self);

    if (error == -ENOENT || error == -ESHUTDOWN) /* it has fired, was removed or closed */
        Py_RETURN_FALSE;
    if (error < 0)
        return pyq_raise_watch_error("remove", self, error);
    pyq_trace((Queue *)self->queue, NULL, self);
    Py_RETURN_TRUE;
}

/* A timer that has fired is added to its queue again, and to the ring. */
static PyObject *watch_restart(PyObject *object, PyObject *delay)
{
    Watch *self = (Watch *)object;
    Queue *queue = enter_own_queue(self, "restart");
    int64_t nanoseconds;
    int error;

    if (queue == NULL || !pyq_read_seconds("restart", "delay", delay, &nanoseconds))
        return NULL;
    Py_BEGIN_CRITICAL_SECTION(queue);
    error = readyq_restart(&self->core, nanoseconds);
    if (error >= 0 && self->place.next == NULL)
        pyq_hold_watch(queue, self);
    Py_END_CRITICAL_SECTION();
    if (error < 0)
        return raise_refusal(queue, "restart", self, error);
    pyq_trace(queue, NULL, self);
    Py_RETURN_NONE;
}

static PyObject *watch_fire(PyObject *object, PyObject *Py_UNUSED(none))
{
    Watch *self = (Watch *)object;
    Queue *queue = enter_own_queue(self, "fire");
    int error;

    if (queue == NULL)
        return NULL;
    error = readyq_fire(&self->core);
    if (error < 0)
        return raise_refusal(queue, "fire", self, error);
    pyq_trace(queue, NULL, self);
    Py_RETURN_NONE;
}

/* ------------------------------------------------------------------ its attributes */

static PyObject *get_kind(PyObject *self, void *Py_UNUSED(closure))
{
    return PyUnicode_InternFromString(readyq_kind_name(((Watch *)self)->core.kind));
}

static PyObject *get_fd(PyObject *object, void *Py_UNUSED(closure))
{
    Watch *self = (Watch *)object;

    if (self->core.kind != READYQ_KIND_FD)
        Py_RETURN_NONE;
    return PyLong_FromLong(self->core.fd);
}

static PyObject *get_active(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(LOAD((Watch *)self, queue) != NULL);
}

static PyObject *get_status(PyObject *object, void *Py_UNUSED(closure))
{
    Watch *self = (Watch *)object;
    const int status = LOAD(self, status);

    if (self->core.kind != READYQ_KIND_PROCESS || !(LOAD(self, ready) & READYQ_FIRED) ||
        status == -1)
        Py_RETURN_NONE;
    return PyLong_FromLong(status);
}

/* NULL with an exception; None for -1. */
static PyObject *make_seconds(int64_t nanoseconds)
{
    if (nanoseconds < 0)
        Py_RETURN_NONE;
    if (nanoseconds == INT64_MAX)
        return PyFloat_FromDouble(Py_HUGE_VAL);
    return PyFloat_FromDouble((double)nanoseconds / 1e9);
}

static PyObject *get_due(PyObject *self, void *Py_UNUSED(closure))
{
    return make_seconds(readyq_due(&((Watch *)self)->core));
}

static PyObject *get_period(PyObject *object, void *Py_UNUSED(closure))
{
    const int64_t period = ((Watch *)object)->period;

    return make_seconds(period > 0 ? period : -1);
}

static PyObject *get_interest(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLong(LOAD((Watch *)self, interest));
}

static PyObject *get_armed(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(LOAD((Watch *)self, armed));
}

static PyObject *get_ready(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLong(LOAD((Watch *)self, ready));
}

static PyObject *get_count(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLongLong(LOAD((Watch *)self, count));
}

static PyObject *get_deliveries(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLongLong(
        __atomic_load_n(&((Watch *)self)->deliveries, __ATOMIC_RELAXED));
}

static PyObject *get_readable(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(LOAD((Watch *)self, ready) & READYQ_READ);
}

static PyObject *get_writable(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(LOAD((Watch *)self, ready) & READYQ_WRITE);
}

/* ------------------------------------------------------------------ the type */

static PyMemberDef members[] = {
    {"queue", Py_T_OBJECT_EX, offsetof(Watch, queue), Py_READONLY, watch_queue_doc},
    {"source", Py_T_OBJECT_EX, offsetof(Watch, source), Py_READONLY, watch_source_doc},
    {"data", Py_T_OBJECT_EX, offsetof(Watch, core.data), 0, watch_data_doc},
    {"__weaklistoffset__", Py_T_PYSSIZET, offsetof(Watch, weakrefs), Py_READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef attributes[] = {
    {"kind", get_kind, NULL, watch_kind_doc, NULL},
    {"fd", get_fd, NULL, watch_fd_doc, NULL},
    {"active", get_active, NULL, watch_active_doc, NULL},
    {"interest", get_interest, NULL, watch_interest_doc, NULL},
    {"armed", get_armed, NULL, watch_armed_doc, NULL},
    {"ready", get_ready, NULL, watch_ready_doc, NULL},
    {"count", get_count, NULL, watch_count_doc, NULL},
    {"deliveries", get_deliveries, NULL, watch_deliveries_doc, NULL},
    {"status", get_status, NULL, watch_status_doc, NULL},
    {"due", get_due, NULL, watch_due_doc, NULL},
    {"period", get_period, NULL, watch_period_doc, NULL},
    {"readable", get_readable, NULL, watch_readable_doc, NULL},
    {"writable", get_writable, NULL, watch_writable_doc, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef methods[] = {
    {"modify", pyq_modify_watch, METH_O, watch_modify_doc},
    {"restart", watch_restart, METH_O, watch_restart_doc},
    {"remove", pyq_remove_watch, METH_NOARGS, watch_remove_doc},
    {"fire", watch_fire, METH_NOARGS, watch_fire_doc},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, class_getitem_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)watch_doc}, {Py_tp_traverse, traverse_watch}, {Py_tp_clear, clear_watch},
    {Py_tp_dealloc, dealloc_watch}, {Py_tp_repr, pyq_show_watch},     {Py_tp_members, members},
    {Py_tp_getset, attributes},     {Py_tp_methods, methods},         {0, NULL},
};

PyType_Spec pyq_watch_spec = {
    .name = "readyq.Watch",
    .basicsize = sizeof(Watch),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = slots,
};

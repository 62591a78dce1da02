/* SPDX-License-Identifier: MIT
 *
 * The module readyq._core: its state, types and constants. Everything else is in the types.
 */
#include "binding.h"

static PyModuleDef module;

/* ------------------------------------------------------------------ the state */

#if PY_VERSION_HEX >= 0x030B0000
PyObject *pyq_find_module(PyTypeObject *type)
{
    return PyType_GetModuleByDef(type, &module);
}
#else
PyObject *pyq_find_module(PyTypeObject *type)
{
    for (; type != NULL; type = type->tp_base) {
        PyObject *found = PyType_GetModule(type);

        if (found != NULL && PyModule_GetDef(found) == &module)
            return found;
        PyErr_Clear();
    }
    PyErr_SetString(PyExc_TypeError, "not a readyq.Queue");
    return NULL;
}
#endif

static int traverse_state(PyObject *self, visitproc visit, void *arg)
{
    State *state = PyModule_GetState(self);

    Py_VISIT(state->queue_type);
    Py_VISIT(state->watch_type);
    Py_VISIT(state->batch_type);
    Py_VISIT(state->recording_type);
    Py_VISIT(state->stats_type);
    Py_VISIT(state->kind_stats_type);
    Py_VISIT(state->record_type);
    Py_VISIT(state->keyboard_interrupt);
    Py_VISIT(state->getsignal);
    return 0;
}

static int clear_state(PyObject *self)
{
    State *state = PyModule_GetState(self);

    Py_CLEAR(state->queue_type);
    Py_CLEAR(state->watch_type);
    Py_CLEAR(state->batch_type);
    Py_CLEAR(state->recording_type);
    Py_CLEAR(state->stats_type);
    Py_CLEAR(state->kind_stats_type);
    Py_CLEAR(state->record_type);
    Py_CLEAR(state->sigint);
    Py_CLEAR(state->keyboard_interrupt);
    Py_CLEAR(state->getsignal);
    return 0;
}

static void free_state(void *self)
{
    clear_state(self);
}

/* ------------------------------------------------------------------ what it holds */

#define FIELD(name, meaning) {#name, meaning},
static PyStructSequence_Field stats_fields[] = {
    READYQ_FIGURES(FIELD){"ghost_fd", "the descriptor of the last ghost, None before the first"},
    {"kinds", "a dict: readyq.KindStats for each kind of source"},
    {NULL, NULL},
};
#undef FIELD

static PyStructSequence_Desc stats_desc = {
    "readyq.Stats",
    "What a queue has done so far, as Queue.stats() returns it. Times are in nanoseconds.",
    stats_fields,
    sizeof stats_fields / sizeof *stats_fields - 1,
};

#define FIELD(name) {#name, "as in readyq.Stats, but for watches of one kind"},
static PyStructSequence_Field kind_fields[] = {READYQ_FIGURES_OF_KIND(FIELD){NULL, NULL}};
#undef FIELD

static PyStructSequence_Desc kind_desc = {
    "readyq.KindStats",
    "The figures of one kind of source, a value of the dict Stats.kinds.",
    kind_fields,
    sizeof kind_fields / sizeof *kind_fields - 1,
};

static PyStructSequence_Field record_fields[] = {
    {"time", "nanoseconds on the clock of time.monotonic_ns()"},
    {"thread", "the thread that did it: its native id on Linux"},
    {"type", "what was done: enum readyq_record_type of readyq.h, such as \"wait_end\""},
    {"watch", "a number that no other watch of the queue has or had, or None"},
    {"kind", "the kind of the watch, or None"},
    {"number", "its descriptor, signal or process id, or None"},
    {"bits", "interest or ready, depending on the type of the record"},
    {"value", "depends on the type: see enum readyq_record_type of readyq.h"},
    {NULL, NULL},
};

static PyStructSequence_Desc record_desc = {
    "readyq.Record",
    "One step of what a queue did, in a Recording. readyq.h states the meaning of bits and value.",
    record_fields,
    8,
};

static int add_type(PyObject *self, PyTypeObject **type, PyType_Spec *spec)
{
    *type = (PyTypeObject *)PyType_FromModuleAndSpec(self, spec, NULL);
    return *type != NULL ? PyModule_AddType(self, *type) : -1;
}

static int add_tuple(PyObject *self, PyTypeObject **type, PyStructSequence_Desc *desc)
{
    *type = PyStructSequence_NewType(desc);
    return *type != NULL ? PyModule_AddType(self, *type) : -1;
}

static int add_types(PyObject *self)
{
    State *state = PyModule_GetState(self);

    if (add_type(self, &state->queue_type, &pyq_queue_spec) < 0 ||
        add_type(self, &state->watch_type, &pyq_watch_spec) < 0 ||
        add_type(self, &state->batch_type, &pyq_batch_spec) < 0 ||
        add_type(self, &state->recording_type, &pyq_recording_spec) < 0)
        return -1;
#if PY_VERSION_HEX < 0x030A0000
    state->watch_type->tp_new = state->batch_type->tp_new = NULL;
    state->recording_type->tp_new = NULL;
#endif
    if (add_tuple(self, &state->stats_type, &stats_desc) < 0 ||
        add_tuple(self, &state->kind_stats_type, &kind_desc) < 0)
        return -1;
    return add_tuple(self, &state->record_type, &record_desc);
}

static int add_constants(PyObject *self)
{
    const char *name;
    uint32_t bit;

    for (unsigned i = 0; (name = readyq_bit_name(i, &bit)) != NULL; i++)
        if (PyModule_AddIntConstant(self, name, (long)bit) < 0)
            return -1;
    return PyModule_AddStringConstant(self, "__version__", readyq_version());
}

static int execute(PyObject *self)
{
    if (pyq_prepare_interrupt(PyModule_GetState(self)) < 0 || add_types(self) < 0)
        return -1;
    return add_constants(self);
}

PyDoc_STRVAR(bits_doc,
             "bits(value, /)\n"
             "--\n"
             "\n"
             "The names of the bits in an interest or in ready, such as \"READ|READ_CLOSED\".");

static PyObject *bits(PyObject *Py_UNUSED(self), PyObject *value)
{
    uint32_t interest;

    return pyq_read_interest("bits", "value", value, &interest) ? pyq_name_bits(interest) : NULL;
}

PyDoc_STRVAR(
    describe_doc,
    "describe(source, /)\n"
    "--\n"
    "\n"
    "What a descriptor is in words, such as \"TCP 127.0.0.1:80 to 127.0.0.1:49152\", \"pipe\",\n"
    "\"terminal /dev/pts/0\", \"file /etc/passwd\" or \"closed\".\n"
    "\n"
    "source is an int or an object with fileno(); TypeError for anything else.");

static PyObject *describe(PyObject *Py_UNUSED(self), PyObject *source)
{
    char text[256];
    bool closed;
    int fd;

    if (!pyq_read_number("describe", source, &fd, &closed))
        return NULL;
    if (closed)
        return PyUnicode_FromString("closed");
    return PyUnicode_DecodeFSDefault(readyq_describe(fd, text, sizeof text));
}

PyDoc_STRVAR(set_inputhook_doc,
             "set_inputhook(function, /)\n"
             "--\n"
             "\n"
             "Have the interpreter's prompt call function() before it waits for the keyboard.\n"
             "\n"
             "Its exceptions are printed. None removes it. Raises RuntimeError outside the main\n"
             "interpreter, which is the only one with a prompt.");

PyDoc_STRVAR(make_key_doc, "make_key(watch, class_, /)\n"
                           "--\n"
                           "\n"
                           "Make the selectors.SelectorKey of a watch; class_ is that class.");

PyDoc_STRVAR(take_keys_doc,
             "take_keys(batch, class_, /)\n"
             "--\n"
             "\n"
             "Take all watches of a batch, and return a list of (key, events) for them.");

/* ------------------------------------------------------------------ the module */

static PyMethodDef functions[] = {
    {"bits", bits, METH_O, bits_doc},
    {"describe", describe, METH_O, describe_doc},
    {"make_key", AS_METHOD(pyq_make_key), METH_FASTCALL, make_key_doc},
    {"take_keys", AS_METHOD(pyq_take_keys), METH_FASTCALL, take_keys_doc},
    {"set_inputhook", pyq_set_inputhook, METH_O, set_inputhook_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, execute},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#if PY_VERSION_HEX >= 0x030D0000
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static PyModuleDef module = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "readyq._core",
    .m_doc = "The C core of readyq. Import readyq instead of this module.",
    .m_size = sizeof(State),
    .m_methods = functions,
    .m_slots = slots,
    .m_traverse = traverse_state,
    .m_clear = clear_state,
    .m_free = free_state,
};

PyMODINIT_FUNC PyInit__core(void)
{
    return PyModuleDef_Init(&module);
}

# SPDX-License-Identifier: MIT
"""What a kernel with kqueue cannot do, at most six things each, and the tests that are expected to
fail there for it: of C by program and name, of Python (python/) and Lua (lua/) by file and name.
They are the same on that kernel and where Linux plays it.
"""

import os
import sys

import pytest

PLATFORMS = {
    "darwin": "macos",
    "freebsd": "freebsd",
    "netbsd": "netbsd",
    "openbsd": "openbsd",
    "dragonfly": "dragonfly",
}
# C tests that replace or forbid Linux's own calls, need its files in /proc, or registrations that
# outlive their number.
LINUX_ONLY = ("faults", "meanwhile", "cancelled", "sandbox", "table")

BY_NUMBER = "a child registers by number, and only the parent's set knew the file of a closed one"
NO_EXCEPT = "there is no filter for out-of-band data"
NO_TTY_END = "the filters of terminals look at data only (filt_ttyread)"
FIFO_SHUT = "the filter of a FIFO's write end always reports its end (filt_fifowrite)"
FIFO_ENDLESS = "the filters of FIFOs report no end (filt_vnode_common)"
PIPE_ENDLESS = "the end of a pipe is reported before the state that shows it is set (pipe_close)"

REUSED = {BY_NUMBER: ["fork.test_child_does_not_take_a_reused_number_for_the_closed_file"]}
OUT_OF_BAND = {
    NO_EXCEPT: [
        "bits.test_out_of_band_byte_comes_as_priority",
        "python/test_bits.test_urgent_byte_is_priority",
        "python/test_errors.test_letters_and_bits_mean_the_same",
        "python/test_polite.test_what_never_blocks_supports_edge_and_oneshot[/dev/null]",
        "python/test_polite.test_what_never_blocks_supports_edge_and_oneshot[/dev/zero]",
        "lua/test_bits.test_urgent_data_is_priority",
        "lua/test_loop_any.test_any_tells_which_descriptor_was_closed_meanwhile",
        "lua/test_loop_any.test_priority_waits_for_exceptional_data",
    ]
}
GATES = {
    "freebsd": {**REUSED, **OUT_OF_BAND},
    "netbsd": {
        **REUSED,
        **OUT_OF_BAND,
        FIFO_SHUT: [
            "bits.test_fifo_reads_writes_and_ends",
            "bits.test_full_fifo_without_a_name_wakes_nobody",
            "python/test_bits.test_pipe_whose_writer_is_gone_is_readable_without_data[fifo]",
            "python/test_bits.test_writer_of_a_full_pipe_wakes_when_its_reader_goes[fifo]",
            "lua/test_loop.test_a_coroutine_that_writes_after_it_read_waits_again",
        ],
        NO_TTY_END: [
            "bits.test_terminal_reads_writes_and_ends",
            "bits.test_terminal_whose_master_is_gone_ends",
        ],
    },
    "netbsd2023": {
        PIPE_ENDLESS: ["kqueues.test_a_pipe_whose_reader_leaves_is_reported_again_and_again"]
    },
    "openbsd": REUSED,
    "macos": {
        **REUSED,
        FIFO_ENDLESS: [
            "python/test_bits.test_pipe_whose_writer_is_gone_is_readable_without_data[fifo]",
            "python/test_bits.test_writer_of_a_full_pipe_wakes_when_its_reader_goes[fifo]",
            "lua/test_sources.test_a_fifo_is_ready_when_written_and_when_the_writer_leaves",
            "bits.test_fifo_reads_writes_and_ends",
            "bits.test_fifo_reads_again_after_a_new_writer_came",
            "bits.test_writer_of_a_full_fifo_wakes_when_the_reader_is_gone",
        ],
    },
    "dragonfly": REUSED,
}

# These compare with select(2) and its like, which are Linux's here whatever $KQUEUE_AS says.
WITH_LINUX = {
    "lua/test_select.test_duplicates_are_sockets_of_their_own",
    "lua/test_select.test_numbers_of_objects_may_be_floats_strings_or_rubbish",
    "lua/test_select.test_refused_and_fresh_sockets_are_ready_as_with_the_original",
    "python/test_selector.test_events_are_those_of_the_stock_selector[pipe without writer-2]",
    "python/test_selector.test_events_are_those_of_the_stock_selector[terminal hung up-1]",
    "python/test_selector.test_events_are_those_of_the_stock_selector[terminal hung up-2]",
    "python/test_selector.test_events_are_those_of_the_stock_selector[terminal hung up-3]",
}


def kernel():
    """The one that these tests run as ($KQUEUE_AS) or on; None: it has no kqueue."""
    here = [name for prefix, name in PLATFORMS.items() if sys.platform.startswith(prefix)]
    return os.environ.get("KQUEUE_AS") or next(iter(here), None)


def reasons(kernel):
    """Why a test must fail, by its name."""
    return {name: why for why, names in GATES[kernel].items() for name in names}


def name_of(item):
    """Of a test, as above."""
    values = item.callspec.params if hasattr(item, "callspec") else {}
    if item.path.name == "test_lua.py" and "module" in values:
        return "lua/{module}.{function}".format(**values)
    if item.path.name in ("test_c.py", "test_kqueue.py") and "program" in values:
        return "{program}.{name}".format(**{"name": "", **values})
    return f"{item.path.parent.name}/{item.path.stem}.{item.name}"


def mark(items):
    """Tests must fail where the kernel has a gate. tests/test_kqueue.py has kernels of its own."""
    for item in items:
        values = item.callspec.params if hasattr(item, "callspec") else {}
        one = values.get("kernel", kernel())
        name = name_of(item)
        reason = reasons(one).get(name) if one in GATES else None
        if reason is not None:
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
        if "KQUEUE_AS" in os.environ and name in WITH_LINUX:
            item.add_marker(pytest.mark.skip("compares kqueue with Linux: run it on that kernel"))

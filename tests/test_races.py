# SPDX-License-Identifier: MIT
"""The bindings under ThreadSanitizer: every call against every other, from several threads.

The modules are built with it and loaded by an ordinary interpreter, with the sanitizer's library
preloaded: it sees the locks of the threads library, and so the GIL. `make races` runs this and the
corresponding C tests.
"""

import functools
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import programs
import pytest

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "tests" / "races"
CONFIG = dict(re.findall(r"^(\w+) = (.*)$", (ROOT / "build" / "config.mk").read_text(), re.M))
COMPILER = shlex.split(os.environ.get("CC", "cc"))
FLAGS = "-std=c11 -D_GNU_SOURCE -fPIC -shared -fvisibility=hidden -pthread -g -O1".split()
LUA_TESTS = {
    "test_parallel": ["test_every_call_from_every_state_at_once"],
    "test_triggers": [
        "test_a_state_may_close_while_others_fire_its_triggers",
        "test_a_wait_that_sleeps_is_woken_from_another_state",
        "test_another_state_in_another_thread_fires_by_the_handle",
        "test_states_have_queues_of_their_own",
    ],
}


@functools.cache
def runtime():
    """The sanitizer's library, which must be preloaded into a program built without it; or the
    reason why there is none.
    """
    asked = [*COMPILER, "-print-file-name=libtsan.so"]
    path = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    if not os.path.isabs(path):
        return None, "needs gcc with libtsan.so (apt-get install gcc)"
    result = run(["true"], path)
    if result.returncode != 0:
        return None, f"ThreadSanitizer does not start on this kernel: {result.stderr.strip()}"
    return path, None


def run(command, library, **environment):
    """Some kernels randomise the memory layout too much for the sanitizer; setarch -R prevents
    that.
    """
    steady = ["setarch", platform.machine(), "-R"] if may_be_steady() else []
    options = "exitcode=66 report_thread_leaks=0"
    return subprocess.run(
        [*steady, "env", f"LD_PRELOAD={library}", *map(str, command)],
        env={**os.environ, "TSAN_OPTIONS": options, **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@functools.cache
def may_be_steady():
    BUILD.mkdir(parents=True, exist_ok=True)
    command = ["setarch", platform.machine(), "-R", "true"]
    if shutil.which("setarch") is None:
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def build(language, include, output):
    output.parent.mkdir(parents=True, exist_ok=True)
    programs.make(ROOT / "tests" / "c", BUILD.parent, "SANITIZE=thread", "archive")
    core = BUILD.parent / "thread" / "core.a"
    compile_shared([*ROOT.glob(f"bindings/{language}/*.c"), core], include, output)


def compile_shared(sources, include, output):
    headers = ["-isystem", include, f"-I{ROOT}/core"]
    command = [*COMPILER, *FLAGS, "-fsanitize=thread", *headers, *map(str, sources)]
    result = subprocess.run([*command, "-o", str(output)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.fixture(scope="module")
def sanitizer():
    library, lacking = runtime()
    if library is None:
        pytest.skip(lacking)
    return library


@pytest.fixture(scope="module")
def lua_paths(sanitizer):
    build("lua", CONFIG["lua_include"], BUILD / "readyq" / "core.so")
    compile_shared([ROOT / "tests/lua/unix.c"], CONFIG["lua_include"], BUILD / "unix.so")
    return {"LUA_PATH": f"{ROOT}/lua/?.lua;;", "LUA_CPATH": f"{BUILD}/?.so;;"}


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module, names in LUA_TESTS.items() for name in names]
)
def test_lua_without_a_race(sanitizer, lua_paths, module, name):
    command = [CONFIG["lua"], ROOT / "tests" / "lua" / "run.lua", module, name]
    result = run(command, sanitizer, **lua_paths)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.skipif(
    bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    reason="needs a CPython with the GIL; CONTRIBUTING.md says how to test one without it, whose"
    " locks the sanitizer sees only if it is built into that CPython as well",
)
def test_python_without_a_race(sanitizer):
    package = BUILD / "python" / "readyq"
    package.mkdir(parents=True, exist_ok=True)
    for source in (ROOT / "python" / "readyq").glob("*.py"):
        shutil.copy(source, package)
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    build("python", sysconfig.get_path("include"), package / f"_core{suffix}")
    tests = [f"tests/python/test_{name}.py" for name in ("parallel", "threads")]
    options = ["-q", "-s", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *options, *tests]
    result = run(command, sanitizer, PYTHONPATH=str(package.parent))
    assert result.returncode == 0, result.stdout + result.stderr
    assert "WARNING: ThreadSanitizer" not in result.stderr

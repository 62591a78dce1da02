# SPDX-License-Identifier: MIT
"""Who is measured: the programs below programs/, whether what they need is installed, and the
command that gets it.
"""

import contextlib
import dataclasses
import fcntl
import functools
import os
import re
import resource
import shlex
import subprocess
import sys

from results import BUILD, ROOT, text_of

PROGRAMS = ROOT / "bench" / "programs"
VENV = ROOT / "build" / "venv" / "bin" / "python"
LUA = os.environ.get("LUA", "lua5.4")
READY, IDLE = 100, 200  # the first descriptors that a program inherits: see programs/c/program.h


def python():
    """The virtual environment's, which has the other libraries, if it is of the Python in use."""
    if VENV.exists() and text_of(VENV, "-VV") == text_of(sys.executable, "-VV"):
        return str(VENV)
    return sys.executable


@functools.cache
def free_threaded():
    """The CPython without a GIL that FREE_THREADED names, or None. make built readyq for it."""
    python = os.environ.get("FREE_THREADED")
    code = "import sys, readyq; print(sys._is_gil_enabled())"
    if python and text_of(python, "-c", code) != "False":
        sys.exit(f"bench: FREE_THREADED={python} is not a CPython without a GIL")
    return python


@dataclasses.dataclass(frozen=True)
class Subject:
    name: str
    language: str
    words: tuple  # of the command, without scenarios; C and Rust: the program's name
    needs: str = ""  # the library: a header's pkg-config name, a module, a crate
    get: str = ""  # the command that installs it

    @property
    def is_ours(self):
        return self.name.startswith("readyq")

    def is_there(self):
        return not self.needs or FINDERS[self.language](self.needs)

    def command(self):
        return BUILDERS[self.language](self)

    @functools.cached_property
    def scenarios(self):
        return text_of(*self.command(), "list").split()


# ------------------------------------------------------------------ C


LIBRARIES = {  # the headers and the linker's words of libraries in C
    "libev": ("ev.h", ["-lev"]),
    "libuv": ("uv.h", ["-luv"]),
    "libevent": ("event2/event.h", ["-levent_core"]),
}
FLAGS = ["-std=c11", "-D_GNU_SOURCE", "-O2", "-g", "-pthread", f"-I{ROOT / 'core'}"]


def compiler():
    return shlex.split(os.environ.get("CC", "cc"))


@functools.cache
def has_header(library):
    header, words = LIBRARIES[library]
    source = f"#include <{header}>\nint main(void) {{ return 0; }}\n"
    command = [*compiler(), "-xc", "-", *words, "-o", "/dev/null"]
    result = subprocess.run(command, input=source, text=True, capture_output=True, check=False)
    return result.returncode == 0


@functools.cache
def fixed_time():
    """The library that a counted program in Lua needs."""
    return compile_c("fixed_time.so", ["fixed_time.c"], ["-shared", "-fPIC"])


def compile_c(name, sources, words=()):
    """build/bench/c/NAME from sources in programs/c."""
    program = BUILD / "c" / name
    program.parent.mkdir(parents=True, exist_ok=True)
    sources = [PROGRAMS / "c" / source for source in sources]
    library = ROOT / "build" / "libreadyq.a"
    # Another run may use the program meanwhile.
    new = program.with_name(f"{name}.{os.getpid()}")
    command = [*compiler(), *FLAGS, *sources, library, *words, "-o", new]
    subprocess.run(list(map(str, command)), check=True)
    new.replace(program)
    return str(program)


@functools.cache
def build_c(subject):
    (name,) = subject.words
    words = LIBRARIES[subject.needs][1] if subject.needs else []
    return [compile_c(name, [f"{name}.c", "program.c"], words)]


# ------------------------------------------------------------------ Python, Lua, Rust


@functools.cache
def has_module(name):
    return bool(text_of(python(), "-c", f"import {name}; print(True)"))


def build_python(subject):
    file, *words = subject.words
    return [python(), str(PROGRAMS / "python" / file), *words]


@functools.cache
def has_lua_module(name):
    return bool(text_of(LUA, "-e", f"require '{name}' print(true)"))


def build_lua(subject):
    path = f"package.path = '{PROGRAMS}/lua/?.lua;' .. package.path"
    return [LUA, "-e", path, str(PROGRAMS / "lua" / subject.words[0])]


@functools.cache
def has_crate(name):
    """cargo builds both programs, or none."""
    command = ["cargo", "build", "--quiet", "--release", "--locked"]
    command += ["--manifest-path", PROGRAMS / "rust" / "Cargo.toml"]
    command += ["--target-dir", BUILD / "rust"]
    with contextlib.suppress(OSError):
        subprocess.run(list(map(str, command)), check=False, stderr=subprocess.DEVNULL)
    return (BUILD / "rust" / "release" / name).exists()


def build_rust(subject):
    return [str(BUILD / "rust" / "release" / subject.words[0])]


def version_of_c(name):
    return text_of("dpkg-query", "-W", "-f=${Version}", f"{name}-dev") or text_of(
        "pkg-config", "--modversion", name
    )


def version_of_module(name):
    program = f"import importlib.metadata as m; print(m.version('{name}'))"
    return text_of(python(), "-c", program)


def version_of_lua_module(name):
    return text_of("dpkg-query", "-W", "-f=${Version}", f"lua-{PACKAGES.get(name, name)}")


def version_of_crate(name):
    lock = (PROGRAMS / "rust" / "Cargo.lock").read_text(encoding="utf-8")
    found = re.search(rf'name = "{name}"\nversion = "(.*)"', lock)
    return found[1] if found else ""


PACKAGES = {"luaevent": "event"}  # in Debian, by module
LIBRARY_NAMES = {"socket": "LuaSocket"}  # of what readyq itself is measured with
VERSIONS = {
    "C": version_of_c,
    "Python": version_of_module,
    "Lua": version_of_lua_module,
    "Rust": version_of_crate,
}
FINDERS = {"C": has_header, "Python": has_module, "Lua": has_lua_module, "Rust": has_crate}
BUILDERS = {"C": build_c, "Python": build_python, "Lua": build_lua, "Rust": build_rust}
PIP = "build/venv/bin/pip install"

SUBJECTS = [
    Subject("readyq", "C", ("readyq",)),
    Subject("bare epoll", "C", ("bare",)),
    Subject("libev", "C", ("libev",), "libev", "apt-get install libev-dev"),
    Subject("libuv", "C", ("libuv",), "libuv", "apt-get install libuv1-dev"),
    Subject("libevent", "C", ("libevent",), "libevent", "apt-get install libevent-dev"),
    Subject("polling", "Rust", ("polling",), "polling", "cargo, from https://rustup.rs"),
    Subject("mio", "Rust", ("mio",), "mio", "cargo, from https://rustup.rs"),
    Subject("readyq for", "Python", ("queue_for.py",)),
    Subject("readyq dispatch", "Python", ("queue_dispatch.py",)),
    Subject("readyq Selector", "Python", ("selector.py", "readyq")),
    Subject("readyq asyncio", "Python", ("aio.py", "readyq")),
    Subject("select.epoll, dict", "Python", ("epoll.py",)),
    Subject("selectors", "Python", ("selector.py", "stock")),
    Subject("asyncio", "Python", ("aio.py", "stock")),
    Subject("uvloop", "Python", ("aio.py", "uvloop"), "uvloop", f"{PIP} uvloop"),
    Subject("gevent", "Python", ("greenlets.py",), "gevent", f"{PIP} gevent"),
    Subject("readyq for", "Lua", ("queue_for.lua",)),
    Subject("readyq dispatch", "Lua", ("queue_dispatch.lua",)),
    Subject("readyq loop", "Lua", ("loop.lua",), "socket", "apt-get install lua-socket"),
    Subject("luv", "Lua", ("on_luv.lua",), "luv", "apt-get install lua-luv"),
    Subject("cqueues", "Lua", ("on_cqueues.lua",), "cqueues", "apt-get install lua-cqueues"),
    Subject("luaevent", "Lua", ("on_luaevent.lua",), "luaevent", "apt-get install lua-event"),
    Subject("lua-ev", "Lua", ("on_ev.lua",), "ev", "luarocks install lua-ev"),
]


def present():
    return [subject for subject in SUBJECTS if subject.is_there()]


def missing():
    """[{"subject", "language", "get"}] of those that are left out."""
    absent = [subject for subject in SUBJECTS if not subject.is_there()]
    return [{"subject": one.name, "language": one.language, "get": one.get} for one in absent]


def versions():
    """The versions of the interpreters and libraries that are installed, by name."""
    found = {"Python": text_of(python(), "-V").removeprefix("Python ")}
    found["Lua"] = text_of(LUA, "-v").partition("  ")[0].removeprefix("Lua ")
    if free := free_threaded():
        found["Python without a GIL"] = text_of(free, "-V").removeprefix("Python ")
    for subject in present():
        if subject.needs:
            name = LIBRARY_NAMES.get(subject.needs, subject.name)
            found.setdefault(name, VERSIONS[subject.language](subject.needs))
    return found


# ------------------------------------------------------------------ descriptors to inherit


@functools.cache
def descriptors(idle):
    """The numbers for `pass_fds`: from READY on they are readable for ever, each a pipe of its own
    with an unread byte; from IDLE on they never are, duplicates of one pipe. To be called once.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    beyond = IDLE + idle  # the write ends, which stay open in this process alone
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, beyond + 128)), hard))
    for fd in range(READY, IDLE + 1):
        reader, writer = os.pipe()
        if fd < IDLE:
            os.write(writer, b"x")
        fcntl.fcntl(writer, fcntl.F_DUPFD_CLOEXEC, beyond)
        os.dup2(reader, fd)
        os.close(reader)
        os.close(writer)
    for fd in range(IDLE + 1, beyond):
        os.dup2(IDLE, fd)
    return [*range(READY, beyond)]

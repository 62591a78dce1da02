# SPDX-License-Identifier: MIT
"""Compiles and links for other systems, with warnings as errors, and looks at the result. It runs
nothing. GNUmakefile calls it (`make cross`) with the Python that has ziglang, the compiler.

For macOS and FreeBSD it runs GNUmakefile itself in a copy of the sources, which links the library,
the Python module and the Lua module with the options of that system, and checks which symbols each
exports and uses: what is neither Python's nor Lua's must be in the system's libraries. For the
other targets it links the core into a program.

The interpreters' headers are this machine's. So it is not checked whether their functions exist
there, nor anything that Python's pyconfig.h or Lua's luaconf.h defines differently there.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import ziglang

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "cross"
ZIG = str(Path(ziglang.__file__).parent / "zig")
SYSTEMS = {"aarch64-macos": "Darwin", "x86_64-macos": "Darwin", "x86_64-freebsd": "FreeBSD"}
CORE_ONLY = [
    "x86_64-netbsd.11.0",
    "x86_64-openbsd",
    "x86_64-linux-musl",
    "aarch64-linux-musl",
    "riscv64-linux-musl",
]
SOURCES = ["GNUmakefile", "bindings", "core", "lua", "python", "tools"]
# -dynamic: a static musl would have to be compiled first, which takes longer than all the rest.
FLAGS = "-std=c11 -D_GNU_SOURCE -pthread -Icore -O1 -Werror -dynamic"
WARNINGS = "-Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes"
INTERPRETERS = r"_?Py\w+|_Py\w+|lua_\w+|luaL_\w+"
LINKERS_OWN = {"__dso_handle", "_mh_dylib_header", "_init", "_fini", "dyld_stub_binder"}

PROGRAM = """
#include "readyq.h"

int main(void)
{
    readyq *q;
    readyq_watch watch = {0};
    readyq_batch batch = {0};

    if (readyq_open(&q, NULL) < 0 || readyq_add(q, &watch, 0, READYQ_READ) < 0)
        return 1;
    readyq_wait(q, &batch, 0, 0);
    readyq_next(&batch);
    readyq_done(&batch);
    return readyq_close(q);
}
"""


class FailedError(Exception):
    pass


def run(*command, **options):
    command = [str(word) for word in command]
    result = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if result.returncode != 0:
        raise FailedError(result.stdout + result.stderr)
    return result.stdout


def compiler(target):
    return [ZIG, "cc", "-target", target]


def link_program(target, name, text, *sources):
    source = BUILD / f"{name}.c"
    source.write_text(text, encoding="utf-8")
    words = [*FLAGS.split(), *WARNINGS.split(), "-o", BUILD / f"{name}-{target}", source, *sources]
    run(*compiler(target), *words, cwd=ROOT)


def copy_headers(lua_include):
    """Debian keeps some of the headers where only its own compilers look."""
    headers = BUILD / "headers"
    shutil.rmtree(headers, ignore_errors=True)
    headers.mkdir(parents=True)
    for place in (Path(lua_include), *Path("/usr/include").glob("*-linux-gnu")):
        for header in (*place.glob("lua*.h"), *place.glob("lauxlib.h")):
            shutil.copy(header, headers)
    for part in Path("/usr/include").glob("*-linux-gnu/python3*"):
        (headers / part.parent.name).mkdir(exist_ok=True)
        (headers / part.parent.name / part.name).symlink_to(part)
    return headers


def make(target, headers, config):
    """Runs GNUmakefile in a copy of the sources, and returns the three files that it linked."""
    copy = BUILD / target
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(parents=True)
    leave_out = shutil.ignore_patterns("*.so", "__pycache__")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=leave_out)
        else:
            shutil.copy(ROOT / name, copy)
    variables = {
        "CC": " ".join(compiler(target)),
        "AR": f"{ZIG} ar",
        "SYSTEM": SYSTEMS[target],
        "CFLAGS": f"-O1 -Werror -isystem {headers}",
        "PYTHON": config["python"],
        "LUA": config["lua"],
        "LUA_INCLUDE": headers,
    }
    words = [f"{name}={value}" for name, value in variables.items()]
    environment = {name: value for name, value in os.environ.items() if "MAKE" not in name}
    command = [os.environ.get("MAKE", "make"), "-s", f"-j{os.cpu_count()}", *words]
    run(*command, "lib", "python-module", "lua-module", cwd=copy, env=environment)
    library = copy / "build" / ("libreadyq.dylib" if "macos" in target else "libreadyq.so")
    (python,) = (copy / "python" / "readyq").glob("_core*.so")
    return library, python, copy / "build" / "lua" / "readyq" / "core.so"


def symbols(path, target):
    """The names that it exports, and those that it takes from others."""
    macos = "macos" in target
    lines = run("llvm-nm", *([] if macos else ["--dynamic"]), "--extern-only", path).splitlines()
    exported, used = set(), set()
    for kind, name in (line.split()[-2:] for line in lines):
        name = name.partition("@")[0]
        if kind not in "wv":
            (used if kind == "U" else exported).add(name.removeprefix("_") if macos else name)
    return exported - LINKERS_OWN, used - LINKERS_OWN


def check_name(library, target):
    """A program remembers the library by a name with its major version."""
    if "macos" in target:
        options, expected = ["--macho", "--dylib-id"], r"/libreadyq\.\d+\.dylib\s"
    else:
        options, expected = ["--private-headers"], r"SONAME\s+libreadyq\.so\.\d+\s"
    if not re.search(expected, run("llvm-objdump", *options, library)):
        raise FailedError(f"{library} has no name like {expected}")


def check_symbols(files, target):
    header = (ROOT / "core" / "readyq.h").read_text(encoding="utf-8")
    public = set(re.findall(r"^READYQ_API .*?(readyq_\w+)\(", header, re.MULTILINE))
    others = set()
    for path, expected in zip(files, (public, {"PyInit__core"}, {"luaopen_readyq_core"})):
        exported, used = symbols(path, target)
        if exported != expected:
            raise FailedError(f"{path} exports {sorted(exported)}, not {sorted(expected)}")
        others |= {name for name in used if not re.fullmatch(INTERPRETERS, name)}
    link_program(target, "symbols", program_that_uses(others, "_" if "macos" in target else ""))
    return len(others)


def program_that_uses(names, prefix):
    numbered = enumerate(sorted(names))
    lines = [f'extern char s{number} __asm__("{prefix}{name}");' for number, name in numbered]
    table = ", ".join(f"&s{number}" for number in range(len(names)))
    lines.append(f"static char *const all[] = {{{table}}};")
    lines.append("int main(int argc, char **argv) { return all[argc] == *argv; }")  # all are used
    return "\n".join([*lines, ""])


def cross(target, config):
    if target not in SYSTEMS:
        link_program(target, "readyq", PROGRAM, *sorted(ROOT.glob("core/**/*.c")))
        return "the core"
    files = make(target, copy_headers(config["lua_include"]), config)
    check_name(files[0], target)
    count = check_symbols(files, target)
    return f"library, Python module, Lua module; {count} functions of the system"


def main():
    text = (ROOT / "build" / "config.mk").read_text(encoding="utf-8")
    config = dict(re.findall(r"^(\w+) = (.*)$", text, re.MULTILINE))
    BUILD.mkdir(parents=True, exist_ok=True)
    failed = False
    for target in os.environ.get("TARGETS", "").split() or [*SYSTEMS, *CORE_ONLY]:
        try:
            print(f"cross: {target}: {cross(target, config)}", flush=True)
        except FailedError as error:
            print(f"cross: {target}: failed\n{error}", flush=True)
            failed = True
    sys.exit(failed)


if __name__ == "__main__":
    main()

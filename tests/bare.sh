#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Tries the packages on the system on which it runs: installs each with that system's own tool, runs
# the programs of README.md, removes it, and compares the names of all files with those before. It
# must be root, and in a system that can be thrown away, since it installs where users do.
#
#   tests/bare.sh FOLDER    the folder with the packages: those of `make dist`, `make deb` or both
#
# What lacks its package or tool is skipped, and says so. tools/debian.sh runs it in bare roots of
# Debian. It needs no more than a POSIX shell, so that it can run in any root or container.
set -eu
sources=$(cd "$(dirname "$0")/.." && pwd)
packages=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" # where nothing of readyq is found

export PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1

say() {
    echo "bare: $*"
}

fail() {
    say "$*" >&2
    exit 1
}

# Runs a command, and shows what it printed only if it fails.
run() {
    "$@" >"$work/log" 2>&1 || {
        tail -n 40 "$work/log" >&2
        fail "failed: $*"
    }
}

# The names of all files, except what the package managers and Python keep for themselves, and except
# what is not on the disk.
list() {
    find / -xdev \( -path "$sources" -o -path "$packages" -o -path "$work" -o -path /proc \
        -o -path /sys -o -path /dev -o -path /tmp -o -path /var/log -o -path /var/cache \
        -o -path /var/lib/apt -o -path '/root/.*' -o -path '/var/lib/dpkg/*-old' \) -prune \
        -o -print | awk '!/__pycache__|ld\.so\.cache/ || /readyq/' | LC_ALL=C sort
}

# Fails if other files exist than before this package, without those that match $2.
removed() {
    list >"$work/after"
    left=$(LC_ALL=C comm -3 "$work/before" "$work/after" | grep -v "${2:-^$}") || left=
    [ -z "$left" ] || fail "$1: these files are gone (at the left) or new:
$left"
    mv "$work/after" "$work/before"
    say "$1: removed without a trace"
}

hello() {
    label=$1
    shift
    said=$("$@")
    [ "$said" = 'a friend says hello' ] || fail "$label: printed '$said'"
    say "$label: $said"
}

program() {
    (cd "$sources" && debian/tests/readme "$1")
}

has() {
    command -v "$1" >/dev/null
}

first_of() {
    for one; do
        ! has "$one" || { echo "$one" && return; }
    done
}

try_deb() {
    debs=$(find "$packages" -name '*readyq*.deb' ! -name '*dbgsym*')
    if [ -z "$debs" ]; then
        say 'deb: skipped: there is none'
        return
    fi
    run apt-get install -y $debs
    for test in c python lua; do
        run sh -ec "cd '$sources' && debian/tests/$test"
        sed 's/^/bare: deb: /' "$work/log"
    done
    run apt-get purge -y libreadyq0 libreadyq-dev python3-readyq lua-readyq
    removed deb
}

has_pip() {
    python3 -m pip --version >/dev/null 2>&1
}

try_wheel() {
    if ! has_pip; then
        say 'wheel: skipped: there is no pip for python3'
    elif ! python3 -m pip download -q -d "$work/found" --no-index --only-binary :all: \
        --find-links "$packages" readyq >/dev/null 2>&1; then
        say "wheel: skipped: there is none for $(python3 -V)"
    else
        try_pip wheel --no-index --only-binary :all: --find-links "$packages" readyq
    fi
}

# What builds the package comes from PyPI, unless it is in the folder, too.
try_sdist() {
    sdist=$(find "$packages" -name 'readyq-*.tar.gz' ! -name '*-source*')
    if ! has_pip || [ -z "$sdist" ]; then
        say 'sdist: skipped: there is none, or no pip'
    elif [ -n "$(find "$packages" -name 'setuptools-*.whl')" ]; then
        export PIP_NO_INDEX=1 PIP_FIND_LINKS="$packages"
        try_pip sdist "$sdist"
    else
        try_pip sdist "$sdist"
    fi
}

try_pip() {
    label=$1
    shift
    run python3 -m pip install "$@"
    hello "$label" python3 -c "$(program python)"
    run python3 -m pip uninstall -y readyq
    removed "$label"
}

# For each Lua that is installed with a luarocks. Where there is one program for all, for the Lua that
# it takes by itself.
try_rock() {
    rock=$(find "$packages" -name 'readyq-*.src.rock')
    found=
    for luarocks in luarocks-5.1 luarocks-5.2 luarocks-5.3 luarocks-5.4 luarocks-5.5; do
        ! has $luarocks || ! has "lua${luarocks#luarocks-}" || found="$found $luarocks"
    done
    [ -n "$found" ] || ! has luarocks || found=luarocks
    if [ -z "$rock" ] || [ -z "$found" ]; then
        say 'rock: skipped: there is none, or no luarocks'
        return
    fi
    for luarocks in $found; do
        try_luarocks $luarocks
    done
}

# luarocks keeps its list of rocks and the directories in which it once put modules.
try_luarocks() {
    number=$($1 config lua_version 2>/dev/null) || number=$($1 config --lua-ver)
    run $1 install "$rock"
    hello "rock, Lua $number" "$(first_of "lua$number" lua)" -e "$(program lua)"
    run $1 remove readyq
    removed rock '/luarocks\|/lib/lua\(/5\..\)\?$\|/share/lua\(/5\..\)\?$'
}

# The program in C is linked to the shared library as $1 says.
try_c() {
    program c >"$work/program.c"
    run ${CC:-cc} "$work/program.c" -o "$work/program" $1
    hello 'make install, C' "$work/program"
}

try_make() {
    if ! has make || ! has "${CC:-cc}"; then
        say 'make install: skipped: there is no make or no C compiler'
        return
    fi
    mkdir "$work/tree"
    (cd "$sources" && tar -cf - --exclude ./build --exclude ./.git --exclude '*.so' .) |
        (cd "$work/tree" && tar -xf -)
    in_tree install
    ! has ldconfig || ldconfig 2>/dev/null || true
    if has pkg-config; then
        try_c "$(PKG_CONFIG_PATH=/usr/local/lib/pkgconfig pkg-config --cflags --libs readyq)"
    else
        try_c '-I/usr/local/include -L/usr/local/lib -lreadyq'
    fi
    directory=$(cd "$work/tree" && python3 tools/sitedir.py /usr/local)
    hello 'make install, Python' env PYTHONPATH="$directory" python3 -c "$(program python)"
    hello 'make install, Lua' "$(first_of lua5.4 lua)" -e "$(program lua)"
    in_tree uninstall
    ! has ldconfig || ldconfig 2>/dev/null || true
    removed 'make install'
}

in_tree() {
    run sh -ec "cd '$work/tree' && make $1"
}

list >"$work/before"
try_deb
try_wheel
try_sdist
try_rock
try_make

#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Builds Debian's packages, and tries them out.
#
#   tools/debian.sh build         builds them on this system, into build/deb, and runs lintian
#   tools/debian.sh try SUITE...  makes a bare root of each suite below build/debian, which stays for
#                                 the next time; builds the packages in a copy of it, and runs
#                                 tests/bare.sh in another, which installs them and those in dist/,
#                                 runs the programs of README.md and removes them. Needs root,
#                                 because it uses chroot.
#
# Environment: MIRROR, where mmdebstrap fetches packages; without MIRROR, from its usual place.
set -eu
cd "$(dirname "$0")/.."

version=$(sed -n 's/^#define READYQ_VERSION "\(.*\)".*/\1/p' core/readyq.h)
# What debian/tests/control names, and what tests/bare.sh uses.
for_tests='gcc libc6-dev pkgconf python3-all lua5.1 lua5.2 lua5.3 lua5.4
    make python3-dev python3-pip luarocks liblua5.1-0-dev liblua5.2-dev liblua5.3-dev liblua5.4-dev'

say() {
    echo "debian: $*" >&2
}

need() {
    for program; do
        command -v "$program" >/dev/null && continue
        say "$program is missing: apt-get install build-essential lintian mmdebstrap"
        exit 1
    done
}

need_packages() {
    missing=$(dpkg-checkbuilddeps 2>&1) && return
    say "${missing##*: } is missing: apt-get build-dep ."
    exit 1
}

# The source package's parts below $1: the archive of the sources, and the tree with debian/ in it.
unpack() {
    name=readyq-$version
    rm -rf "$1"
    mkdir -p "$1/$name"
    list_files | tar -cf - -T - | tar -xf - -C "$1/$name"
    tar -C "$1" --exclude="$name/debian" --sort=name --owner=0 --group=0 --numeric-owner \
        --mtime="$(dpkg-parsechangelog -S Date)" -cJf "$1/readyq_$version.orig.tar.xz" "$name"
}

list_files() {
    git ls-files --cached --others --exclude-standard 2>/dev/null ||
        find . -name build -prune -o -name '*.so' -prune -o -name '*.egg-info' -prune -o -type f -print
}

build_here() {
    need dpkg-buildpackage lintian
    need_packages
    unpack build/deb
    (cd "build/deb/readyq-$version" && dpkg-buildpackage -us -uc) >build/deb/log 2>&1 || {
        tail -n 40 build/deb/log >&2
        say "the build failed: build/deb/log"
        exit 1
    }
    rm -r "build/deb/readyq-$version"
    lintian --fail-on error,warning --display-info build/deb/*.changes
    ls build/deb/*.deb
}

# Runs a command in the root $1, with a /proc of its own.
enter() {
    root=$1
    shift
    unshare --mount --pid --fork --kill-child sh -c \
        'root=$1 && shift && mount -t proc proc "$root/proc" && exec chroot "$root" "$@"' - "$root" \
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
        DEBIAN_FRONTEND=noninteractive "$@"
}

# Runs lines of sh in the root $1, and shows what they print if they fail.
run() {
    enter "$1" sh -ec "$2" >"$1.log" 2>&1 || {
        tail -n 40 "$1.log" >&2
        say "failed in $1: $2"
        exit 1
    }
}

# Suites that are not stable have an index that expires when a mirror is not updated.
make_root() {
    [ ! -d "build/debian/$1" ] || return 0
    say "$1: making a bare root"
    mmdebstrap --quiet --variant=minbase --aptopt='Acquire::Check-Valid-Until "false"' \
        --aptopt='APT::Install-Recommends "false"' "$1" "build/debian/$1.new" ${MIRROR:-} >&2
    mv "build/debian/$1.new" "build/debian/$1"
}

copy_root() {
    rm -rf "$2"
    cp -a "$1" "$2"
}

build_in() {
    say "$1: building"
    copy_root "build/debian/$1" "build/debian/$1.build"
    unpack "build/debian/$1.build/readyq"
    run "build/debian/$1.build" "
        apt-get update
        apt-get install -y build-essential lintian
        cd /readyq/readyq-$version
        apt-get build-dep -y .
        dpkg-buildpackage -us -uc"
    # An older lintian does not know the newest policy.
    run "build/debian/$1.build" "cd /readyq && lintian --allow-root --fail-on error,warning \
        --suppress-tags newer-standards-version *.changes"
}

# With setuptools, so that the root does not need a package index to build the source package.
copy_dist() {
    cp dist/readyq-* "$1/"
    build/venv/bin/python -m pip -q download --no-deps -d "$1" \
        "$(sed -n 's/^SETUPTOOLS = "\(.*\)".*/\1/p' tools/wheels.py)"
}

# tests/bare.sh tries all packages: these, and those of `make dist` if there are any.
try_in() {
    say "$1: installing, running and removing"
    root=build/debian/$1.bare
    copy_root "build/debian/$1" "$root"
    mkdir -p "$root/readyq/packages" "$root/readyq/sources"
    cp "build/debian/$1.build/readyq/"*.deb "$root/readyq/packages/"
    [ ! -d dist ] || copy_dist "$root/readyq/packages"
    list_files | tar -cf - -T - | tar -xf - -C "$root/readyq/sources"
    run "$root" "apt-get update && apt-get install -y $(echo $for_tests)"
    run "$root" "apt-get install -y lua5.5 liblua5.5-dev || true" # newer Debians have it
    run "$root" "sh /readyq/sources/tests/bare.sh /readyq/packages"
    cat "$root.log"
    rm -rf "build/debian/$1.build" "$root"
}

command=$1
shift
case $command in
build) build_here ;;
try)
    need mmdebstrap dpkg-parsechangelog unshare
    mkdir -p build/debian
    for suite; do
        make_root "$suite"
        build_in "$suite"
        try_in "$suite"
    done
    ;;
*)
    say "no such command: $command"
    exit 2
    ;;
esac

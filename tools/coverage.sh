#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Measures which lines and branches of the C and the Python sources the tests reach: builds a copy
# of the tree under build/coverage with gcc's counters, runs the C tests there, on the kqueue for
# tests too, and the tests of Python and of one Lua, prints the lines that were not reached, and
# ends with one line of figures, which it also writes to build/coverage.txt. GNUmakefile calls it
# (`make coverage`) with PYTHON.
set -eu
cd "$(dirname "$0")/.."
copy=build/coverage
counters='-O0 -g --coverage -fprofile-update=atomic'
summary=$PWD/build/coverage.txt

rm -rf $copy
mkdir -p $copy/build
tar -cf - --exclude=./build --exclude=./.git --exclude='*.so' . | tar -xf - -C $copy
[ ! -d build/venv ] || ln -s "$PWD/build/venv" $copy/build/venv
cd $copy

run() {
    log=build/$1.log
    shift
    "$PYTHON" -m "$@" >"$log" || { tail -n 40 "$log"; exit 1; }
}

export COVERAGE="$counters -DCOVERAGE"
export COVERAGE_CORE=ctrace COVERAGE_FILE="$PWD/build/python.coverage"
others='lua5.1 or lua5.2 or lua5.3 or lua5.5 or luajit or without_a_race or copas'
undisturbed='does_not_import_asyncio or imports_little_else'
written_in_python='tests/python/test_aio.py tests/python/test_selector.py tests/python/test_objects.py
    tests/python/test_picture.py tests/python/test_timeline.py tests/test_prompt.py tests/test_prompt_start.py
    tests/test_prompt_screen.py tests/test_hosts.py tests/test_neighbours.py'
make -s CFLAGS="$counters" LDFLAGS=--coverage
eval "$(make -s CFLAGS="$counters" LDFLAGS=--coverage env)"
run c pytest -q --tb=short -k "not ($others)" tests/test_c.py &
run scripts pytest -q --tb=short -k "not ($others)" $(printf -- '--deselect=%s ' $written_in_python) \
    tests/test_lua.py tests/python
wait $!
KQUEUE_KERNELS='freebsd netbsd macos' run kqueue pytest -q --tb=short tests/test_kqueue.py
# A terminal may be too slow for a Python that counts lines: what fails here gets a second chance.
# The same tests run without counters, and without a second chance, in `make test`.
slow_terminals() {
    run python coverage run -m pytest -q --tb=short -k "not ($undisturbed)" "$@"
}
(slow_terminals $written_in_python) || slow_terminals --last-failed $written_in_python
"$PYTHON" -m coverage combine -q
"$PYTHON" -m coverage report --skip-covered --show-missing
"$PYTHON" -m gcovr --root . --filter core/ --filter bindings/ --gcov-ignore-errors all \
    --merge-mode-functions=separate \
    --txt-metric branch --txt - --json-summary build/c.json build 2>build/gcovr.log
"$PYTHON" - build/c.json "$("$PYTHON" -m coverage report --format=total)" >"$summary" <<'END'
import json
import sys

c = json.load(open(sys.argv[1], encoding="utf-8"))
print(
    f"coverage: C lines {c['line_percent']} %, C branches {c['branch_percent']} %,"
    f" Python {sys.argv[2]} %"
)
END
cat "$summary"

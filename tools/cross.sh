#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Compiles and links the core for other systems, with warnings as errors. Nothing is run. The
# compiler is `python -m ziglang cc`. GNUmakefile calls it (`make cross`) with PYTHON, which must
# have ziglang.
set -eu
cd "$(dirname "$0")/.."
mkdir -p build/cross
targets=${TARGETS:-"aarch64-macos x86_64-macos x86_64-freebsd x86_64-netbsd.11.0 x86_64-openbsd
    x86_64-linux-musl aarch64-linux-musl riscv64-linux-musl"}
failed=

cat >build/cross/program.c <<'END'
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
END

for target in $targets; do
    if "$PYTHON" -m ziglang cc -target "$target" -std=c11 -D_GNU_SOURCE -pthread -Icore -O2 \
        -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Werror \
        -o "build/cross/readyq-$target" build/cross/program.c core/*.c; then
        echo "cross: $target"
    else
        failed="$failed $target"
    fi
done
[ -z "$failed" ] || { echo "cross: failed:$failed" >&2; exit 1; }

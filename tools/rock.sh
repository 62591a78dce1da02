#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Packs the sources as build/readyq-VERSION-1.src.rock, which `luarocks install` builds and installs
# on any machine. `luarocks pack` fetches the sources from the rockspec's source.url. The rockspecs
# here name no server, since `luarocks make` uses the directory it runs in, so the packed one gets
# the address of an archive of this tree.
set -eu
cd "$(dirname "$0")/.."

version=$(sed -n 's/^#define READYQ_VERSION "\(.*\)".*/\1/p' core/readyq.h)
name=readyq-$version
command -v luarocks >/dev/null || {
    echo "make rock: luarocks is missing: apt-get install luarocks zip" >&2
    exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir -p build "$work/$name"
cp -R GNUmakefile LICENSE README.md core bindings lua packaging tools "$work/$name"
tar -C "$work" -czf "$work/$name.tar.gz" "$name"
sed "s|^source = .*|source = { url = \"file://$work/$name.tar.gz\" }|" "$name-1.rockspec" \
    >"$work/$name-1.rockspec"
(cd "$work" && luarocks pack "$name-1.rockspec" >&2)
mv "$work/$name-1.src.rock" build/
echo "build/$name-1.src.rock"

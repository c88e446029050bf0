#!/usr/bin/env bash
# Builds a librdkafka newer than Debian 12's (2.0.2), which cannot log in to Kafka 3.8.1 and later by SASL SCRAM. Needs npm, cmake, a C compiler,
# libssl-dev, libzstd-dev, zlib1g-dev and liblz4-dev; takes about a minute and installs into a folder of its own.
#   deploy/build-librdkafka.sh [FOLDER]       default: ~/.cache/tailwater/librdkafka
# Then, in a new build folder:
#   PKG_CONFIG_PATH=FOLDER/lib/pkgconfig cmake --preset release && cmake --build build/release
set -euo pipefail
case ${1:-} in
  -h|--help) sed -n '2,6s/^# //p' "$0"; exit 0 ;;
  -*) echo "build-librdkafka.sh: unknown option '$1' (there is only a folder)" >&2; exit 2 ;;
esac
# The package carries the library's sources as they were released.
package=node-rdkafka@3.6.1 version=2.12.0
folder=${1:-${TW_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tailwater}/librdkafka}
if grep -qs "^Version: $version" "$folder/lib/pkgconfig/rdkafka.pc"; then
  echo "librdkafka $version: $folder"
  exit 0
fi
for program in npm cmake cc; do
  command -v $program >/dev/null || { echo "build-librdkafka.sh: $program is not installed" >&2; exit 1; }
done
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
(cd "$scratch" && npm pack --silent "$package" >/dev/null && tar xzf ./*.tgz)
cmake -S "$scratch/package/deps/librdkafka" -B "$scratch/build" -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$folder" \
  -DCMAKE_INSTALL_LIBDIR=lib -DRDKAFKA_BUILD_STATIC=ON -DRDKAFKA_BUILD_EXAMPLES=OFF -DRDKAFKA_BUILD_TESTS=OFF -DWITH_SASL=OFF -DWITH_CURL=OFF \
  -DENABLE_LZ4_EXT=ON -DWITH_ZSTD=ON -DWITH_SSL=ON >"$scratch/log" 2>&1 &&
  cmake --build "$scratch/build" --parallel --target install >>"$scratch/log" 2>&1 || { tail -20 "$scratch/log" >&2; exit 1; }
# What the package configuration of the static library leaves out.
sed -e 's/^Name: .*/Name: librdkafka/' -e 's/ -lpthread/ -lssl -lcrypto -lzstd -llz4 -lz -lpthread/' "$folder/lib/pkgconfig/rdkafka-static.pc" \
  >"$folder/lib/pkgconfig/rdkafka.pc"
echo "librdkafka $version: $folder"

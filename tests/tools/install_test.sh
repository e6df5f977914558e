#!/bin/sh
# What `meson install` leaves is enough: the headers, libraries and .pc files of a staged install build and link a service of somebody
# else's, through pkg-config alone. usage: install_test.sh MESON BUILD_DIRECTORY SOURCE_DIRECTORY COMPILER...
set -eu
meson=$1 build=$2 source=$3
shift 3
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT

$meson install -C "$build" --no-rebuild --quiet --tags devel --destdir "$stage"
pc=$(find "$stage" -name hongbao.pc)
[ -n "$pc" ] || { echo 'no hongbao.pc was installed'; exit 1; }
[ -n "$(find "$stage" -name hongbao-admin.pc)" ] || { echo 'no hongbao-admin.pc was installed'; exit 1; }
prefix=$(sed -n 's/^prefix=//p' "$pc")
export PKG_CONFIG_PATH="${pc%/*}"

# Whoever links the core carries no HTTP, no JSON, no option parser.
if pkg-config --print-requires hongbao | grep -E 'httplib|CLI11|json|prometheus'; then
  echo 'the core needs what only hongbao-admin may need'
  exit 1
fi

# shellcheck disable=SC2046  # lists of words
"$@" -std=c++20 "$source/examples/echo/echo.cc" -o "$stage/echo" \
  $(pkg-config --define-variable=prefix="$stage$prefix" --cflags --libs hongbao)
cat >"$stage/admin.cc" <<'END'
#include "libhongbao/admin/http_admin.h"
int main() {
  hongbao::admin::AdminServer server;  // pulls in the HTTP part of the library
  return server.Start({}).ok() ? 0 : 1;
}
END
# shellcheck disable=SC2046
"$@" -std=c++20 "$stage/admin.cc" -o "$stage/admin" \
  $(pkg-config --define-variable=prefix="$stage$prefix" --cflags --libs hongbao-admin)
echo 'an installed hongbao builds echo'

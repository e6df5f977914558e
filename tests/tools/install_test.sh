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

# Whoever includes a header has our warnings as their own: a service of theirs, and every header, under strict flags. What other
# libraries' headers say is theirs.
strict='-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror'
headers=$stage$prefix/include/libhongbao
flags=$(pkg-config --define-variable=prefix="$stage$prefix" --cflags hongbao hongbao-admin | sed "s|-I\($stage\)|-J\1|g; s|-I|-isystem |g; s|-J|-I|g")
for folder in "" $(cd "$headers" && find . -type d ! -name . ! -name admin ! -name ledger | sort); do
  (cd "$headers/.." && find "libhongbao/${folder#./}" -maxdepth 1 -name '*.h' | sort)
done | sed 's|//|/|; s|.*|#include "&"|' >"$stage/headers.cc"
cat >>"$stage/headers.cc" <<'END'
int main() {
  const hongbao::net::ServiceOptions service{.workers = 1};
  const hongbao::serve::ServerOptions server{.users_max = 10};
  const hongbao::load::ClientOptions client{.users = {.last = 8}};
  return service.workers == 1 && server.users_max == 10 && client.users.count() == 9 ? 0 : 1;
}
END
# shellcheck disable=SC2086
"$@" -std=c++20 $strict $flags -fsyntax-only "$stage/headers.cc"
# shellcheck disable=SC2086
"$@" -std=c++20 $strict $flags -fsyntax-only "$source/examples/echo/echo.cc"

# An earlier C++ is told what is the matter, before anything else. tools/tidy sees that every header can.
for header in net/service.h serve/server.h load/client.h wire/codec.h; do
  printf '#include "libhongbao/%s"\n' "$header" >"$stage/old.cc"
  # shellcheck disable=SC2086
  "$@" -std=c++17 $flags -fsyntax-only "$stage/old.cc" >"$stage/old.txt" 2>&1 || true
  grep -m 1 'error:' "$stage/old.txt" | grep -q 'needs C++20' || { echo "$header says under -std=c++17:"; head -3 "$stage/old.txt"; exit 1; }
done

# shellcheck disable=SC2046  # lists of words
"$@" -std=c++20 "$source/examples/echo/echo.cc" -o "$stage/echo" \
  $(pkg-config --define-variable=prefix="$stage$prefix" --cflags --libs hongbao)
cat >"$stage/admin.cc" <<'END'
#include "libhongbao/http/admin_server.h"
int main() {
  hongbao::http::AdminServer server;  // pulls in the HTTP part of the library
  return server.Start({}).ok() ? 0 : 1;
}
END
# shellcheck disable=SC2046
"$@" -std=c++20 "$stage/admin.cc" -o "$stage/admin" \
  $(pkg-config --define-variable=prefix="$stage$prefix" --cflags --libs hongbao-admin)
echo 'an installed hongbao builds echo'

#!/bin/sh
# hongbao as a subproject of somebody else's meson project: it configures where only the core's libraries are installed, brings
# libraries and no program and no test into the parent, and a service of the parent's builds with it.
# usage: subproject_test.sh MESON SOURCE_DIRECTORY COMPILER...
set -eu
meson=$1 source=$2
shift 2
export CXX="$*"
parent=$(mktemp -d)
trap 'rm -rf "$parent"' EXIT

mkdir "$parent/subprojects" "$parent/pkgconfig"
ln -s "$source" "$parent/subprojects/hongbao"
cp "$source/examples/echo/echo.cc" "$parent/service.cc"
cat >"$parent/meson.build" <<'END'
project('parent', 'cpp', default_options: ['cpp_std=c++20', 'buildtype=plain'])
executable('service', 'service.cc', dependencies: dependency('hongbao'))
END
# Of all that this machine has installed, the parent's has liburing and abseil.
for name in liburing $(pkg-config --list-all | awk '$1 ~ /^absl_/ { print $1 }'); do
  cp "$(pkg-config --variable=pcfiledir "$name")/$name.pc" "$parent/pkgconfig"
done

if ! PKG_CONFIG_LIBDIR="$parent/pkgconfig" $meson setup "$parent/build" "$parent" --force-fallback-for=hongbao \
    --wrap-mode=nodownload >"$parent/log" 2>&1; then
  tail -n 30 "$parent/log"
  echo 'a parent project does not configure'
  exit 1
fi
$meson introspect --targets "$parent/build" | python3 -c '
import json, sys
targets = json.load(sys.stdin)
foreign = [t["name"] for t in targets if t["type"] in ("executable", "custom") and t["name"] != "service"]
sys.exit("a parent gets what is no library of ours: " + " ".join(foreign) if foreign else 0)'
[ "$($meson introspect --tests "$parent/build")" = '[]' ] || { echo 'a parent gets our tests'; exit 1; }
ninja -C "$parent/build" service >"$parent/log" 2>&1 || { tail -n 30 "$parent/log"; exit 1; }
echo 'a parent project builds echo'

# shellcheck shell=sh
# For tools/simulate, tools/kill_loop and tools/audit: with_programs NAME ARGUMENT... checks the command line, sets the machine up if
# needed, builds server and client, and then becomes tools/NAME.py. $root is the project's.
#
# POSIX sh up to the point where set-up is done: a fresh machine has no python3.
#
# environment:
#   HONGBAO_BUILD_DIR   use the programs of this build directory as they are; no set-up, no build

# meson ends with a traceback in a folder whose name the locale has no letters for; everything here is UTF-8.
[ "$(locale charmap 2>/dev/null)" = UTF-8 ] || { LC_ALL=C.UTF-8; export LC_ALL; }

with_programs() {
  tool=$1
  shift
  # Help and wrong usage need no build; before set-up there may be no python3 to tell.
  if command -v python3 >/dev/null 2>&1; then
    python3 "$root/tools/$tool.py" --check-usage "$@"
    case $? in
      0) ;;
      9) exit 0 ;;  # help or version was asked for and is printed
      1) exit 1 ;;  # it could not be printed
      *) exit 2 ;;
    esac
  fi
  if [ -z "${HONGBAO_BUILD_DIR:-}" ]; then
    build_programs "$tool"
  fi
  exec python3 "$root/tools/$tool.py" "$@"
}

# build_programs TOOL [TARGET...]: sets the machine up if needed and builds the targets into build/ (server and client if none is named).
build_programs() {
  "$root/tools/setup" --no-tests || { echo "tools/$1: tools/setup failed, see above" >&2; exit 1; }
  mkdir -p "$root/build" || exit 1
  log=$root/build/$1-build.log
  if [ -z "${CXX:-}" ] && command -v ccache >/dev/null 2>&1 && command -v g++ >/dev/null 2>&1; then
    export CXX='ccache g++'
  fi
  if [ ! -f "$root/build/build.ninja" ]; then
    echo "tools/$1: building into build/ (the first time takes a minute or two)" >&2
    meson setup "$root/build" "$root" >"$log" 2>&1 || {
      tail -n 20 "$log" >&2
      echo "tools/$1: meson setup failed (whole log: $log)" >&2
      exit 1
    }
  fi
  tool=$1
  shift
  [ $# -gt 0 ] || set -- server/hongbao-server client/hongbao-client
  if [ "$tool" = simulate ]; then  # a run does without them, with less to look at
    ninja -C "$root/build" build.ninja >"$log" 2>&1  # learns of new targets; its trouble is told below
    for target in tools/monitor/hongbao-monitor libhongbao/admin/page/report_template.html; do
      ! ninja -C "$root/build" -t query $target >/dev/null 2>&1 || set -- "$@" $target
    done
  fi
  ninja -C "$root/build" "$@" >"$log" 2>&1 || {
    grep -E -A 15 'FAILED:|error:' "$log" | head -n 60 >&2
    echo "tools/$tool: the build failed (whole log: $log)" >&2
    exit 1
  }
  HONGBAO_BUILD_DIR=$root/build
  export HONGBAO_BUILD_DIR
}

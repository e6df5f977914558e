# shellcheck shell=sh disable=SC2154
# Starts the tool whose file sources this one. Such a file sets $self to its own path without symbolic links, so that a tool can be
# linked to from anywhere; its name says which tool it is. What a tool does is in hongbao_tools/NAME/main.py.
#
# This is POSIX sh because a fresh machine has no python3 before tools/setup has run.
#
# environment:
#   HONGBAO_BUILD_DIR   take the programs of this build directory as they are: no set-up, no build
set -u
tool=${self##*/} tools=${self%/*} root=${self%/*/*}

# meson ends with a traceback in a folder whose name the locale has no letters for; everything here is UTF-8.
use_utf8() { [ "$(locale charmap 2>/dev/null)" = UTF-8 ] || { LC_ALL=C.UTF-8; export LC_ALL; }; }

# build TARGET...: sets the machine up if needed and builds the targets in build/.
build() {
  "$tools/setup" --no-tests || { echo "tools/$tool: tools/setup failed, see above" >&2; exit 1; }
  mkdir -p "$root/build" || exit 1
  log=$root/build/$tool-build.log
  if [ -z "${CXX:-}" ] && command -v ccache >/dev/null 2>&1 && command -v g++ >/dev/null 2>&1; then
    export CXX='ccache g++'
  fi
  if [ ! -f "$root/build/build.ninja" ]; then
    echo "tools/$tool: building into build/ (the first time takes a minute or two)" >&2
    meson setup "$root/build" "$root" >"$log" 2>&1 || {
      tail -n 20 "$log" >&2
      echo "tools/$tool: meson setup failed (whole log: $log)" >&2
      exit 1
    }
  fi
  if [ "$tool" = simulate ]; then  # a run does without these, but shows less
    ninja -C "$root/build" build.ninja >"$log" 2>&1  # learns of new targets; if it fails, so does the build below, which says why
    for target in tools/monitor/hongbao-monitor libhongbao/watch/page/report_template.html; do
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

# Ends here if the command line asks for help or is wrong: neither needs a build. Before set-up there may be no python3 to find out.
check_usage() {
  command -v python3 >/dev/null 2>&1 || return 0
  python3 "$tools/start.py" "$tool" --check-usage "$@"
  case $? in
    0) ;;
    9) exit 0 ;;  # help or version was asked for and is printed
    1) exit 1 ;;  # it could not be printed
    *) exit 2 ;;
  esac
}

case $tool in
  simulate | kill_loop | audit)
    use_utf8
    if [ -z "${HONGBAO_BUILD_DIR:-}" ]; then
      check_usage "$@"
      build server/hongbao-server client/hongbao-client
    fi
    ;;
  conns)  # the tool is a program of the build
    program=tools/conns_program/hongbao-conns
    # A program that is not older than its source is started at once: whoever counts connections is in the middle of something.
    if [ -z "${HONGBAO_BUILD_DIR:-}" ] &&
      { [ ! -x "$root/build/$program" ] || [ -n "$(find "$tools/conns_program" -newer "$root/build/$program" -name '*.*' -print)" ]; }; then
      use_utf8
      build $program
    fi
    folder=${HONGBAO_BUILD_DIR:-$root/build}
    if [ ! -x "$folder/$program" ]; then
      echo "tools/conns: $folder/$program is not there: ninja -C $folder $program" >&2
      exit 1
    fi
    exec "$folder/$program" "$@"
    ;;
esac
command -v python3 >/dev/null 2>&1 || { echo "tools/$tool: there is no python3: run tools/setup" >&2; exit 1; }
exec python3 "$tools/start.py" "$tool" "$@"

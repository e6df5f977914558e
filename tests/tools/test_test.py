#!/usr/bin/env python3
"""tools/test itself, with a meson and a ninja that only pretend: its last line is the true sum, and nothing bad goes unnoticed."""
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import unittest

TOOLS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools")

SUMMARY = """
Ok:                 {ok}
Expected Fail:      0
Fail:               {fail}
Unexpected Pass:    0
Skipped:            {skip}
Timeout:            {timeout}
"""


class TestTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = folder.name
        os.makedirs(os.path.join(self.root, "tools"))
        os.makedirs(os.path.join(self.root, "bin"))
        shutil.copy(os.path.join(TOOLS, "test"), os.path.join(self.root, "tools", "test"))
        self.script("tools/setup", "exit 0")
        self.script("bin/ninja", "exit 0")
        self.meson(ok=3)

    def script(self, path, body):
        full = os.path.join(self.root, path)
        with open(full, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\n" + textwrap.dedent(body) + "\n")
        os.chmod(full, 0o755)

    def meson(self, ok=0, fail=0, skip=0, timeout=0, exit_code=0, log=""):
        summary = SUMMARY.format(ok=ok, fail=fail, skip=skip, timeout=timeout)
        self.script("bin/meson", f"""\
locale charmap >>"{self.root}/charmaps"
if [ "$1" = setup ]; then
  [ "$2" = --reconfigure ] && shift
  mkdir -p "$2/meson-logs" && touch "$2/build.ninja"
  exit 0
fi
shift
while [ "$1" != -C ]; do shift; done
cat >"$2/meson-logs/testlog.txt" <<'END'
{log}
END
cat <<'END'
{summary}
END
exit {exit_code}""")

    def run_it(self, *arguments, **variables):
        environment = dict(os.environ, PATH=os.path.join(self.root, "bin") + ":" + os.environ["PATH"], **variables)
        done = subprocess.run([os.path.join(self.root, "tools", "test"), *arguments], env=environment,
                              capture_output=True, text=True, check=False)
        lines = done.stdout.splitlines()
        return done.returncode, lines[-1] if lines else ""

    def test_meson_gets_a_locale_that_has_letters_for_every_folder(self):
        self.run_it("--quick", LC_ALL="C", LANG="de_DE.ISO-8859-1")
        with open(os.path.join(self.root, "charmaps"), encoding="ascii") as file:
            self.assertEqual(set(file.read().split()), {"UTF-8"})

    def test_sums_over_all_runs(self):
        self.assertEqual(self.run_it(), (0, "9 passed, 0 failed"))

    def test_quick_is_one_run(self):
        self.assertEqual(self.run_it("--quick"), (0, "3 passed, 0 failed"))

    def test_failures_and_timeouts_are_failed(self):
        self.meson(ok=3, fail=1, timeout=2, exit_code=3)
        self.assertEqual(self.run_it("--quick"), (1, "3 passed, 3 failed"))

    def test_skipped_tests_and_cases_are_shown(self):
        self.meson(ok=3, skip=1, log="[  SKIPPED ] A.B (0 ms)\n[  SKIPPED ] 1 test, listed below:")
        self.assertEqual(self.run_it("--quick"), (0, "3 passed, 0 failed, 2 skipped"))

    def test_meson_that_fails_without_a_failed_test(self):
        self.meson(ok=3, exit_code=125)
        self.assertEqual(self.run_it("--quick"), (1, "3 passed, 1 failed"))

    def test_no_test_at_all_is_a_failure(self):
        self.meson(ok=0)
        self.assertEqual(self.run_it("--quick"), (1, "0 passed, 1 failed"))

    def test_build_that_fails(self):
        self.script("bin/ninja", "echo 'FAILED: x.o'; exit 1")
        self.assertEqual(self.run_it("--quick"), (1, "0 passed, 1 failed"))

    def test_setup_that_fails(self):
        self.script("tools/setup", "exit 1")
        self.assertEqual(self.run_it(), (1, "0 passed, 1 failed"))

    def test_unknown_argument(self):
        self.assertEqual(self.run_it("--fast")[0], 2)


if __name__ == "__main__":
    sys.exit(unittest.main())

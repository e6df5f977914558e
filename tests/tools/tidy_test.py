#!/usr/bin/env python3
"""tools/tidy itself: a clean tree has no findings, and each planted violation is found, in the right file, once."""
import os
import subprocess
import tempfile
import unittest

TIDY = os.environ.get("TIDY", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "tidy"))

CLEAN_HEADER = """\
// Thing: owns nothing.
// Thread tag: thread-safe.
#pragma once

#include <cstdint>

#include "libhongbao/cpp20.h"

namespace hongbao {
inline int Twice(int a) { return 2 * a; }
}  // namespace hongbao
"""


class TidyTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = folder.name
        self.put("libhongbao/wire/thing.h", CLEAN_HEADER)
        self.put("libhongbao/wire/thing.cc", '#include "libhongbao/wire/thing.h"\n')
        self.put("tests/wire/thing_test.cc", '#include "libhongbao/wire/thing.h"\n')

    def put(self, path, text):
        full = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as file:
            file.write(text)

    def tidy(self, *arguments):
        done = subprocess.run([TIDY, "--root", self.root, *arguments],
                              capture_output=True, text=True, check=False)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        lines = done.stdout.splitlines()
        self.assertEqual(done.returncode, 1 if lines else 0)
        return lines

    def expect_one(self, start, words):
        lines = self.tidy()
        self.assertEqual(len(lines), 1, lines)
        self.assertTrue(lines[0].startswith(start), lines[0])
        self.assertIn(words, lines[0])

    def test_clean_tree_has_no_findings(self):
        self.assertEqual(self.tidy(), [])

    def test_include_against_the_arrows(self):
        self.put("libhongbao/load/a.cc", '#include "libhongbao/envelope/fen.h"\n')
        self.expect_one("libhongbao/load/a.cc:1:", "load/ may not include envelope/")

    def test_include_along_the_arrows(self):
        self.put("libhongbao/serve/a.cc", '#include "libhongbao/envelope/fen.h"\n#include "libhongbao/check.h"\n')
        self.assertEqual(self.tidy(), [])

    def test_room_that_nobody_listed(self):
        self.put("libhongbao/attic/a.cc", "int a;\n")
        self.expect_one("libhongbao/attic/a.cc:1:", "arrows")

    def test_library_includes_its_user(self):
        self.put("libhongbao/net/a.cc", '#include "server/options.h"\n')
        self.expect_one("libhongbao/net/a.cc:1:", "net/ may not include server/")

    def test_the_monitor_stands_outside(self):
        self.put("tools/monitor/main.cc", '#include "libhongbao/net/run.h"\n#include "libhongbao/serve/server.h"\n')
        self.expect_one("tools/monitor/main.cc:2:", "monitor/ may not include serve/")
        self.put("tools/monitor/main.cc", '#include "server/record.h"\n')
        self.expect_one("tools/monitor/main.cc:1:", "monitor/ may not include server/")

    def test_include_not_from_the_root(self):
        self.put("libhongbao/wire/b.cc", '#include "thing.h"\n')
        self.expect_one("libhongbao/wire/b.cc:1:", "from the root")

    def test_socket_in_wire(self):
        self.put("libhongbao/wire/b.cc", "#include <sys/socket.h>\n")
        self.expect_one("libhongbao/wire/b.cc:1:", "wire/ may not include sys/socket.h")

    def test_http_outside_its_room(self):
        self.put("libhongbao/serve/b.cc", '#include "httplib.h"\n')
        self.expect_one("libhongbao/serve/b.cc:1:", "only http")

    def test_long_header(self):
        self.put("libhongbao/wire/thing.h", CLEAN_HEADER + "\n" * 200)
        self.expect_one("libhongbao/wire/thing.h:201:", "at most 200")

    def test_header_without_contract(self):
        self.put("libhongbao/wire/thing.h", '#pragma once\n#include "libhongbao/cpp20.h"\n')
        self.expect_one("libhongbao/wire/thing.h:1:", "contract comment")

    def test_header_without_thread_tag(self):
        self.put("libhongbao/wire/thing.h", CLEAN_HEADER.replace("Thread tag", "Threads"))
        self.expect_one("libhongbao/wire/thing.h:1:", "Thread tag:")

    def test_header_without_guard(self):
        self.put("libhongbao/wire/thing.h", CLEAN_HEADER.replace("#pragma once\n", ""))
        self.expect_one("libhongbao/wire/thing.h:1:", "#pragma once")

    def test_header_that_says_nothing_to_an_earlier_cpp(self):
        self.put("libhongbao/wire/thing.h", CLEAN_HEADER.replace('#include "libhongbao/cpp20.h"\n', ""))
        self.expect_one("libhongbao/wire/thing.h:1:", "cpp20.h")

    def test_no_twin_test(self):
        os.remove(os.path.join(self.root, "tests/wire/thing_test.cc"))
        self.expect_one("libhongbao/wire/thing.h:1:", "tests/wire/thing_test.cc")

    def test_own_header_not_first(self):
        self.put("libhongbao/wire/thing.cc", '#include <cstdint>\n#include "libhongbao/wire/thing.h"\n')
        self.expect_one("libhongbao/wire/thing.cc:1:", "first include")

    def test_stray_reminder(self):
        self.put("server/main.cc", "int a;  // TO" + "DO: later\n")
        self.expect_one("server/main.cc:1:", "stray")

    def test_reminder_inside_a_word_is_none(self):
        self.put("tools/run.sh", "mktemp /tmp/hongbao-" + "X" * 6 + "\n")
        self.assertEqual(self.tidy(), [])

    def test_path_of_a_machine(self):
        self.put("README.md", "see /ho" + "me/alice/hongbao\n")
        self.expect_one("README.md:1:", "path of one machine")

    def house(self, change=lambda text: text):
        """The real page, changed; what else it names and links to is not there, and not looked at here."""
        with open(os.path.join(os.path.dirname(TIDY), "..", "docs", "ARCHITECTURE.md"), encoding="utf-8") as file:
            text = file.read()
        self.put("docs/ARCHITECTURE.md", change(text))
        return [line for line in self.tidy() if "there is no" not in line and "leads nowhere" not in line]

    def test_the_drawn_house(self):
        self.assertEqual(self.house(), [])
        for old, new, words in (("| `net` | ring, time, count |", "| `net` | ring, time |", "net may include count, ring, time by tools/tidy"),
                                ("| `load` |", "| `laod` |", "does not name load"),
                                (" ring/  time/", "        time/", "does not show ring/"),
                                ("serve/             load/ ", "serve/   net/     load/ ", "serve/ includes net/, but is not drawn above it")):
            found = self.house(lambda text, old=old, new=new: text.replace(old, new, 1))
            self.assertTrue(found and words in found[0], found)

    def test_a_page_names_what_is_there(self):
        self.put("README.md", "`libhongbao/wire/thing.h`, `libhongbao/wire/thing`, `tests/wire`, `tests/<room>/x_test.cc`\n")
        self.assertEqual(self.tidy(), [])
        self.put("README.md", "see `libhongbao/wire/gone.h`\n")
        self.expect_one("README.md:1:", "there is no libhongbao/wire/gone.h")

    def test_a_link_leads_somewhere(self):
        self.put("docs/B.md", "# B\n\n## What it is, and why\n")
        self.put("docs/A.md", "[b](B.md), [it](B.md#what-it-is-and-why), [web](https://example.org/#no)\n")
        self.assertEqual(self.tidy(), [])
        self.put("docs/A.md", "[b](C.md)\n")
        self.expect_one("docs/A.md:1:", "the link to C.md leads nowhere")
        self.put("docs/A.md", "[b](B.md#gone)\n")
        self.expect_one("docs/A.md:1:", "docs/B.md has no heading #gone")

    def test_blanks_at_the_end(self):
        self.put("server/main.cc", "int a; \n")
        self.expect_one("server/main.cc:1:", "blanks")

    def test_long_function_in_a_namespace_and_class(self):
        body = "    a += 1;\n" * 80
        self.put("server/main.cc", "namespace a {\ntemplate <class T>\nclass B {\n  int f(int a) const {\n" + body +
                 "    return a;\n  }\n};\n}\n")
        self.expect_one("server/main.cc:4:", "a function of 83 lines")

    def test_long_table_is_no_function(self):
        self.put("server/main.cc", "namespace a {\nconst int kTable[] = {\n" + "    1, 2,\n" * 80 + "};\n}\n")
        self.assertEqual(self.tidy(), [])

    def test_braces_in_strings_and_comments_do_not_count(self):
        self.put("server/main.cc", 'void f() { g("{", \'{\', 1\'000); }  // {\n' + "int a;\n" * 80 + "void h() {}\n")
        self.assertEqual(self.tidy(), [])

    def test_long_python_function(self):
        self.put("tools/thing", "#!/usr/bin/env python3\ndef f(a):\n" + "    a += 1\n" * 80)
        self.expect_one("tools/thing:2:", "a function of 81 lines")

    def test_build_trees_and_subprojects_are_left_alone(self):
        self.put("build-asan/a.h", "// XX" + "X\n")
        self.put("subprojects/absl/a.h", "// XX" + "X\n")
        self.assertEqual(self.tidy(), [])

    def test_header_that_does_not_compile_alone(self):
        self.put("libhongbao/wire/other.h", CLEAN_HEADER + "inline std::string Name() { return {}; }\n")
        lines = self.tidy("--headers")
        self.assertEqual(len(lines), 1, lines)
        self.assertIn("libhongbao/wire/other.h:1: does not compile alone", lines[0])


if __name__ == "__main__":
    unittest.main()

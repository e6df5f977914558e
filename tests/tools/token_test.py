"""tools/token: the protocol's vectors, what is refused, and the judgement of --check."""

import os
import re
import subprocess
import tempfile
import time
import unittest

from hongbao_tools.token import token

TOOL = os.path.join(os.environ["PYTHONPATH"], "token")
KEY = bytes(range(32))
OTHER = b"\xff" + KEY[1:]
ROOT = os.path.dirname(os.environ["PYTHONPATH"])


class TokenTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "keys")
        self.keys(KEY.hex())

    def keys(self, text, mode=0o600):
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path, mode)

    def tool(self, *arguments):
        done = subprocess.run([TOOL, *arguments, "--user-key-file", self.path], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout.strip(), done.stderr

    def test_the_protocols_vectors(self):
        with open(os.path.join(ROOT, "docs", "PROTOCOL.md"), encoding="utf-8") as file:
            page = file.read()
        rows = re.findall(r"^\| (\d+) \| (\d+) \| (\d+) \| `([0-9a-f]{32})` \|$", page, re.MULTILINE)
        self.assertEqual(len(rows), 3)
        for first, count, expires, expected in rows:
            self.assertEqual(token.make(KEY, int(first), int(count), int(expires)).hex(), expected)
        self.assertIn(KEY.hex(), page)

    def test_a_token_is_for_its_users_until_it_expires(self):
        code, made, _ = self.tool("1000-1499", "--lifetime", "1h")
        self.assertEqual(code, 0)
        data = bytes.fromhex(made)
        now = int(time.time())
        self.assertTrue(now + 3590 < int.from_bytes(data[:4], "big") <= now + 3600)
        self.assertEqual(data, token.make(KEY, 1000, 500, int.from_bytes(data[:4], "big")))
        self.assertEqual(self.tool("1000-1499", "--check", made)[0], 0)
        for users in ("1000", "1000-1500", "999-1499"):
            self.assertEqual(self.tool(users, "--check", made)[:2], (3, "wrong: of another key, or for other users"))
        code, words, _ = self.tool("7", "--check", token.make(KEY, 7, 1, now - 60).hex())
        self.assertEqual(code, 3)
        self.assertIn("expired", words)

    def test_the_first_key_makes_and_all_check(self):
        _, old, _ = self.tool("7")
        self.keys(f"# new\n{OTHER.hex()}\n\n{KEY.hex()}\n")
        _, new, _ = self.tool("7")
        self.assertEqual(bytes.fromhex(new), token.make(OTHER, 7, 1, int(new[:8], 16)))
        for one in (old, new):
            self.assertEqual(self.tool("7", "--check", one)[0], 0)
        self.keys(OTHER.hex())
        self.assertEqual(self.tool("7", "--check", old)[0], 3)

    def test_a_key_file_that_the_server_refuses_is_refused(self):
        for text, reason in (("", "no key"), (KEY.hex()[:62], "62 characters"), ("g" * 64, "no hex digit"), ("0" * 64, "all zeros"),
                             ((KEY.hex() + "\n") * 9, "9 keys"), ("\n" * 5000, "too long")):
            self.keys(text)
            code, out, errors = self.tool("7")
            self.assertEqual((code, out), (1, ""), text)
            self.assertIn(reason, errors)
        self.keys(KEY.hex(), mode=0o644)
        code, _, errors = self.tool("7")
        self.assertEqual(code, 1)
        self.assertIn("chmod", errors)
        os.remove(self.path)
        self.assertEqual(self.tool("7")[0], 1)

    def test_wrong_usage(self):
        for arguments in (("x",), ("7-6",), ("4294967296",), ("0-4294967295",), ("7", "--lifetime", "0s"), ("7", "--lifetime", "1"),
                          ("7", "--expires-at", "17"), ("7", "--expires-at", "4294967296"), ("7", "--expires-at", "soon"),
                          ("7", "--lifetime", "1h", "--expires-at", "4000000000"), ("7", "--check", "12"), ()):
            code, out, errors = self.tool(*arguments)
            self.assertEqual((code, out), (2, ""), arguments)
            self.assertIn("tools/token: ", errors)


if __name__ == "__main__":
    unittest.main()

"""--user-key-file on both sides: who is let in, with tokens of tools/token, of the client's own making, and with none."""

import os
import subprocess
import time

import processes
import wire

from hongbao_tools.token import token

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
GATEWAYS = bytes.fromhex("00112233445566778899aabbccddeeff")


class TokenTest(processes.EndToEndTest):
    def file(self, name, *lines, mode=0o600):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="ascii") as file:
            file.write("".join(line + "\n" for line in lines))
        os.chmod(path, mode)
        return path

    def keys(self, *keys):
        return self.file("keys", *(key.hex() for key in keys))

    def login(self, server, first, count=1, shown=bytes(16), version=2):
        """The result; 0 = let in."""
        with wire.Peer(server.port, version=version) as peer:
            peer.write(wire.login(version, first, peer.stamp(), count=count, token=shown))
            result = peer.expect(wire.Login).result
            if result != 0:
                self.assertEqual(peer.wait_closed(), [])
            return result

    def test_who_is_let_in(self):
        gateway_file = self.file("gateways", GATEWAYS.hex())
        server = self.server("--user-key-file", self.keys(KEY), "--gateway-token-file", gateway_file)
        hour = int(time.time()) + 3600
        good, of_ten = token.make(KEY, 7, 1, hour), token.make(KEY, 100, 10, hour)
        made = subprocess.run([processes.ROOT / "tools/token", "7", "--user-key-file", os.path.join(self.folder, "keys")],
                              capture_output=True, text=True, check=True).stdout
        cases = [(7, 1, good, 2, 0), (7, 1, bytes.fromhex(made), 2, 0), (100, 10, of_ten, 2, 0), (7, 1, GATEWAYS, 2, 0),
                 (200, 10, GATEWAYS, 2, 0), (7, 1, token.make(KEY, 7, 1, 0xffffffff), 2, 0),
                 (7, 1, bytes(16), 1, 2), (7, 1, bytes(16), 2, 2), (100, 10, bytes(16), 2, 2),  # version 1; none
                 (8, 1, good, 2, 2), (7, 2, good, 2, 2), (100, 1, of_ten, 2, 2), (101, 9, of_ten, 2, 2),  # other users
                 (7, 1, token.make(OTHER, 7, 1, hour), 2, 2), (7, 1, token.make(KEY, 7, 1, int(time.time()) - 1), 2, 2),
                 (7, 1, good[:15] + bytes([good[15] ^ 1]), 2, 2), (7, 1, (hour + 9).to_bytes(4, "big") + good[4:], 2, 2)]
        for first, count, shown, version, result in cases:
            self.assertEqual(self.login(server, first, count, shown, version), result, (first, count, shown.hex(), version))
        logins = server.wait_status(lambda page: page["connections"]["live"] == 0, "all have gone")["logins"]
        self.assertEqual((logins["ok"], logins["bad_token"]), (6, 11), logins)
        server.stop()

    def test_a_stranger_ends_nobodys_session_and_a_token_does(self):
        server = self.server("--user-key-file", self.keys(KEY))
        shown = token.make(KEY, 7, 1, int(time.time()) + 60)
        with wire.Peer(server.port, user=7, token=shown) as first:
            self.assertEqual(self.login(server, 7), 2)
            self.assertEqual(first.shake().result, wire.NOTHING)
            with wire.Peer(server.port, user=7, token=shown) as second:
                self.assertEqual(first.wait_closed(), [])
                self.assertEqual(second.shake().result, wire.NOTHING)
        server.stop()

    def test_the_client_makes_its_own_also_for_gateways_and_keys_are_changed_one_by_one(self):
        old, both, new = self.file("old", KEY.hex()), self.file("both", OTHER.hex(), KEY.hex()), self.file("new", OTHER.hex())
        for theirs, ours in ((old, old), (both, old), (both, both), (new, both)):
            server = self.server("--user-key-file", theirs)
            for flags in ((), ("--gateways", 3)):
                client = self.client(server, "--user-key-file", ours, "--users", 50, "--qps", 200, "--duration", "1s", *flags)
                report = client.finish()
                self.assertEqual(report["requests"]["answered"], report["requests"]["due"])
                self.assertEqual(report["statements"]["equal"], 50)
            self.assertEqual(server.stop()["logins"]["bad_token"], 0)

    def test_a_client_without_the_right_key_gets_nowhere(self):
        server = self.server("--user-key-file", self.keys(KEY))
        for number, flags in enumerate(((), ("--user-key-file", self.file("other", OTHER.hex())), ("--protocol", 1)), 1):
            client = self.client(server, "--users", 20, *flags, wait=False)
            server.wait_status(lambda page, number=number: page["logins"]["bad_token"] >= 20 * number, "all were refused")
            self.assertNotEqual(client.exit_code(), 0, client.log())
        self.assertEqual(server.stop()["logins"]["ok"], 0)

    def test_what_cannot_be_used_is_said(self):
        for path, reason in ((self.file("short", KEY.hex()[2:]), "62 characters"), (self.file("open", KEY.hex(), mode=0o644), "chmod"),
                             ("/nowhere/keys", "cannot be opened")):
            for program, flags in ((processes.SERVER, ("--listen", "127.0.0.1:0")), (processes.CLIENT, ("--server", "127.0.0.1:1"))):
                code, _, errors = processes.run(program, *flags, "--admin", "127.0.0.1:0", "--user-key-file", path)
                self.assertEqual(code, 2)
                self.assertIn(path, errors)
                self.assertIn(reason, errors)
        code, _, errors = processes.run(processes.CLIENT, "--protocol", 1, "--user-key-file", self.keys(KEY))
        self.assertEqual(code, 2)
        self.assertIn("--protocol 2", errors)

    def test_a_server_that_anybody_reaches_says_so_in_one_line(self):
        keys = self.keys(KEY)
        for flags, lines in ((("--listen", "0.0.0.0:0"), 1), (("--listen", "0.0.0.0:0", "--user-key-file", keys), 0), ((), 0)):
            server = self.server(*flags)
            server.stop()
            self.assertEqual(server.log().count("--user-key-file"), lines, server.log())


if __name__ == "__main__":
    processes.main()

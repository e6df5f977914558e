"""tools/token from the command line to the exit code."""

import os
import re
import sys
import time

from ..common import command_line, exit_codes, streams, units
from ..common.command_line import UsageError
from . import token

USERS_END = 1 << 32
LIFETIME_S = 24 * 3600


def _parser():
    parser = command_line.Parser(
        prog="tools/token",
        description="Makes the token that a version 2 login shows to a server with --user-key-file: 32 hex digits on stdout. It is good for\n"
        "exactly these users, and until it expires by the server's clock; whoever has it can be them.",
        epilog="""examples:
  (umask 077; openssl rand -hex 32 > keys)           a key, for the server and for this tool
  tools/token 7 --user-key-file keys                 user 7's, for a day
  tools/token 1000-1499 --user-key-file keys --lifetime 1h
                                                     for a gateway of 500 users
  tools/token 7 --user-key-file keys --check 58a074655cbf6f49daf50f6dafed05c3

exit codes:
  0    made; with --check: it is good now
  1    the key file cannot be used, or nothing be written; the reason is on stderr
  2    wrong usage
  3    with --check: it has expired, or is of another key or for other users""")
    parser.add_argument("users", metavar="USERS", help="a user, or the first and the last of a gateway: 7, 1000-1499")
    parser.add_argument("--user-key-file", metavar="FILE", required=True,
                        help="keys, 64 hex digits a line; the first makes the token, --check tries all")
    parser.add_argument("--lifetime", metavar="DURATION", help="how long it is good, from now on (default: 24h)")
    parser.add_argument("--expires-at", metavar="UNIX_SECOND", help="the same as a moment")
    parser.add_argument("--check", metavar="TOKEN", help="make none: say whether this one is good for these users")
    return parser


def _users(text):
    match = re.fullmatch(r"(\d{1,10})(?:-(\d{1,10}))?", text)
    if not match:
        raise UsageError(f"USERS: '{text}' is neither a user nor a range; write it like 7 or 1000-1499")
    first = int(match.group(1))
    last = int(match.group(2) or first)
    if not first <= last < USERS_END:
        raise UsageError(f"USERS: '{text}': users are 0 to {USERS_END - 1:,}, the first before the last")
    if last - first + 1 == USERS_END:
        raise UsageError(f"USERS: '{text}' are more than a token can name")
    return first, last - first + 1


def _expiry(options, now_s):
    if options.lifetime is not None and options.expires_at is not None:
        raise UsageError("--lifetime and --expires-at say the same: give one")
    if options.expires_at is None:
        try:
            expires = now_s + units.parse_seconds(options.lifetime or f"{LIFETIME_S}s")
        except ValueError as error:
            raise UsageError(f"--lifetime: {error}") from None
    elif re.fullmatch(r"\d{1,12}", options.expires_at):
        expires = int(options.expires_at)
    else:
        raise UsageError(f"--expires-at: '{options.expires_at}' is not a unix second")
    if not now_s < expires < 1 << 32:
        raise UsageError(f"the token would expire at unix second {expires}: it has to be after now ({now_s}) and below 2^32")
    return expires


def _parse(arguments):
    options = _parser().parse_args(arguments)
    options.first_user, options.user_count = _users(options.users)
    options.now_s = int(time.time())
    options.token = None
    if options.check is None:
        options.expires = _expiry(options, options.now_s)
    elif re.fullmatch(r"[0-9a-fA-F]{32}", options.check):
        options.token = bytes.fromhex(options.check)
    else:
        raise UsageError("--check: a token is 32 hex digits")
    return options


def _answer(text, code):
    try:
        print(text, flush=True)
    except OSError as error:
        streams.say(f"tools/token: cannot write: {error.strerror}")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python would try once more at its end
        return exit_codes.COULD_NOT
    return code


def main(arguments):
    options, code = command_line.read("tools/token", _parse, arguments)
    if options is None:
        return code
    try:
        keys = token.read_keys(options.user_key_file)
    except token.KeyFileError as error:
        streams.say(f"tools/token: user key file {options.user_key_file}: {error}")
        return exit_codes.COULD_NOT
    if options.token is None:
        made = token.make(keys[0], options.first_user, options.user_count, options.expires).hex()
        return _answer(made, exit_codes.DONE)
    verdict = token.judge(keys, options.token, options.first_user, options.user_count, options.now_s)
    expires = int.from_bytes(options.token[:4], "big")
    words = {"good": f"good until unix second {expires}, {expires - options.now_s:,} s from now",
             "expired": f"expired at unix second {expires}, {options.now_s - expires:,} s ago",
             "wrong": "wrong: of another key, or for other users"}
    return _answer(words[verdict], exit_codes.DONE if verdict == "good" else exit_codes.BAD_VERDICT)

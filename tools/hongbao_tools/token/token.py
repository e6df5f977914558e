"""User tokens and the keys they are made with: docs/PROTOCOL.md, "User tokens". The server's own are in libhongbao/cli/user_keys."""

import hashlib
import hmac
import os
import re
import stat

DOMAIN = b"hongbao user token v1"
KEYS_MAX = 8
FILE_BYTES_MAX = 4096
CURE = "; want 64 hex digits a line, as made by: openssl rand -hex 32"


class KeyFileError(Exception):
    """The file cannot be used; the text says why, and never what stands in it."""


def make(key, first_user, user_count, expires_unix_s):
    expiry = expires_unix_s.to_bytes(4, "big")
    message = DOMAIN + expiry + first_user.to_bytes(4, "big") + user_count.to_bytes(4, "big")
    return expiry + hashlib.blake2b(message, key=key, digest_size=32).digest()[:12]


def judge(keys, token, first_user, user_count, unix_s):
    """'good', 'expired' or 'wrong': of another key, or for other users."""
    expires = int.from_bytes(token[:4], "big")
    if not any([hmac.compare_digest(make(key, first_user, user_count, expires), token) for key in keys]):
        return "wrong"
    return "good" if unix_s < expires else "expired"


def read_keys(path):
    """The keys in the file, the one that makes tokens first; KeyFileError as the server would refuse it."""
    try:
        with open(path, "rb") as file:
            facts = os.fstat(file.fileno())
            if stat.S_ISREG(facts.st_mode) and facts.st_mode & stat.S_IROTH:
                raise KeyFileError(f"every user of this machine can read it; chmod o-rwx {path}")
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise KeyFileError(f"cannot be read: {error.strerror}") from None
    if len(data) > FILE_BYTES_MAX:
        raise KeyFileError("is too long" + CURE)
    keys = []
    for number, line in enumerate(data.split(b"\n"), 1):
        line = line.strip()
        if not line or line.startswith(b"#"):
            continue
        if len(line) != 64:
            raise KeyFileError(f"line {number} holds {len(line)} characters" + CURE)
        if not re.fullmatch(rb"[0-9a-fA-F]{64}", line):
            raise KeyFileError(f"line {number} holds something that is no hex digit" + CURE)
        keys.append(bytes.fromhex(line.decode("ascii")))
        if not any(keys[-1]):
            raise KeyFileError(f"line {number} is all zeros, which is no secret" + CURE)
    if not keys:
        raise KeyFileError("holds no key" + CURE)
    if len(keys) > KEYS_MAX:
        raise KeyFileError(f"holds {len(keys)} keys, at most {KEYS_MAX} are possible" + CURE)
    return keys

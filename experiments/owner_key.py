"""How a server knows the owner of its data directory, without a token that stays behind.

The supervisor writes a key into the directory, readable by its owner only, new at each start and
gone at its end. Whoever can read it signs the present time with it, and the web process, which
reads the same file, takes that signature for some seconds. Without a supervisor there is no key,
and nobody is known that way.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time
from pathlib import Path

FILE = "owner_key"
PREFIX = "own_"  # of the bearer tokens made here; those of people begin with at_
LIFETIME_S = 60


def make(directory: Path) -> None:
    """Write a new key; whole and closed to others before it has its name."""
    draft = directory / f"{FILE}.{os.getpid()}"
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(secrets.token_hex(32))
    draft.replace(directory / FILE)


def forget(directory: Path) -> None:
    (directory / FILE).unlink(missing_ok=True)


def token(directory: Path) -> str:
    """A bearer token of the owner, for the next seconds. Raises OSError where there is no key."""
    until = str(int(time.time()) + LIFETIME_S)
    return f"{PREFIX}{until}.{_sign(_key(directory), until)}"


def is_genuine(directory: Path, given: str) -> bool:
    """Whether ``given`` was made with the present key, a short time ago."""
    until, _, signature = given.removeprefix(PREFIX).partition(".")
    try:
        key = _key(directory)
    except OSError:
        return False
    if not hmac.compare_digest(_sign(key, until).encode(), signature.encode()):
        return False
    return time.time() < int(until) <= time.time() + LIFETIME_S + 1


def _key(directory: Path) -> bytes:
    return (directory / FILE).read_bytes()


def _sign(key: bytes, until: str) -> str:
    return hmac.new(key, b"autotune.owner:" + until.encode(), hashlib.sha256).hexdigest()

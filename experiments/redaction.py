"""What secrets look like (API keys of AIStore, our own), and how they stay out of every text.

AIStore takes its API key as a query parameter, so anything that shows a URL would show the key; a
trial's signed token is part of the address it reports to, which NNI and every traceback of an HTTP
client print. Pure; used by the client, by the secrets, by the log format of the settings, and
wherever logs of trials leave.
"""

from __future__ import annotations

import logging
import re

KEY = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\Z")
KEY_RULE = "must be an API key: small hexadecimal digits as 8-4-4-4-12"
HIDDEN = "***"

_IN_QUERY = re.compile(r"(apikey(?:=|%3D|['\"]?\s*:\s*['\"]?))[^&\s'\"<>)\]}]+", re.IGNORECASE)

# ID.KEY.NUMBER.EXPERIMENT.SIGNATURE, see access.tokens.trial_token; only the last is secret.
_TOKEN = rb"([0-9]{1,19}\.[a-z0-9]{5}\.[0-9]{1,10}\.[a-z][a-z0-9]{7}\.)[A-Za-z0-9_-]{%d}"
_SIGNATURE = 22  # characters: 128 bits in base64
_TRIAL_TOKEN = re.compile(_TOKEN % _SIGNATURE)
_BEGUN_TOKEN = re.compile(_TOKEN.replace(b"{%d}", b"*").replace(b")[", b")([") + rb")\Z")
LONGEST_TOKEN = 19 + 1 + 5 + 1 + 10 + 1 + 8 + 1 + _SIGNATURE  # bytes

# Secrets of ours: of one-time links, REST tokens, and the addresses that trials report to.
_OURS = (
    (re.compile(r"(/sign-in/)[A-Za-z0-9_-]{16,}"), rf"\1{HIDDEN}"),
    (re.compile(r"\bat_[A-Za-z0-9_-]{20,}"), f"at_{HIDDEN}"),
    (re.compile((_TOKEN % _SIGNATURE).decode()), rf"\1{HIDDEN}"),
)


def redact_tokens(log: bytes) -> bytes:
    """The log with every trial's signature starred out, and exactly as long: offsets stay true.

    So is the beginning of one at the end: the rest may be written in a moment.
    """
    whole = _TRIAL_TOKEN.sub(rb"\1" + b"*" * _SIGNATURE, log)
    return _BEGUN_TOKEN.sub(lambda m: m[1] + b"*" * len(m[2]), whole)


def redact(text: str, key: str = "") -> str:
    """The text without the value of any ``apikey`` parameter, and without ``key`` anywhere.

    Nor has it the signature of any trial's token.
    """
    if key:
        text = text.replace(key, HIDDEN)
    for secret, shown in _OURS:
        text = secret.sub(shown, text)
    return _IN_QUERY.sub(rf"\1{HIDDEN}", text)


class RedactingFormatter(logging.Formatter):
    """Formats like its parent, then takes keys out: of messages and of tracebacks alike."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class RedactingFilter(logging.Filter):
    """For loggers of libraries that log URLs: whatever handler comes after, the key is gone."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if (clean := redact(message)) != message:
            record.msg, record.args = clean, None
        if record.exc_info and not record.exc_text:
            record.exc_text = redact(logging.Formatter().formatException(record.exc_info))
        return True

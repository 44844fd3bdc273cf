"""What secrets look like (API keys of AIStore, our own), and how they stay out of every text.

AIStore takes the key as a query parameter, so anything that shows a URL would show the key. Pure;
used by the client, by the secrets and by the log format of the settings.
"""

from __future__ import annotations

import logging
import re

KEY = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\Z")
KEY_RULE = "must be an API key: small hexadecimal digits as 8-4-4-4-12"
HIDDEN = "***"

_IN_QUERY = re.compile(r"(apikey(?:=|%3D|['\"]?\s*:\s*['\"]?))[^&\s'\"<>)\]}]+", re.IGNORECASE)


def redact(text: str, key: str = "") -> str:
    """The text without the value of any ``apikey`` parameter, and without ``key`` anywhere."""
    if key:
        text = text.replace(key, HIDDEN)
    for secret, shown in _OURS:
        text = secret.sub(shown, text)
    return _IN_QUERY.sub(rf"\1{HIDDEN}", text)


# Secrets of ours: of one-time links, REST tokens, and the addresses that trials report to.
_OURS = (
    (re.compile(r"(/sign-in/)[A-Za-z0-9_-]{16,}"), rf"\1{HIDDEN}"),
    (re.compile(r"\bat_[A-Za-z0-9_-]{20,}"), f"at_{HIDDEN}"),
    (re.compile(r"\b([0-9]+\.[a-z0-9]+\.[0-9]+\.[a-z0-9]+\.)[A-Za-z0-9_-]{22}"), rf"\1{HIDDEN}"),
)


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

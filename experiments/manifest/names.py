"""Kubernetes' rules for names, labels and annotations; used by the manifest's parser."""

from __future__ import annotations

import re

# DNS-1123 label and subdomain. Experiments' names become label values, hence 63 for both.
LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?\Z")
SUBDOMAIN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*\Z")
LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?\Z")
LABEL_KEY = re.compile(
    r"(?:[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?\Z"
)
MAX_NAME = 63


def portable(pattern: re.Pattern[str], *, ignores_case: bool = False) -> str:
    """A pattern of ours as RE2 (Go, an API server) writes it; it still matches from the start."""
    assert pattern.pattern.endswith(r"\Z")
    return f"^(?{'i' if ignores_case else ''}:{pattern.pattern.removesuffix(chr(92) + 'Z')})$"


def label_problem(name: str) -> str:
    return (
        "must be at most 63 small letters, digits and '-', with a letter or digit at both ends, "
        f"but got '{name[:80]}'."
    )


def slug(text: str) -> str:
    """Return a valid name close to the text, or "" where nothing of it can stay."""
    lowered = re.sub(r"[^a-z0-9.]+", "-", text.lower())
    parts = [part.strip("-") for part in lowered[:MAX_NAME].split(".")]
    return ".".join(part for part in parts if part)

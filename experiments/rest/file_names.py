"""What downloads are called: after the experiment, whatever it is called."""

from __future__ import annotations

import re

from django.utils.http import content_disposition_header

# What no file's name may hold, or what would end the header.
_NOT_IN_NAMES = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]+')


def file_name(name: str, ending: str, otherwise: str) -> str:
    """``otherwise``: where nothing of the name may stand in a file's."""
    stem = _NOT_IN_NAMES.sub("-", name).strip(" .-") or otherwise
    return f"{stem}{ending}"


def as_download(name: str) -> dict[str, str]:
    """Headers of an answer that a browser is to keep as a file of that name."""
    return {"Content-Disposition": content_disposition_header(True, name) or "attachment"}

"""Files of other products: converted with what lies beside them, and recognised where a manifest
should have been. Called by commands, ``intake`` and the new-experiment page."""

from __future__ import annotations

import os.path
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings

from experiments.convert.conversion import Converted, convert, is_known
from experiments.convert.recognise import OURS, WHAT, origin_of
from experiments.problems import Problem, ProblemsError
from experiments.services.samples import read_file

MAX_BYTES = 1024 * 1024  # of a file that is read beside another


def convert_file(file: Path, target: Path | None) -> Converted:
    """Convert a file; directories in it are written relative to ``target``'s, or absolute.

    Raises:
        ProblemsError: why it cannot be converted. OSError: it cannot be read.
    """
    text = _decoded(read_file(str(file)))
    here = file.resolve().parent

    def locate(directory: str) -> str:
        place = os.path.normpath(here / os.path.expanduser(directory))
        return place if target is None else os.path.relpath(place, target.resolve().parent)

    return convert(
        text,
        name=file.name,
        read=lambda name: _decoded(_beside(here, name)),
        locate=locate,
    )


def convert_upload(files: Mapping[str, str]) -> Converted:
    """Convert the one of some uploaded texts that is known; the others are what it may name.

    Raises ProblemsError.
    """
    configurations_first = sorted(files, key=lambda name: name.endswith(".py"))
    known = (name for name in configurations_first if is_known(files[name], name))
    name = next(known, configurations_first[0])
    beside = {os.path.basename(other): text for other, text in files.items() if other != name}

    def read(wanted: str) -> str:
        found = beside.get(os.path.basename(wanted))
        if found is None:
            raise FileNotFoundError(None, "it was not chosen with the configuration")
        return found

    return convert(files[name], name=name, read=read)


def _beside(here: Path, name: str) -> bytes:
    """A file that a configuration names, as far as anybody reads it."""
    place = here / os.path.expanduser(name)
    if not place.is_file():
        raise FileNotFoundError(None, "there is no such file")
    if place.stat().st_size > MAX_BYTES:
        raise ValueError("it is larger than 1 MiB")
    return read_file(str(place))


def _decoded(raw: bytes) -> str:
    if len(raw) > MAX_BYTES:
        message = f"The file must be at most 1 MiB, but it is {len(raw) / MAX_BYTES:.1f} MiB."
        raise ProblemsError([Problem("", message)])
    try:
        return raw.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ProblemsError([Problem("", "The file must be UTF-8 text.", line=line)]) from None


def foreign(data: Any, line: int | None) -> Problem | None:
    """What to say where a manifest was wanted and another product's file was given."""
    origin = origin_of(data)
    if origin is None or origin == OURS:
        return None
    return Problem(
        "",
        f"This is {WHAT[origin]}, not a manifest.",
        f"Convert it: {settings.COMMAND} convert FILE, or Start from → Import on the page of a "
        "new experiment.",
        line,
    )

"""Whose results a file holds, told by what is in it, and the experiments that come of it.

Called by ``services.imports``. A file's name decides nothing; several files are one import: the
results, and the configuration beside them that says what was searched.
"""

from __future__ import annotations

import os.path
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.convert.recognise import WHAT, origin_of
from experiments.earlier import (
    katib,
    nni,
    optuna_journal,
    optuna_sql,
    ours,
    postgres,
    sqlite_files,
    wandb,
)
from experiments.earlier.beside import Beside, beside, is_configuration
from experiments.earlier.optuna import RawStudy, chosen_names, past_study
from experiments.earlier.study import MOST_BYTES, PastStudy, Wanted, refused
from experiments.earlier.values import table
from experiments.manifest.files import documents_of
from experiments.problems import ProblemsError
from experiments.strict_json import JsonRefused, read_json

MOST_TEXT = 256 * 1024 * 1024  # bytes of JSON or CSV
_MOST_YAML = 1024 * 1024
_HINT = (
    "What can be imported: an Optuna storage (SQLite file, journal file, PostgreSQL URL), NNI's "
    "nni.sqlite or export, Katib's trials as YAML or JSON, a W&B sweep's CSV, and JSON, YAML or "
    "CSV exported here."
)
# What a file begins with that is never read, and what it is.
_NEVER = (
    (b"\x80\x02", "a pickle"), (b"\x80\x03", "a pickle"), (b"\x80\x04", "a pickle"),
    (b"\x80\x05", "a pickle"), (b"PK\x03\x04", "a ZIP archive"), (b"\x1f\x8b", "compressed"),
    (b"PAR1", "a Parquet file"), (b"\x89HDF", "an HDF5 file"),
)  # fmt: skip
_JSON_STARTS = ("{", "[")


@dataclass(frozen=True)
class Given:
    """A file on this machine, and what it is called."""

    name: str
    path: Path

    @property
    def stem(self) -> str:
        return os.path.basename(self.name).partition(".")[0] or "imported"


def read_files(files: Sequence[Given], wanted: Wanted) -> list[PastStudy]:
    """Every experiment of the one file that holds results. Raises ProblemsError; OSError."""
    texts: dict[str, str] = {}
    results: list[Given] = []
    for given in files:
        head = _head(given)
        if head.startswith(sqlite_files.MAGIC) or optuna_journal.is_journal(_line(head)):
            results.append(given)
        else:
            texts[given.name] = _text(given)
    by_name = {given.name: given for given in files}
    documents = {name: _loaded(text) for name, text in texts.items()}
    for name, text in texts.items():
        if _holds_results(text, documents[name]):
            results.append(by_name[name])
    if not results:
        raise _nothing(texts, documents)
    if len(results) > 1:
        names = ", ".join(each.name for each in results)
        raise refused(f"Each of these holds results: {names}.", "Import them one after the other.")
    (chosen,) = results
    others = {name: text for name, text in texts.items() if name != chosen.name}
    stray = [name for name, text in others.items() if not is_configuration(name, text)]
    if stray:
        raise refused(f"{stray[0]} is no configuration that is known here.", _HINT)
    found = beside(others)
    if chosen.name in texts:
        return _of_text(chosen, texts[chosen.name], documents[chosen.name], wanted, found)
    if _head(chosen).startswith(sqlite_files.MAGIC):
        return _of_sqlite(chosen, wanted)
    with chosen.path.open("rb") as lines:
        studies = optuna_journal.read_journal(lines)
    names_ = chosen_names([study.name for study in studies], wanted)
    by_study = {study.name: study for study in studies}
    return _of_optuna([by_study[n] for n in names_], f"{chosen.name} (a journal file)", wanted)


def read_url(url: str, wanted: Wanted) -> list[PastStudy]:
    """Every chosen study of a storage that a URL names. Raises ProblemsError; OSError."""
    scheme, _, rest = url.partition("://")
    if scheme.partition("+")[0] == "sqlite":
        path = Path(rest.removeprefix("/"))
        return read_files([Given(path.name, path)], wanted)
    with postgres.opened(url) as (query, tables):
        if not tables >= optuna_sql.TABLES:
            raise refused(f"There is no Optuna storage at {postgres.without_password(url)}.")
        studies, version = optuna_sql.read_studies(query, wanted)
    return _of_optuna(studies, f"{postgres.without_password(url)} ({version})", wanted)


def _of_sqlite(given: Given, wanted: Wanted) -> list[PastStudy]:
    with sqlite_files.opened(given.path) as (query, tables):
        if tables >= nni.TABLES:
            return [nni.read_database(query, given.name, wanted)]
        if tables >= optuna_sql.TABLES:
            studies, version = optuna_sql.read_studies(query, wanted)
            return _of_optuna(studies, f"{given.name} ({version})", wanted)
        shown = ", ".join(sorted(tables)[:10]) or "none"
    raise refused(
        f"{given.name} is a SQLite file, but neither an Optuna storage nor NNI's database. Its "
        f"tables: {shown}.",
        _HINT,
    )


def _of_optuna(studies: Sequence[RawStudy], where: str, wanted: Wanted) -> list[PastStudy]:
    return [past_study(study, f"study '{study.name}' of {where}", wanted) for study in studies]


def _of_text(
    given: Given, text: str, documents: Any, wanted: Wanted, found: Beside
) -> list[PastStudy]:
    if documents is None:
        names = _names(text)
        if ours.is_export_table(names):
            return [ours.read_export_table(text, given.name, given.stem, wanted, found)]
        if nni.is_export_table(names):
            return [nni.read_export_table(text, given.name, given.stem, wanted, found)]
        return [wandb.read_table(text, given.name, given.stem, wanted, found)]
    exports = [data for data in _flat(documents) if ours.is_export(data)]
    if exports:
        return [ours.read_export(data, given.name, wanted) for data in exports]
    if nni.is_export(documents[0]):
        return [nni.read_export(documents[0], given.name, given.stem, wanted, found)]
    others = [d for name, d in _documents_of_configuration(found).items() if name]
    return katib.read_katib([*documents, *others], given.name, wanted)


def _documents_of_configuration(found: Beside) -> Mapping[str, Any]:
    return {name: d for name, text in found.texts.items() for d in _loaded(text) or ()}


def _flat(documents: Sequence[Any]) -> Iterator[Any]:
    for data in documents:
        if isinstance(data, list):  # run --json of a file with several
            yield from data
        else:
            yield data


def _holds_results(text: str, documents: Any) -> bool:
    if documents is None:
        names = _names(text)
        tables = (ours.is_export_table, nni.is_export_table, wandb.is_table)
        return any(fits(names) for fits in tables)
    return (
        any(ours.is_export(data) for data in _flat(documents))
        or nni.is_export(documents[0])
        or katib.has_trials(documents)
    )


def _names(text: str) -> list[str]:
    first = text.lstrip("\ufeff").partition("\n")[0]
    try:
        return table(first, twice=True)[0]
    except ProblemsError:
        return []


def _loaded(text: str) -> list[Any] | None:
    """What the text holds as JSON or YAML; None where it is neither but maybe a table."""
    begin = text.lstrip("\ufeff \t\r\n")[:1]
    if begin in _JSON_STARTS:
        try:
            return [read_json(text.lstrip("\ufeff"), nan=True)]
        except JsonRefused:
            pass
    if len(text) > _MOST_YAML:
        return None
    try:
        found = [document.data for document in documents_of(text, is_json=False)]
    except ProblemsError:
        return None
    return found if any(isinstance(data, dict | list) for data in found) else None


def _head(given: Given) -> bytes:
    size = given.path.stat().st_size
    if size > MOST_BYTES:
        raise refused(f"{given.name} is larger than 1 GiB.")
    with given.path.open("rb") as file:
        head = file.read(64 * 1024)
    if not head:
        raise refused(f"{given.name} is empty.")
    for magic, what in _NEVER:
        if head.startswith(magic):
            raise refused(f"{given.name} is {what}, which is never opened here.", _HINT)
    return head


def _line(head: bytes) -> bytes:
    return head.partition(b"\n")[0]


def _text(given: Given) -> str:
    if given.path.stat().st_size > MOST_TEXT:
        raise refused(f"{given.name} is larger than {MOST_TEXT >> 20} MiB.")
    try:
        return given.path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise refused(f"{given.name} is neither text in UTF-8 nor a SQLite file.", _HINT) from None


def _nothing(texts: Mapping[str, str], documents: Mapping[str, Any]) -> ProblemsError:
    """What to say where no file holds results."""
    for name, found in documents.items():
        origin = origin_of(found[0]) if found else None
        if origin is not None:
            return refused(
                f"{name} is {WHAT[origin]}: it holds no results.",
                "Give the results beside it. A configuration alone becomes a manifest: convert.",
            )
    for name, text in texts.items():
        if documents[name] is None and wandb.is_chart(_names(text)):
            return refused(
                f"{name} is a chart of W&B's: curves without their parameters.",
                "Export the table of runs instead: above it, at the project's or the sweep's page.",
            )
    names = ", ".join(texts)
    return refused(f"There are no results in {names} that are known here.", _HINT)

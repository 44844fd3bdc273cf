"""A file as ``kubectl apply -f`` takes it: several documents, a ``List``, objects of other kinds.

Called by ``intake`` and the new-experiment page. Finds the AutoTuneExperiments in a text, each with
its own text and its lines in the file; keeps Secrets with an API key apart, so that no key is ever
stored or shown with a manifest; and names what is left out. Says nothing of what is in them: a text
with a single object is handed on as it is, whatever it is.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from experiments.manifest.comparing import same
from experiments.manifest.fields import KIND
from experiments.manifest.json_text import duplicate_keys, key_lines
from experiments.manifest.reading import MAX_DEPTH, MAX_NODES, LineOf, kind_of
from experiments.manifest.text_nodes import Tree
from experiments.manifest.yaml_text import MAX_BYTES, NULL, dump_value, load_yaml, parser_events
from experiments.problems import Problem, ProblemsError
from experiments.redaction import KEY, KEY_RULE
from experiments.strict_json import JsonRefused, read_json

MOST_OBJECTS = 100  # of a file; each may hold as much as a manifest
_MARKER = re.compile(r"---[ \t]*\r?\n")
SECRET_KEY_NAME = "apikey"  # of a Secret's data
_NO_LINE_ENDS = {ord("\r"): None, ord("\n"): None}


@dataclass(frozen=True)
class GivenManifest:
    """An experiment of a file."""

    data: dict[str, Any]
    text: str  # its own, without the rest of the file
    line_of: LineOf = field(repr=False)  # in the file
    start: int = 0  # where its text stands in the file's, end excluded; both 0: cut out of a List
    end: int = 0


@dataclass(frozen=True)
class GivenSecret:
    """A Secret of a file: an API key for AIStore."""

    name: str
    namespace: str
    value: str = field(repr=False)
    line: int | None = None


@dataclass(frozen=True)
class Contents:
    """What a file holds. ``ignored`` says what is not taken, a warning each."""

    manifests: tuple[GivenManifest, ...]
    secrets: tuple[GivenSecret, ...] = ()
    ignored: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class _Object:
    data: Any
    text: str
    line_of: LineOf
    start: int = 0
    end: int = 0
    n_values: int = 0

    @property
    def kind(self) -> str:
        return str(self.data.get("kind") or "") if isinstance(self.data, Mapping) else ""

    @property
    def name(self) -> str:
        metadata = self.data.get("metadata") if isinstance(self.data, Mapping) else None
        return str(metadata.get("name") or "") if isinstance(metadata, Mapping) else ""

    def __str__(self) -> str:
        if not self.kind:
            return "an object without a kind"
        return f"{self.kind[:80]} '{self.name[:80]}'" if self.name else f"a {self.kind[:80]}"


def read_contents(text: str, *, is_json: bool = False) -> Contents:
    """Find what a file holds.

    Raises:
        ProblemsError: it cannot be read, or there is no experiment in it.
    """
    documents = _json_documents(text) if is_json else _yaml_documents(text)
    objects = [found for document in documents for found in _unpacked(document, is_json)]
    if len(objects) > MOST_OBJECTS:
        message = f"The file must hold at most {MOST_OBJECTS} objects, but it holds {len(objects)}."
        raise ProblemsError([Problem("", message)])
    if len(objects) == 1 and objects[0].kind != "Secret":
        return Contents((_manifest(objects[0]),))
    return _sorted(objects)


def _sorted(objects: list[_Object]) -> Contents:
    manifests: list[GivenManifest] = []
    secrets: list[GivenSecret] = []
    ignored: list[Problem] = []
    problems: list[Problem] = []
    for found in objects:
        line = found.line_of("")
        if found.kind == KIND:
            manifests.append(_manifest(found))
        elif found.kind != "Secret":
            ignored.append(Problem("", f"{found} is left out: it is no {KIND}.", "", line))
        else:
            taken = _secret(found)
            if isinstance(taken, GivenSecret):
                secrets.append(taken)
            else:
                (ignored if taken.path == "" else problems).append(taken)
    if not manifests:
        held = ", ".join(str(found) for found in objects[:5]) or "nothing"
        message = f"There is no {KIND} in the file. It holds: {held}."
        problems.append(Problem("", message, f"Write 'kind: {KIND}'."))
    if problems:
        raise ProblemsError(problems)
    return Contents(tuple(manifests), tuple(secrets), tuple(ignored))


def _manifest(found: _Object) -> GivenManifest:
    return GivenManifest(found.data, found.text, found.line_of, found.start, found.end)


def _secret(found: _Object) -> GivenSecret | Problem:
    """A Secret with an API key; a Problem without a path where it is none of ours."""
    line = found.line_of("")
    plain, coded = (found.data.get(key) for key in ("stringData", "data"))
    for section, is_coded in ((plain, False), (coded, True)):
        if not isinstance(section, Mapping) or SECRET_KEY_NAME not in section:
            continue
        path = f"{'data' if is_coded else 'stringData'}.{SECRET_KEY_NAME}"
        value = _decoded(section[SECRET_KEY_NAME], is_coded)
        if value is None or not KEY.match(value):
            where = f"Secret.{found.name}.{path}"
            wrong = f"{KEY_RULE}, in base64; it is not." if is_coded else f"{KEY_RULE}; it is not."
            return Problem(where, wrong, "", found.line_of(path))
        if not found.name:
            return Problem("Secret.metadata.name", "is required.", "", line)
        namespace = str(found.data["metadata"].get("namespace") or "")
        return GivenSecret(found.name, namespace, value, line)
    return Problem("", f"{found} is left out: it has no '{SECRET_KEY_NAME}'.", "", line)


def _decoded(raw: Any, is_coded: bool) -> str | None:
    if not isinstance(raw, str):
        return None
    if not is_coded:
        return raw.strip()
    try:  # a cluster ignores ends of lines in it
        return base64.b64decode(raw.translate(_NO_LINE_ENDS), validate=True).decode().strip()
    except (binascii.Error, UnicodeError, ValueError):
        return None


# ---- objects of a text


def _yaml_documents(text: str) -> list[_Object]:
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        load_yaml(text)  # says how much too large it is
    bom = len(text) - len(text.removeprefix("\ufeff"))
    starts = [bom + start for start in _starts_of_documents(text[bom:])]
    if len(starts) < 2:
        loaded = load_yaml(text)
        return [_Object(loaded.data, text, loaded.line_of, 0, len(text))]
    found: list[_Object] = []
    n_values = 0
    for start, end in zip([0, *starts[1:]], [*starts[1:], len(text)], strict=True):
        document = _document(text, start, end)
        if document is not None:
            found.append(document)
            n_values += document.n_values
        if len(found) > MOST_OBJECTS or n_values > MAX_NODES:
            break
    if n_values > MAX_NODES:
        message = f"The file holds more than {MAX_NODES} values once its aliases are expanded."
        raise ProblemsError([Problem("", message)])
    return found


def _starts_of_documents(text: str) -> list[int]:
    """Where documents start, up to one that is nested too deeply: libyaml takes minutes for those,
    and ``load_yaml`` stops early and says so."""
    starts: list[int] = []
    depth = 0
    for event in parser_events(text):
        if isinstance(event, yaml.DocumentStartEvent):
            starts.append(int(event.start_mark.index))  # type: ignore[union-attr]
        elif isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH + 1:
            break
    return starts


def _document(text: str, start: int, end: int) -> _Object | None:
    """One document of several, without the line that starts it; None where it is empty."""
    if marker := _MARKER.match(text, start, end):
        start = marker.end()
    own = text[start:end]
    if all(isinstance(e, _AROUND) or _is_nothing(e) for e in parser_events(own)):
        return None
    above = text.count("\n", 0, start)
    try:
        loaded = load_yaml(own)
    except ProblemsError as error:
        raise _moved(error, above) from None
    line_of = _lower(loaded.line_of, above)
    return _Object(loaded.data, own, line_of, start, end, loaded.n_values)


def _moved(error: ProblemsError, above: int) -> ProblemsError:
    """The problems of a part of a file, with the lines of the file."""
    return ProblemsError(
        [
            Problem(p.path, p.message, p.hint, None if p.line is None else p.line + above)
            for p in error.problems
        ]
    )


def _lower(line_of: LineOf, above: int) -> LineOf:
    def found(path: str, within: int = 0) -> int | None:
        line = line_of(path, within)
        return None if line is None else line + above

    return found


_AROUND = (
    yaml.StreamStartEvent, yaml.StreamEndEvent, yaml.DocumentStartEvent, yaml.DocumentEndEvent,
)  # fmt: skip


def _is_nothing(event: Any) -> bool:
    """Whether it is null, written out or not."""
    return isinstance(event, yaml.ScalarEvent) and event.implicit[0] and event.value in NULL


def _json_documents(text: str) -> list[_Object]:
    """JSON goes its own way: the YAML reader would break escaped surrogate pairs."""
    found: list[_Object] = []
    start = 0
    for end in _ends_of_json(text):
        own, above = text[start:end], text.count("\n", 0, start)
        data, line_of = load_json("\n" * above + own)
        found.append(_Object(data, own, line_of, start, end))
        start = end
    return found


def _ends_of_json(text: str) -> list[int]:
    """Where objects end that stand one after the other; what cannot be read ends with the text."""
    decoder = json.JSONDecoder()
    ends: list[int] = []
    place = len(text) - len(text.removeprefix("\ufeff"))
    while len(ends) <= MOST_OBJECTS:
        while text[place : place + 1].isspace():
            place += 1
        if not text.startswith("{", place):
            return [*ends[:-1], len(text)]
        try:
            place = decoder.raw_decode(text, place)[1]
        except (ValueError, RecursionError):
            return [*ends, len(text)]  # whoever reads it says what is wrong
        ends.append(place)
    return ends


def _unpacked(document: _Object, is_json: bool) -> list[_Object]:
    """The objects of a ``List``, else the one there is."""
    if not document.kind.endswith("List") or not isinstance(document.data.get("items"), list):
        return [document]
    items = document.data["items"][: MOST_OBJECTS + 1]
    if is_json:
        texts = [json.dumps(item, ensure_ascii=False, indent=2) for item in items]
    else:
        texts = _texts_of_items(document.text, items)
    return [
        _Object(item, text, _below(document.line_of, f"items[{number}]"))
        for number, (item, text) in enumerate(zip(items, texts, strict=True))
    ]


def _texts_of_items(text: str, items: list[Any]) -> list[str]:
    """The text of each of a List's items as it is written, where that can stand alone."""
    text = text.removeprefix("\ufeff")
    tree = Tree(text)
    assert tree.root is not None
    rows = tree.root.children[tree.root.keys.index("items")][1].children
    found = []
    for item, (_, node) in zip(items, rows, strict=False):
        column = node.start - tree.line_start(node.start)
        first, *lines = text[node.start : tree.end(node)].split("\n")
        lines = [line[min(column, len(line) - len(line.lstrip(" "))) :] for line in lines]
        own = "\n".join([first, *lines]) + "\n"
        found.append(own if _holds(own, item) else dump_value(item))
    return found


def _holds(text: str, item: Any) -> bool:
    try:
        return same(load_yaml(text).data, item)
    except ProblemsError:
        return False


def _below(line_of: LineOf, root: str) -> LineOf:
    def found(path: str, within: int = 0) -> int | None:
        return line_of(f"{root}.{path}" if path else root, within)

    return found


def load_json(text: str) -> tuple[Any, LineOf]:
    """Read JSON text strictly; returns the data and the lines of its paths.

    Raises:
        ProblemsError: with the line.
    """
    text = text.removeprefix("\ufeff")
    try:
        data = read_json(text, huge=True)  # the field that holds one says so
    except JsonRefused as error:
        raise ProblemsError([_not_json(error)]) from None
    if repeated := duplicate_keys(text):
        raise ProblemsError(
            [
                Problem(path, "Stands twice in the same object.", "Keep one of them.", line)
                for path, line in repeated
            ]
        )
    if not isinstance(data, dict):
        message = f"The manifest must be an object (a mapping), but it is {kind_of(data)}."
        raise ProblemsError([Problem("", message)])
    lines = key_lines(text)
    first = 1 + text[: len(text) - len(text.lstrip())].count("\n")

    def line_of(path: str, within: int = 0) -> int | None:
        while path:
            if path in lines:
                return lines[path]
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return first

    return data, line_of


def _not_json(error: JsonRefused) -> Problem:
    found = error.syntax
    if found is None:
        return Problem("", f"Is not valid JSON: {error}.", line=error.line or None)
    message = f"Is not valid JSON: {found.msg}, line {found.lineno}, column {found.colno}."
    hint = "YAML is sent as Content-Type: application/yaml, and its file ends in .yaml."
    return Problem("", message, hint, found.lineno)

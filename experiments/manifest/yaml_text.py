"""YAML text to plain data with line numbers, and back: the only door for YAML.

Called by ``spec.parse_text``, pages and commands. Built on the parser's events, never on Python
object construction, so nothing in a text can run code; size, depth and alias expansion are bounded
before anything is built. Numbers follow YAML 1.2 (``1e-4`` is a number, ``yes`` is text), except
that ``0644`` is octal as kubectl reads it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from experiments.manifest.json_text import key_lines
from experiments.manifest.reading import MAX_DEPTH, MAX_NODES, at
from experiments.problems import Problem, ProblemsError

MAX_BYTES = 1024 * 1024

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
_DECIMAL = re.compile(r"[-+]?[0-9]+\Z")
_OCTAL = re.compile(r"0o?([0-7]+)\Z")
_HEX = re.compile(r"0x([0-9a-fA-F]+)\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF|nan|NaN|NAN)\Z")
_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True)
class LoadedYaml:
    """The manifest as plain data, and where each of its paths stands in the text."""

    data: dict[str, Any]
    _lines: dict[str, int] = field(repr=False)
    _blocks: dict[str, int] = field(repr=False)  # path of a text block -> line before its first
    n_values: int = 0  # aliases expanded

    def line_of(self, path: str, within: int = 0) -> int | None:
        """Return the line of ``path``, or of the nearest thing around it that is written.

        ``within`` counts lines (from 1) inside the text block at ``path``.
        """
        if within and path in self._blocks:
            return self._blocks[path] + within
        while path:
            if path in self._lines:
                return self._lines[path]
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self._lines.get("")


def load_yaml(text: str | bytes) -> LoadedYaml:
    """Read one YAML (or JSON) document whose top level is a mapping.

    Raises:
        ProblemsError: with the line, where the text is not acceptable.
    """
    text = _decode(text)
    _check_size(text)
    if not text.strip():
        raise _problem("The manifest is empty.", "Start from a template or an example.")
    reader = _Reader(parser_events(text))
    data = reader.document()
    if data is None:
        raise _problem("The manifest is empty.", "It holds nothing but comments.")
    if not isinstance(data, dict):
        found = "a list" if isinstance(data, list) else "a single value"
        raise _problem(
            f"The manifest must be a mapping (name: value) at its top, but it is {found}.",
            "It starts with 'apiVersion: tensorstack.dev/v1beta1'.",
            line=reader.first_line,
        )
    return LoadedYaml(data, reader.lines, reader.blocks, reader.n_values)


def _problem(
    message: str, hint: str = "", line: int | None = None, path: str = ""
) -> ProblemsError:
    return ProblemsError([Problem(path, message, hint, line)])


def _decode(text: str | bytes) -> str:
    if isinstance(text, bytes):
        if len(text) > MAX_BYTES:
            raise _too_large(len(text))
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            raise _problem("The manifest must be UTF-8 text.", line=line) from None
    return text.removeprefix("\ufeff")


def _check_size(text: str) -> None:
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        raise _too_large(size)


def _too_large(size: int) -> ProblemsError:
    return _problem(
        f"The manifest must be at most 1 MiB, but it is {size / MAX_BYTES:.1f} MiB.",
        "Keep data and code in the trial's own files.",
    )


def parser_events(text: str) -> Iterator[Any]:
    """Yield the parser's events; its complaints become problems people understand."""
    try:
        yield from yaml.parse(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        raise _explain(error, text) from None
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1 if isinstance(error.position, int) else None
        raise _problem(
            f"Control character {error.character!r} is not allowed in YAML.", line=line
        ) from None
    except UnicodeEncodeError as error:
        line = text[: error.start].count("\n") + 1
        raise _problem("The manifest holds half a character (a surrogate).", line=line) from None


def _explain(error: yaml.MarkedYAMLError, text: str) -> ProblemsError:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else None
    rows = text.split("\n")
    row = rows[line - 1] if line and line <= len(rows) else ""
    blanks = row[: len(row) - len(row.lstrip())]
    if "\t" in blanks:
        return _problem(
            f"Line {line}: tabs can't indent YAML.", "Replace the tab with spaces.", line
        )
    what = error.problem or str(error)
    why = f"{what}; {error.context}" if error.context else what
    if mark is None:
        return _problem(f"This is not valid YAML: {why}.", _hint(what, row), line)
    return _problem(
        f"Line {line}, column {mark.column + 1} is not valid YAML: {why}.", _hint(what, row), line
    )


def _hint(what: str, row: str) -> str:
    if "mapping values are not allowed" in what:
        return "A text that contains ': ' needs quotes, and 'name:' starts its own line."
    if "cannot start any token" in what:
        return "A text that starts with % @ ` needs quotes."
    if "expected key" in what or "expected <block end>" in what or "'-' indicator" in what:
        return "Lines that belong together must be indented by the same number of spaces."
    if "unexpected end of stream" in what:
        return "A quote that is opened must be closed."
    if "flow" in what or "',' or" in what:
        return "A bracket that is opened must be closed, with commas between entries."
    return ""


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


class _Reader:
    """Builds plain data from events; an anchor's value is remembered and copied for each alias."""

    def __init__(self, events: Iterator[Any]) -> None:
        self._events = events
        self._anchors: dict[str, Any] = {}
        self._sizes: dict[str, int] = {}
        self._open: set[str] = set()
        self._nodes = 0
        self.lines: dict[str, int] = {}
        self.blocks: dict[str, int] = {}
        self.first_line = 1

    @property
    def n_values(self) -> int:
        return self._nodes

    def document(self) -> Any:
        data: Any = None
        n_documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                n_documents += 1
                if n_documents > 1:
                    raise _problem(
                        "The text holds several documents ('---'), but a manifest is one.",
                        "Create each experiment on its own.",
                        _line(event),
                    )
                first: Any = next(self._events)
                self.first_line = _line(first)
                self.lines[""] = self.first_line
                data = self._node(first, "", 0)
        return data

    def _node(self, event: Any, path: str, depth: int) -> Any:
        line = _line(event)
        self._count(1, line)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(str(event.anchor), line)
        if depth > MAX_DEPTH:
            raise _problem(f"The manifest is nested deeper than {MAX_DEPTH} levels.", line=line)
        anchor = event.anchor
        if anchor:
            self._open.add(anchor)
        before = self._nodes
        if isinstance(event, yaml.MappingStartEvent):
            _check_tag(event, "map", line)
            value: Any = self._mapping(path, depth)
        elif isinstance(event, yaml.SequenceStartEvent):
            _check_tag(event, "seq", line)
            value = self._sequence(path, depth)
        else:
            value = self._scalar(event, path, line)
        if anchor:
            self._open.discard(anchor)
            self._anchors[anchor] = value
            self._sizes[anchor] = self._nodes - before + 1
        return value

    def _count(self, n: int, line: int) -> None:
        self._nodes += n
        if self._nodes > MAX_NODES:
            raise _problem(
                f"The manifest holds more than {MAX_NODES} values once its aliases are expanded.",
                "Write repeated parts out, or less of them.",
                line,
            )

    def _alias(self, name: str, line: int) -> Any:
        if name in self._open:
            raise _problem(f"The alias '*{name}' contains itself.", line=line)
        if name not in self._anchors:
            raise _problem(f"The alias '*{name}' has no anchor '&{name}' before it.", line=line)
        self._count(self._sizes[name], line)
        return _copy(self._anchors[name])

    def _mapping(self, path: str, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        key_line: dict[str, int] = {}
        merged: list[dict[str, Any]] = []
        for event in self._events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            line = _line(event)
            key = self._key(event, line)
            inner = at(path, key)
            if key in key_line:
                raise _problem(
                    f"'{key}' is given twice: first on line {key_line[key]}, again on line {line}.",
                    "Keep one of them.",
                    line,
                    inner,
                )
            key_line[key] = line
            is_merge = key == "<<" and event.implicit[0]
            self.lines[inner] = line
            value = self._node(next(self._events), inner, depth + 1)
            if not is_merge:
                found[key] = value
                continue
            parts = value if isinstance(value, list) else [value]
            if not all(isinstance(part, dict) for part in parts):
                raise _problem("'<<' merges mappings only.", line=line, path=inner)
            merged.extend(parts)
        for part in merged:
            for key, value in part.items():
                found.setdefault(key, value)
        return found

    def _key(self, event: Any, line: int) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            raise _problem("Names must be plain text, not lists, mappings or aliases.", line=line)
        self._count(1, line)
        return str(event.value)

    def _sequence(self, path: str, depth: int) -> list[Any]:
        found: list[Any] = []
        for event in self._events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            inner = at(path, len(found))
            self.lines[inner] = _line(event)
            found.append(self._node(event, inner, depth + 1))
        return found

    def _scalar(self, event: Any, path: str, line: int) -> Any:
        text: str = event.value
        if event.style == "|":
            self.blocks[path] = line
            if text.lstrip()[:1] in ("{", "["):
                self._map_json_lines(text, path, line)
        plain = event.implicit[0]  # unquoted; the C parser and the Python one spell style apart
        tag = (event.tag or "").removeprefix(_TAG)
        if tag in ("", "!") and not event.tag and plain:
            return _plain(text, line, path)
        if tag in ("", "!", "str"):
            return text
        if tag in ("int", "float", "bool", "null"):
            return _plain(text, line, path)
        raise _unknown_tag(event.tag, line, path)

    def _map_json_lines(self, text: str, path: str, line: int) -> None:
        for inner, offset in key_lines(text, path).items():
            self.lines.setdefault(inner, line + offset)


def _check_tag(event: Any, expected: str, line: int) -> None:
    if event.tag and event.tag not in (_TAG + expected, "!"):
        raise _unknown_tag(event.tag, line, "")


def _unknown_tag(tag: str, line: int, path: str) -> ProblemsError:
    shown = tag.replace(_TAG, "!!")
    return _problem(f"The tag '{shown}' is not allowed.", "Write plain values.", line, path)


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_copy(inner) for inner in value]
    return value


def _plain(text: str, line: int, path: str) -> Any:
    """Resolve an unquoted scalar."""
    if text in NULL:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    if len(text) > 1 and (octal := _OCTAL.match(text)):
        return int(octal[1], 8)
    if hexadecimal := _HEX.match(text):
        return int(hexadecimal[1], 16)
    if _DECIMAL.match(text):
        if len(text) > 300:
            raise _problem("The number has more than 300 digits.", line=line, path=path)
        return int(text)
    if _FLOAT.match(text):
        number = float(text)
        if math.isinf(number):
            raise _problem(f"The number {text[:40]} is too large.", line=line, path=path)
        return number
    if _NOT_FINITE.match(text):
        raise _problem(f"Numbers must be finite, but got {text}.", line=line, path=path)
    return text


# How dump_yaml orders fields, by the path's last name; unknown ones follow in the order given.
_ORDER: dict[str, tuple[str, ...]] = {
    "": ("apiVersion", "kind", "metadata", "spec"),
    "metadata": ("name", "generateName", "namespace", "labels", "annotations"),
    "spec": (
        "maxExecSeconds", "maxTrialNum", "maxTrialSeconds", "trialConcurrency", "searchSpace",
        "storage", "aistore",
        "trainingConfig", "metrics", "tuner", "assessor", "advisor",
        "securityContext", "initContainers", "containers", "volumes",
    ),
    "aistore": ("folder", "secret"),
    "trainingConfig": ("type", "runtimeRef", "tasks", "scheduler"),
    "tasks": ("type", "replicas", "restartPolicy", "template"),
    "t9kScheduler": ("queue", "priority"),
    "tuner": ("builtinTunerName", "classArgs"),
    "assessor": ("builtinAssessorName", "classArgs"),
    "advisor": ("builtinAdvisorName", "classArgs"),
    "containers": (
        "name", "image", "imagePullPolicy", "command", "args", "workingDir", "env", "resources",
        "volumeMounts",
    ),
    "env": ("name", "value", "valueFrom"),
}  # fmt: skip


def field_order(names: list[str], section: str) -> list[str]:
    """The names of a section's fields in the specification's order; others follow as given."""
    first = [name for name in _ORDER.get(section, ()) if name in names]
    return [*first, *(name for name in names if name not in first)]


def ordered(data: Any, name: str = "") -> Any:
    """Return the data with its fields in the specification's order (a database may lose it)."""
    if isinstance(data, dict):
        return {key: ordered(data[key], key) for key in field_order(list(data), name)}
    if isinstance(data, list):
        return [ordered(inner, name) for inner in data]
    return data


class _Dumper(yaml.SafeDumper):
    """Indents lists below their name, writes texts of several lines as blocks, makes no aliases."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


_ODD_BREAKS = re.compile("[\r\x85\u2028\u2029]")


def _represent_text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    # Lines that end in blanks make the emitter fall back to quotes; that is fine. It does not see
    # that the odd line breaks need quotes and escapes to survive. A block that ends in empty lines
    # would take those that follow it into itself.
    quoted = _ODD_BREAKS.search(value) or value == "\n" or value.endswith("\n\n")
    style = '"' if quoted else "|" if "\n" in value else None
    return dumper.represent_scalar(_TAG + "str", value, style=style)


_Dumper.add_representer(str, _represent_text)
# PyYAML would write the text "1e-4" unquoted, which our reader takes for a number.
_Dumper.add_implicit_resolver(_TAG + "float", _FLOAT, list("-+.0123456789"))
_Dumper.add_implicit_resolver(_TAG + "int", re.compile(r"0o[0-7]+\Z"), ["0"])


def dump_yaml(manifest: dict[str, Any]) -> str:
    """Write a manifest: stable, in the specification's order, and read back as the same data."""
    return dump_value(ordered(manifest))


def dump_value(data: Any, *, flow: bool = False) -> str:
    """Write a list or mapping in block style, or anything in flow style on one line."""
    written: str = yaml.dump(
        data,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=flow,
        width=math.inf,
    )
    return written.removesuffix("\n").removesuffix("\n...") if flow else written

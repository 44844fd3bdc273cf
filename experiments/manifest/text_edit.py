"""A manifest's text with other values in it, everything else as its author wrote it.

Called by the form, wherever a person's text meets an edit of its data (``edit_text``), and for the
JSON texts inside a manifest (``edit_json``). What is replaced is cut out at the positions that the
YAML parser gives; comments, order, quotes, indentation and blank lines of all else stay byte for
byte, in block style, in flow style and in JSON.

Guarantee: ``load_yaml(edit_text(text, data)).data == data``, types and the order of edited mappings
included. Each result is read back before it is given away; where a text is so knotted (aliases,
explicit keys) that a fine cut fails, coarser ones follow, and at last the whole is written anew.

Positions instead of a library's round trip (ruamel.yaml was tried): that one rewrites layout, drops
comments inside brackets, and hangs a comment on what stands *before* it, so that an edit of one
field takes the comment of the next along.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from experiments.manifest.comparing import became, common_order, order, same
from experiments.manifest.text_nodes import Node, Tree
from experiments.manifest.yaml_text import (
    dump_value,
    dump_yaml,
    field_order,
    load_yaml,
)
from experiments.problems import ProblemsError
from experiments.strict_json import read_json

_MERGE = "<<"
_WHOLE, _SECTIONS = 100, 2  # levels into which a cut goes: as deep as possible, or spec.NAME
_PLAIN_HEADER = re.compile(r"\|([-+]?)[ \t]*(?:#[^\n]*)?\r?\n")

# What a text block cannot hold, or would take for an end of line.
_NOT_IN_BLOCKS = re.compile(
    "[^\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)


def edit_text(text: str, wanted: dict[str, Any]) -> str:
    """The text (YAML or JSON, readable by ``load_yaml``) changed so that it holds ``wanted``.

    Raises:
        ProblemsError: ``text`` cannot be read.
    """
    bom = text[: len(text) - len(text.removeprefix("\ufeff"))]
    text = text.removeprefix("\ufeff")
    held = load_yaml(text).data
    if same(held, wanted) and order(held) == order(wanted):
        return bom + text

    def holds(result: str) -> bool:
        try:
            found = load_yaml(result).data
        except ProblemsError:
            return False
        return same(found, wanted) and common_order(held, wanted) == common_order(held, found)

    if (edited := _edited(text, held, wanted, holds)) is not None:
        return bom + edited
    return bom + _head_comment(text) + dump_yaml(wanted)


def edit_json(text: str, wanted: dict[str, Any]) -> str | None:
    """The JSON text changed so that it holds ``wanted``, in its order; None where it cannot be."""
    try:
        held = read_json(text, huge=True)
        load_yaml(text)  # its limits; and what YAML reads otherwise is not cut by YAML's positions
    except (ValueError, RecursionError, ProblemsError):
        return None

    def holds(result: str) -> bool:
        try:
            found = read_json(result, huge=True)
        except ValueError:
            return False
        return same(found, wanted) and list(found) == list(wanted)

    return _edited(text, held, wanted, holds) if isinstance(held, dict) else None


def _edited(
    text: str, held: dict[str, Any], wanted: dict[str, Any], holds: Callable[[str], bool]
) -> str | None:
    """The first result that ``holds``, from the finest cut to the coarsest."""
    tree = Tree(text)
    root = tree.root
    if root is None or not root.children or not wanted:
        return None  # nothing to cut into
    for depth, expand in ((_WHOLE, False), (_WHOLE, True), (_SECTIONS, True)):
        try:
            result = _Writer(tree, root, held, wanted, depth, expand).result()
        except LookupError:
            continue
        if holds(result):
            return result
    return None


def _head_comment(text: str) -> str:
    kept = []
    for line in text.splitlines():
        if not line.startswith("#") and line != "---":
            break
        kept.append(line + "\n")
    return "".join(kept)


@dataclass
class _Chunk:
    """An entry as text: what stands above it, itself, and the rest of its last line."""

    lead: str
    body: str
    tail: str = ""


_Parts = list[tuple[int | None, _Chunk]]  # the number of the entry that it was before, if any


class _Writer:
    """Writes nodes with other values. A node's text runs from its start to the tree's ``end``."""

    def __init__(
        self, tree: Tree, root: Node, held: Any, wanted: Any, depth: int, expand: bool
    ) -> None:
        self.tree, self.text, self.depth = tree, tree.text, depth
        self.root, self.held, self.wanted = root, held, wanted
        first = root.children[0][0]
        self.is_json = root.flow and first is not None and self.text[first.start] == '"'
        self.newline = "\r\n" if "\r\n" in self.text else "\n"
        self._known_starts: dict[Node, list[int]] = {}
        # Anchors whose value is another now: what refers to them is written out.
        self.changed: set[str] = set()
        self._find_changed(root, held, wanted, expand)

    def result(self) -> str:
        before, after = self.text[: self.root.start], self.text[self.tree.end(self.root) :]
        return before + self._node(self.root, self.held, self.wanted, 0) + after

    def _find_changed(self, node: Node, old: Any, new: Any, everything: bool) -> None:
        if node.kind == "alias":
            return
        if node.name and (everything or not same(old, new)):
            self.changed.add(node.name)
        for number, (key, value) in enumerate(node.children):
            name: Any = number if key is None else node.keys[number]
            self._find_changed(value, _item(old, name), _item(new, name), everything)

    # ---- one entry

    def _stays(self, node: Node, old: Any, new: Any) -> bool:
        if node.aliases & self.changed or not same(old, new):
            return False
        return order(old) == order(new) or node.kind != "map"

    def _node(self, node: Node, old: Any, new: Any, depth: int, name: str = "") -> str:
        """Text of a collection that stays one of its kind. ``name`` is the field it stands at."""
        if node.kind == "map":
            return self._joined(node, self._mapping(node, old, new, depth, name))
        return self._joined(node, self._sequence(node, old, new, depth, name))

    def _goes_inside(self, node: Node, old: Any, new: Any, depth: int) -> bool:
        if depth >= self.depth or not node.children or not new:
            return False
        if node.kind == "map":
            if node.flow and "{" not in self.text[node.start : node.children[0][0].start]:  # type: ignore[union-attr]
                return False  # [name: value]
            return isinstance(old, dict) and isinstance(new, dict)
        return node.kind == "seq" and isinstance(old, list) and isinstance(new, list)

    def _mapping(
        self, node: Node, old: dict[str, Any], new: dict[str, Any], depth: int, name: str
    ) -> _Parts:
        own = {key: number for number, key in enumerate(node.keys)}
        merged = {key: value for key, value in old.items() if key not in own}
        merges = _MERGE in own and _MERGE not in old
        if merges:  # what it brings must still be wanted, and stand where it is taken from
            source = node.children[own[_MERGE]][1]
            merges = not source.aliases & self.changed and merged.keys() <= new.keys()
        told = {
            key for key in new
            if key in own or not (merges and key in merged and same(merged[key], new[key]))
        }  # fmt: skip
        kept = [key for key in node.keys if key in told or (merges and key == _MERGE)]
        parts: _Parts = []
        for key in _placed(kept, [key for key in new if key in told], name):
            number = own.get(key)
            if number is None:
                parts.append((None, self._new_entry(node, key, new[key])))
            elif key not in new:  # the merge
                parts.append((number, self._untouched(node, number)))
            else:
                parts.append((number, self._entry(node, number, old[key], new[key], depth)))
        return parts

    def _sequence(
        self, node: Node, old: list[Any], new: list[Any], depth: int, name: str
    ) -> _Parts:
        return [
            (None, self._new_entry(node, None, value))
            if number is None
            else (number, self._entry(node, number, old[number], value, depth, name))
            for value, number in zip(new, became(old, new), strict=True)
        ]

    def _untouched(self, node: Node, number: int) -> _Chunk:
        start, end = self._starts(node)[number], self.tree.end(node.children[number][1])
        tail = "" if node.flow else self.text[end : self.tree.line_end(end)]
        return _Chunk(self._lead(node, number), self.text[start:end], tail)

    def _entry(
        self, node: Node, number: int, old: Any, new: Any, depth: int, list_name: str = ""
    ) -> _Chunk:
        """An entry with another value; the same text where the value is the same."""
        key, value = node.children[number]
        chunk = self._untouched(node, number)
        if self._stays(value, old, new):
            return chunk
        start = self._starts(node)[number]
        upto_value = self.text[start : max(value.start, start)]
        if self._goes_inside(value, old, new, depth + 1):
            name = list_name if key is None else node.keys[number]
            chunk.body = upto_value + self._node(value, old, new, depth + 1, name)
            return chunk
        head = "" if node.flow else "-"
        if key is not None:
            head = self.text[start : key.end]
        between = upto_value.removeprefix(head)
        if node.flow:
            if key is not None and (":" not in between or value.start == value.end):
                between = ": "
            chunk.body = head + between + self._flow(new)
            return chunk
        if (text := self._block_text(value, new)) is not None:
            chunk.body = upto_value + text
            return chunk
        column = start - self.tree.line_start(start)
        rendered = self._block(None if key is None else "k", new, column)[1:]  # without its head
        return self._replaced(chunk, value, head, between, rendered)

    def _replaced(
        self, chunk: _Chunk, value: Node, head: str, between: str, rendered: str
    ) -> _Chunk:
        """A block entry whose value is written anew; comments beside it stay beside it."""
        first, newline, rest = rendered.partition(self.newline)
        if value.is_beside and "\n" not in between and not newline:
            if value.start == value.end or between.strip(": "):  # nothing stood there, or an anchor
                between = rendered[: len(rendered) - len(rendered.lstrip(": "))]
            chunk.body = head + between + rendered.lstrip(": ")
            return chunk
        comment = self._comment_of(between, value) or chunk.tail.strip()
        if comment:
            first += "  " + (comment.replace("\n", " ") if newline else comment)
        return _Chunk(chunk.lead, head + first + newline + rest)

    def _comment_of(self, between: str, value: Node) -> str:
        """The comment after a name whose value starts below, or after a text block's header."""
        header = between
        if value.is_block_text:
            header = self.text[value.start : value.end].partition("\n")[0]
        rows = [row.strip() for row in header.splitlines()]
        return "\n".join(row[row.index("#") :] for row in rows if "#" in row)

    def _block_text(self, value: Node, new: Any) -> str | None:
        """A text block with another text below the same header, or None."""
        if value.style != "|" or value.name or not isinstance(new, str) or not new.strip():
            return None
        written = self.text[value.start : self.tree.end(value)]
        header = _PLAIN_HEADER.match(written)
        if header is None or new[:1].isspace() or _NOT_IN_BLOCKS.search(new):
            return None
        ends = {"-": not new.endswith("\n"), "+": False}
        if not ends.get(header[1], new.endswith("\n") and not new.endswith("\n\n")):
            return None
        first = next((row for row in written.split("\n")[1:] if row.strip()), "")
        indent = first[: len(first) - len(first.lstrip(" "))]
        if not indent:
            return None
        rows = [indent + row if row else "" for row in new.removesuffix("\n").split("\n")]
        return header[0] + self.newline.join(rows)

    def _new_entry(self, node: Node, key: str | None, value: Any) -> _Chunk:
        if not node.flow:
            column = self._column(node)
            return _Chunk(self.newline + " " * column, self._block(key, value, column))
        if key is None:
            return _Chunk("", self._flow(value))
        if self.is_json:
            return _Chunk("", f"{json.dumps(key, ensure_ascii=False)}: {self._flow(value)}")
        return _Chunk("", dump_value({key: value}, flow=True)[1:-1])

    def _flow(self, value: Any) -> str:
        if self.is_json:
            return json.dumps(value, ensure_ascii=False)
        return dump_value([value], flow=True)[1:-1]

    def _block(self, key: str | None, value: Any, column: int) -> str:
        """``key: value`` or ``- value``, its further lines indented by ``column``."""
        written = dump_value([value] if key is None else {key: value}).removesuffix("\n")
        rows = written.split("\n")
        indented = [rows[0], *(" " * column + row if row else "" for row in rows[1:])]
        return self.newline.join(indented)

    # ---- entries side by side

    def _starts(self, node: Node) -> list[int]:
        if node not in self._known_starts:
            self._known_starts[node] = self.tree.starts(node)
        return self._known_starts[node]

    def _column(self, node: Node) -> int:
        first = self._starts(node)[0]
        return first - self.tree.line_start(first)

    def _lead(self, node: Node, number: int) -> str:
        """What stands above an entry, from the end of the line before it."""
        if node.flow:
            return ""
        start = self._starts(node)[number]
        if number:
            before = self.tree.line_end(self.tree.end(node.children[number - 1][1]))
            return self.text[before:start]
        above = self.text[node.start : start]
        return above if above[:1] in ("\r", "\n") else ""

    def _joined(self, node: Node, parts: _Parts) -> str:
        if node.flow:
            return self._flow_joined(node, parts)
        self._keep_remarks(node, parts)
        usual = self.newline + " " * self._column(node)
        begun = bool(self._lead(node, 0))  # else it starts beside a dash, or at the top
        text = "" if begun else self.text[node.start : self._starts(node)[0]]
        for place, (_, chunk) in enumerate(parts):
            lead = chunk.lead or usual if place or begun else chunk.lead.lstrip()
            text += lead + chunk.body + chunk.tail
        return text

    def _keep_remarks(self, node: Node, parts: _Parts) -> None:
        """Comments above an entry that goes: those right above it go too, others stay."""
        chunks = {number: chunk for number, chunk in parts if number is not None}
        heir: _Chunk | None = None
        for number in reversed(range(len(node.children))):
            if number in chunks:
                heir = chunks[number]
                continue
            rows = self._lead(node, number).split("\n")[1:-1]
            while rows and rows[-1].strip():
                rows.pop()
            remarks = "\n".join(rows).rstrip()
            if not remarks:
                continue
            if heir is not None:
                heir.lead = "\n" + remarks + "\n" + heir.lead
            elif parts:
                parts[-1][1].tail += "\n" + remarks

    def _flow_joined(self, node: Node, parts: _Parts) -> str:
        """Entries in brackets: what stood after each (comma, comment, line) still stands there."""
        starts = self._starts(node)
        ends = [max(value.end, key.end if key else 0) for key, value in node.children]
        gaps = [self.text[a:b] for a, b in zip(ends, starts[1:], strict=False)]
        prefix = self.text[node.start : starts[0]]
        suffix = self.text[ends[-1] : node.end]
        blank = prefix.rpartition("{" if node.kind == "map" else "[")[2]
        usual = "," + (" " if blank.strip() or not blank else blank)
        usual = next((gap for gap in gaps if "#" not in gap), usual)
        last = len(ends) - 1
        text = prefix
        for place, (number, chunk) in enumerate(parts):
            text += chunk.body
            gap = usual if number is None or number == last else gaps[number]
            if place == len(parts) - 1:
                if number != last and "#" in gap:
                    text += gap.replace(",", "", 1).rstrip()
            elif number == last and "#" in suffix:  # its comment stays beside it
                comment, _, rest = suffix.partition("\n")
                suffix = "\n" + rest
                text += "," + comment + "\n" + (usual.replace(",", "", 1).strip("\n") or " ")
            else:
                text += gap
        return text + suffix


def _placed(kept: list[str], wanted: list[str], section: str) -> list[str]:
    """Kept entries in their order (or in the wanted one, where they were moved), new ones where the
    specification has them."""
    old, new = set(kept), set(wanted)
    if [key for key in kept if key in new] != [key for key in wanted if key in old]:
        return [key for key in kept if key not in new] + wanted
    if len(old) == len(new | old):
        return kept
    proper = field_order(wanted, section)
    placed = list(kept)
    before = None
    for index, key in enumerate(proper):
        if key not in old:
            after = next((other for other in proper[index:] if other in old), None)
            if before is not None:
                placed.insert(placed.index(before) + 1, key)
            else:
                placed.insert(placed.index(after) if after else 0, key)
        before = key
    return placed


def _item(data: Any, name: Any) -> Any:
    if isinstance(data, dict):
        return data.get(name)
    if isinstance(data, list) and isinstance(name, int) and name < len(data):
        return data[name]
    return None

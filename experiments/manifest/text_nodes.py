"""Where everything of a YAML or JSON text stands: its nodes with their positions.

Called by ``text_edit`` alone, for texts that ``load_yaml`` has read before: its limits hold here.
Positions are the parser's, but for what it does not tell: where a block ends (with its last line,
comment and all) and where it starts (with the comments above its first entry).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from experiments.manifest.yaml_text import parser_events

# From one place to the next where a dash may stand: over anchors, tags and comments.
_STEP = re.compile(r"[&!#][^\n]*|\s+|[^\n]")


@dataclass(eq=False)
class Node:
    kind: str  # map, seq, scalar or alias
    start: int
    end: int
    flow: bool = False
    style: str = ""  # of a scalar
    name: str = ""  # anchor, or the alias's
    children: list[tuple[Node | None, Node]] = field(default_factory=list)  # key, value
    keys: list[str] = field(default_factory=list)
    aliases: set[str] = field(default_factory=set)  # in it, however deep

    @property
    def is_block_text(self) -> bool:
        return self.style in ("|", ">")

    @property
    def is_beside(self) -> bool:
        """Written on the line of its name: neither a block nor a block's text."""
        return self.flow or (self.kind in ("scalar", "alias") and not self.is_block_text)


class Tree:
    """A text's nodes, and questions about places in it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._events: Iterator[Any] = parser_events(text)
        self.root: Node | None = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                self.root = self._node(next(self._events))
        if self.root is not None:
            self._take_in_remarks(self.root)

    def _node(self, event: Any) -> Node:
        start, end = event.start_mark.index, event.end_mark.index
        name = event.anchor or ""
        if isinstance(event, yaml.AliasEvent):
            return Node("alias", start, end, name=name, aliases={name})
        if isinstance(event, yaml.ScalarEvent):
            return Node("scalar", start, end, style=event.style or "", name=name)
        kind = "map" if isinstance(event, yaml.MappingStartEvent) else "seq"
        node = Node(kind, start, end, flow=bool(event.flow_style), name=name)
        for inner in self._events:
            if isinstance(inner, yaml.CollectionEndEvent):
                node.end = int(inner.end_mark.index)  # type: ignore[union-attr]
                break
            key = None
            if kind == "map":
                key = self._node(inner)
                node.keys.append(str(inner.value))
                inner = next(self._events)
            value = self._node(inner)
            node.aliases |= value.aliases
            node.children.append((key, value))
        return node

    def _take_in_remarks(self, node: Node) -> None:
        """Let a collection below its name start at that line's end: comments above its first entry
        are the entry's."""
        for key, value in node.children:
            is_block = value.kind in ("map", "seq") and not value.flow and not value.name
            if key is not None and is_block and "\n" in self.text[key.end : value.start]:
                above = self.text[key.end : self.line_start(value.start)].rstrip()
                while (row := above.rpartition("\n")[2].strip()).startswith("#") and "\n" in above:
                    above = above.removesuffix(row).rstrip()
                indent = self.text[self.line_start(value.start) : value.start]
                if not indent.strip():
                    value.start = self.line_end(key.end + len(above))
            self._take_in_remarks(value)

    def line_start(self, index: int) -> int:
        return self.text.rfind("\n", 0, index) + 1

    def line_end(self, index: int) -> int:
        end = self.text.find("\n", index)
        if end < 0:
            end = len(self.text)
        return end - 1 if end > index and self.text[end - 1] == "\r" else end

    def end(self, node: Node) -> int:
        """Where a node's text ends: in block style with its line, comment and all."""
        if node.is_block_text:
            written = self.text[node.start : node.end]
            header = written.partition("\n")[0].partition("#")[0]
            kept = written.rstrip("\r\n") if "+" not in header else written.removesuffix("\n")
            if not kept.strip():
                return node.end
            stripped = kept if "+" in header else kept.rstrip()
            return self.line_end(node.start + len(stripped))
        if node.kind in ("map", "seq") and not node.flow and node.children:
            return self.line_end(self.end(node.children[-1][1]))
        return node.end

    def starts(self, node: Node) -> list[int]:
        """Where the entries start: at their names, or at their dashes."""
        if node.kind == "map":
            return [key.start for key, _ in node.children if key is not None]
        if node.flow:
            return [value.start for _, value in node.children]
        found: list[int] = []
        after = node.start
        column = None
        for _, value in node.children:
            at = after
            while self.text[at] != "-" or (
                column is not None and at - self.line_start(at) != column
            ):
                # past anchors and comments to the dash, which stands first in its line
                step = _STEP.match(self.text, at)
                assert step is not None
                at = step.end()
                if at >= len(self.text):
                    raise LookupError("no dash")
            column = at - self.line_start(at) if column is None else column
            found.append(at)
            after = self.end(value)
        return found

"""What kinds of fields a manifest has, and what can be said of one. Declared with in ``fields``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

MAX_TEXT = 4096  # characters, where nothing else is said


@dataclass(frozen=True)
class Rule:
    """What no single field can say, as CEL, with the words of its refusal."""

    cel: str
    message: str


@dataclass(frozen=True)
class Whole:
    """A whole number."""

    doc: str
    low: int
    high: int
    required: bool = False
    hint: str = ""

    @property
    def check(self) -> dict[str, Any]:
        """Arguments of ``reading.whole_number``."""
        return {
            "low": self.low, "high": self.high, "required": self.required, "hint": self.hint,
        }  # fmt: skip


@dataclass(frozen=True)
class Flag:
    """True or false; false where it is absent."""

    doc: str
    required: bool = False


@dataclass(frozen=True)
class Text:
    """A text; what it must look like is ``one_of`` or ``pattern``, if anything."""

    doc: str
    required: bool = False
    hint: str = ""
    max_length: int = MAX_TEXT
    one_of: tuple[str, ...] = ()
    pattern: re.Pattern[str] | None = None
    ignores_case: bool = False  # the pattern does
    never: re.Pattern[str] | None = None  # what it must not look like

    @property
    def check(self) -> dict[str, Any]:
        """Arguments of ``reading.text``."""
        return {"required": self.required, "hint": self.hint, "max_length": self.max_length}


@dataclass(frozen=True)
class JsonMapping:
    """A mapping, or JSON text of one; with ``required`` not an empty one."""

    doc: str
    required: bool = False


@dataclass(frozen=True)
class Quantity:
    """A Kubernetes quantity; ``above_zero``, or zero too."""

    doc: str
    above_zero: bool = False
    required: bool = False


@dataclass(frozen=True)
class Anything:
    """A mapping that is Kubernetes' business and passes through unchanged."""

    doc: str
    required: bool = False


@dataclass(frozen=True)
class Amounts:
    """A mapping of names to quantities."""

    doc: str
    required: bool = False


@dataclass(frozen=True)
class Rows:
    """A list; ``most`` None: as long as you like. With ``required`` not an empty one.

    ``not_empty``: it may be absent, but not empty. ``distinct``: no entry twice.
    """

    doc: str
    of: Field
    required: bool = False
    most: int | None = None
    not_empty: bool = False
    distinct: bool = False


@dataclass(frozen=True)
class Section:
    """A mapping with fields of its own; ``is_open`` lets further ones (Kubernetes') pass through.

    ``never_both`` names two fields of which one at most may be given.
    """

    doc: str
    fields: Mapping[str, Field]
    required: bool = False
    is_open: bool = False
    never_both: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = field(default=())

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(self.fields)

    def whole(self, name: str) -> Whole:
        """The declaration of a whole number among the fields."""
        found = self.fields[name]
        assert isinstance(found, Whole)
        return found

    def text(self, name: str) -> Text:
        """The declaration of a text among the fields."""
        found = self.fields[name]
        assert isinstance(found, Text)
        return found

    def rows(self, name: str) -> Rows:
        """The declaration of a list among the fields."""
        found = self.fields[name]
        assert isinstance(found, Rows)
        return found

    def whole_of(self, name: str) -> Whole:
        """The declaration of the numbers in a list among the fields."""
        found = self.rows(name).of
        assert isinstance(found, Whole)
        return found

    def text_of(self, name: str) -> Text:
        """The declaration of the texts in a list among the fields."""
        found = self.rows(name).of
        assert isinstance(found, Text)
        return found


Field: TypeAlias = (
    Whole | Flag | Text | JsonMapping | Quantity | Anything | Amounts | Rows | Section
)

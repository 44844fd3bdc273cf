"""The page of all algorithms says what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.algorithms.reference import algorithms_page, title
from experiments.algorithms.registry import KINDS, Entry
from experiments.algorithms.settings import describe

PAGE = Path(__file__).parents[2] / "docs" / "algorithms.md"
AVAILABLE = [e for kind in KINDS.values() for e in kind.values() if e.available]


def test_the_committed_page_is_up_to_date() -> None:
    written = PAGE.read_text(encoding="utf-8")
    assert written == algorithms_page(), "run: ./autotune manage algorithms_page"


@pytest.mark.parametrize("entry", AVAILABLE, ids=lambda entry: str(entry.name))
def test_every_algorithm_has_its_section_with_arguments_and_source(entry: Entry) -> None:
    _, _, section = algorithms_page().partition(f"### {title(entry)}\n")
    section = section.partition("\n### ")[0]
    assert entry.summary in section
    for info in describe(entry.args):
        assert f"| `{info.name}` |" in section
        assert info.help in section
    assert len(section.rpartition("|\n")[2]) > 20, "a description follows the arguments"
    if entry.kind != "assessor":
        assert "Search types:" in section

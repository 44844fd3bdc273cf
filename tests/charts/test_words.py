"""What charts say: every place of a sentence is filled, and the language is that of who asks."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from experiments import charts
from experiments.charts import style
from experiments.charts.words import gettext, spoken_by, together

FILES = sorted(Path(charts.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_place_of_a_sentence_is_filled_where_it_is_said(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            continue
        if node.func.id != "_" or not isinstance(node.args[0], ast.Constant):
            continue
        places = set(re.findall(r"(?<!%)\{(\w+)", str(node.args[0].value)))
        assert places == {keyword.arg for keyword in node.keywords}, (path.name, node.lineno)


def test_words_are_those_of_who_asks_and_only_for_the_while() -> None:
    with spoken_by({"{n} others": "其他 {n} 个"}.__getitem__):
        assert gettext("{n} others", n=3) == "其他 3 个"
    assert gettext("{n} others", n=3) == "3 others"
    assert gettext("100 % of {name}") == "100 % of {name}"  # nothing to fill, nothing read


def test_sentences_stand_after_each_other_as_their_language_has_it() -> None:
    assert together(["One.", "", "Two."]) == "One. Two."
    assert (
        together(["试验数：46。", "颜色：排名。", "46 trials"])
        == "试验数：46。颜色：排名。46 trials"
    )


def test_notes_too_long_for_a_phone_stand_below_each_other() -> None:
    (short,) = style.corner_note(["3 off scale", "#7 reported nothing"], at_top=False)
    (long,) = style.corner_note(["241 of 10000 curves; bands hold the others"] * 2, at_top=False)
    assert short["text"] == "3 off scale · #7 reported nothing"
    assert long["text"].count("<br>") == 1


def test_words_beside_a_plot_are_broken_by_how_wide_they_are() -> None:
    words = "Median, middle half and nine tenths of 9980 curves"
    wrapped = style.wrapped(words, 22)
    assert wrapped == "Median, middle half <br>and nine tenths of <br>9980 curves"
    assert style.unwrapped(wrapped) == words  # as tables have them
    assert style.wrapped("9980 条曲线的中位数、中间一半", 22) == "9980 条曲线的中位数、<br>中间一半"


def test_a_note_in_a_corner_is_broken_by_how_wide_it_is() -> None:
    """Chinese ones of fewer characters ran out of a phone's plot."""
    words = ["画出 10000 条曲线中的 241 条，其余以色带表示", "1180 个值超出范围"]
    (note,) = style.corner_note(words, at_top=False)
    assert note["text"] == "<br>".join(words)

"""What reaches the terminal: safe, within its width, readable."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.text import Text

from experiments.shell import screen, top
from experiments.shell.bar import Progress, ProgressLine
from experiments.shell.looking import progress, share_done
from experiments.shell.screen import Column

COLUMNS = [Column("ID"), Column("NAME", least=8), Column("VALUE", right=True, rank=2),
           Column("AGE", rank=1)]  # fmt: skip
ROWS = [("a1b2c3d4", "一个名字很长的实验", "0.123456", "3d 4h"), ("b", "short", "–", "5s")]


@pytest.mark.parametrize("width", [40, 30, 22, 80])
def test_a_table_keeps_to_its_width_and_leaves_out_what_matters_least(width):
    lines = screen.table(COLUMNS, ROWS, width).plain.split("\n")
    assert max(map(cell_len, lines)) <= width
    assert ("VALUE" in lines[0]) == (width > 30)
    assert all(line.startswith(("ID", "a1b2c3d4", "b ")) for line in lines)


def test_what_could_steer_a_terminal_is_written_out():
    evil = "a\x1b[31m\x9b2J\x7f\r\n\u202eb\ud800"
    told = "a\\x1b[31m\\x9b2J\\x7f\\x0d\\x0a\\u202eb\\ud800"
    assert screen.clean(evil) == told
    assert screen.clean_text("a\tb\n\x1bc") == "a\tb\n\\x1bc"
    assert screen.clean_log("\x1b[1;31mred\x1b[0m 50%\r60%\n\x1b]0;t\x07") == (
        "\x1b[1;31mred\x1b[0m 50%\r60%\n\\x1b]0;t\\x07"
    )
    assert screen.plain_log("\x1b[1mbold\x1b[0m\r\n\x1b[2J") == "bold\n\\x1b[2J"
    assert json.loads(screen.as_json({"x": evil[:-1]})) == {"x": evil[:-1]}
    assert not {"\x1b", "\x9b", "\u202e"} & set(screen.as_json({"x": evil[:-1]}))


def test_nothing_that_a_server_sends_steers_the_terminal(capsys):
    row = ("\x1b]0;x\x07id", Text("\x9b2J", style="bold"), "1", "5s")
    console = screen.console()
    console.print(screen.table(COLUMNS, [row], 80), soft_wrap=True)
    console.print("https://\x1b[31mhost/", soft_wrap=True)
    shown = capsys.readouterr().out
    assert "\\x1b]0;x" in shown
    assert not {"\x1b", "\x07", "\x9b"} & set(shown)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0s"), (59, "59s"), (65, "1m 5s"), (7260, "2h 1m"), (200_000, "2d 7h"), (None, "–")],
)
def test_durations(seconds, words):
    assert screen.duration(seconds) == words


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([], ""),
        ([None, float("nan")], ""),
        ([1.0, 1.0], "▅▅"),
        ([0.0, 0.5, 1.0], "▁▅█"),
        ([0.0, None, 1.0], "▁ █"),
        ([-1.7e308, 1.7e308], "▁█"),
        (list(map(float, range(100))), "▁▃▆█"),
    ],
)
def test_a_sparkline_shows_where_the_curve_is(values, line):
    assert screen.sparkline(values, 4) == line
    assert screen.sparkline(values, 4, ascii_only=True).isascii()


def test_the_line_of_best_values_is_even_in_trials():
    steps = top._steps([0, 50, 99], [0.1, 0.9, 0.9])
    assert steps == [0.1] * (len(steps) // 2) + [0.9] * (len(steps) // 2)
    assert top._steps([3], [0.5]) == [0.5] * len(steps)


def test_fields_wrap_beside_their_names():
    text = screen.fields([("name", "one two three four five six seven"), ("x", Text("y"))], 20)
    lines = text.plain.split("\n")
    assert max(map(len, lines)) <= 20
    assert lines[0].startswith("name  one")
    assert lines[1].startswith("      ")


PROGRESS = Progress(
    phase="RUNNING", n_finished=12, n_all=50, share=0.24, n_running=4, n_failed=2,
    n_stopped_early=3, best=0.97345, is_suspended=False,
    left={"low_s": 60.0, "high_s": 185.0, "ends_by": "trials"},
)  # fmt: skip


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 200])
def test_the_bar_is_one_line_of_any_width(columns):
    line = PROGRESS.drawn(columns)
    assert cell_len(line) <= columns
    assert line.startswith("RUNNING")
    assert ("best 0.97345" in line) == (columns >= 40)
    assert ("1m 0s – 3m 5s left" in line) == (columns >= 80)


def test_without_a_number_of_trials_the_bar_is_that_of_the_time():
    endless = replace(PROGRESS, n_all=None, share=0.5)
    assert endless.plain().startswith("RUNNING  12 trials  4 running")
    drawn = endless.drawn(200)
    assert "  12  " in drawn
    assert drawn.count("█") == drawn.count("░")
    counted = {"n_finished": 1, "max_trials": 4, "active_seconds": 9, "max_exec_seconds": None}
    assert (progress(counted), share_done(counted)) == ("1/4", 0.25)
    timed = {**counted, "max_trials": None, "max_exec_seconds": 18}
    assert (progress(timed), share_done(timed)) == ("1", 0.5)


def test_into_a_pipe_go_plain_lines():
    out = io.StringIO()
    line = ProgressLine(out)
    line.show(PROGRESS)
    line.show(PROGRESS)
    line.leave()
    assert out.getvalue() == (
        "RUNNING [#######.......................]  12/50 trials  4 running  2 failed  "
        "3 stopped early  best 0.97345\n"
    )

"""Each command on a data directory that nobody serves: answers, exit codes, bad input."""

from __future__ import annotations

import os
import shlex
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.cells import cell_len

from experiments.models import Experiment
from experiments.shell import language, main, taking, words
from experiments.states import Phase, TrialState

EVIL = "\x1b]0;gone\x07\x1b[2Jrm\u202egnp"


@pytest.fixture
def digits(make_experiment: Any, make_trial: Any) -> Experiment:
    """A running experiment with one trial of each kind that commands treat differently."""
    experiment = make_experiment(id="d1g1ts00", name="数字 digits", phase=Phase.RUNNING)
    start = datetime.now(UTC) - timedelta(minutes=3)
    times = {"started_at": start, "finished_at": start + timedelta(seconds=75)}
    good = make_trial(experiment, state=TrialState.SUCCEEDED, value=0.93, **times)
    make_trial(experiment, state=TrialState.FAILED, reason="exit code 1", **times)
    make_trial(experiment, state=TrialState.RUNNING, started_at=start, latest_value=0.5)
    experiment.best_trial = good
    experiment.save()
    return experiment


def test_ls_lists_what_there_is(shell, digits, make_experiment):
    assert [each["id"] for each in shell("ls", "--json").json] == ["d1g1ts00"]
    make_experiment(id="other000", name="other", phase=Phase.DONE)
    lines = shell("ls").out.splitlines()
    assert lines[0].split()[:4] == ["ID", "NAME", "PHASE", "TRIALS"]
    assert {line.split()[0] for line in lines[1:]} == {"d1g1ts00", "other000"}
    assert "0.93" in next(line for line in lines if "数字 digits" in line)
    assert [each["id"] for each in shell("ls", "--json", "--phase", "done").json] == ["other000"]
    assert shell("ls", "--json", "--limit", "1", "--order", "name").json[0]["name"] == "other"
    cut = shell("ls", "--limit", "1")
    assert "1 of 2 are shown" in cut.err
    assert cut.out.count("\n") == 2


def test_an_experiment_goes_by_id_name_or_the_beginning_of_its_id(shell, digits):
    for word in ("d1g1ts00", "数字 digits", "d1g"):
        assert shell("show", word, "--json").json["id"] == "d1g1ts00"


def test_what_fits_nothing_ends_with_5_and_what_fits_two_with_2(shell, digits, make_experiment):
    nothing = shell("show", "nowhere")
    assert (nothing.code, nothing.out) == (5, "")
    assert "No experiment has the id or the name 'nowhere'" in nothing.err
    make_experiment(id="d1g1ts99", name="twice")
    make_experiment(id="other000", name="twice")
    for word, ids in (("d1g1", ("d1g1ts00", "d1g1ts99")), ("twice", ("d1g1ts99", "other000"))):
        two = shell("show", word)
        assert two.code == 2
        assert all(each in two.err for each in ids)
    # an id goes before a name
    make_experiment(id="abc00000", name="d1g1ts00")
    assert shell("show", "d1g1ts00", "--json").json["id"] == "d1g1ts00"


def test_show_says_how_far_it_is(shell, digits):
    shown = dict(line.split("  ", 1) for line in shell("show", "d1g").out.splitlines())
    assert shown["phase"].strip() == "RUNNING"
    by_state = shown["trials"].strip().partition("  ")[2].split(", ")
    assert sorted(by_state) == ["1 FAILED", "1 RUNNING", "1 SUCCEEDED"]
    assert shown["best"].strip() == "0.93 (trial 0)  lr=0.01 units=32"


def test_trials_are_filtered_as_on_the_pages(shell, digits):
    table = shell("trials", "d1g").out.splitlines()
    assert [line.split()[:3] for line in table[1:]] == [
        ["*0", "SUCCEEDED", "0.93"], ["1", "FAILED", "–"], ["2", "RUNNING", "~0.5"],
    ]  # fmt: skip
    assert "1m 15s" in table[1]
    assert "exit code 1" in table[2]
    found = shell("trials", "d1g", "--json", "--where", "lr < 1 and state = FAILED").json
    assert [trial["number"] for trial in found] == [1]
    assert len(shell("trials", "d1g", "--json", "--state", "failed,running").json) == 2
    bad = shell("trials", "d1g", "--where", "speed < 1")
    assert bad.code == 2
    assert "No field, parameter or metric is named 'speed'" in bad.err


def test_best_prints_what_can_be_copied_and_4_where_there_is_none(shell, digits, make_experiment):
    assert shell("best", "d1g", "--json").json["parameters"] == {"lr": 0.01, "units": 32}
    assert shell("best", "d1g").out.startswith("0.93  (trial 0)\n{\n")
    make_experiment(id="other000", phase=Phase.ERROR)
    none = shell("best", "other000")
    assert none.code == 4
    assert "it is ERROR" in none.err


def test_decisions_are_rows_and_it_is_said_when_they_are_done(shell, digits):
    suspended = shell("suspend", "d1g")
    assert "is suspended" in suspended.out
    assert "No server runs: it will be done once ./autotune up does." in suspended.err
    digits.refresh_from_db()
    assert digits.suspended
    assert shell("resume", "d1g", "--json").json["suspended"] is False
    assert shell("set", "d1g", "maxTrialNum=80", "notes=a = b", "--json").json["notes"] == "a = b"
    assert shell("set", "d1g", "maxExecSeconds=none", "--json").json["max_exec_seconds"] is None
    (time,) = (line for line in shell("show", "d1g").out.split("\n") if line.startswith("time "))
    assert " / " not in time
    assert shell("stop", "d1g", "2", "--json").json[0]["stopping"] is True
    again = shell("retry", "d1g").out
    assert again == "Tried again as 3.\n"
    assert shell("retry", "d1g").out == "There is nothing to try again.\n"
    assert shell("finish", "d1g", "--json").json["finishing"] is True
    assert shell("rm", "d1g", "--json").json["deleted"] is True
    digits.refresh_from_db()
    assert (digits.max_trials, digits.deleting) == (80, True)
    assert shell("show", "d1g").code == 5


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("ls --limit=-1", 2, "must be a whole number from 0, but is '-1'"),
        ("ls --phase RUNING", 2, "Did you mean 'RUNNING'?"),
        ("ls --order speed", 2, "Is unknown: 'speed'"),
        ("ls extra", 2, "unrecognized arguments: extra"),
        ("show", 2, "required: ID"),
        ("show ''", 2, "is empty"),
        ("best d1g more", 2, "unrecognized arguments: more"),
        ("trials d1g --state LOSTT", 2, "Did you mean 'LOST'?"),
        ("logs d1g 99", 5, "has no trial 99"),
        ("logs d1g one", 2, "invalid number value: 'one'"),
        ("logs d1g 0 -f --json", 2, "leave -f out"),
        ("stop d1g", 2, "required: NUMBER"),
        ("stop d1g 0", 2, "Trial 0 has ended already (SUCCEEDED)"),
        ("stop d1g 7", 5, "has no trial 7"),
        ("retry d1g 0", 2, "only one that ended without success"),
        ("set d1g", 2, "required: NAME=VALUE"),
        ("set d1g maxTrialNum", 2, "Must be NAME=VALUE"),
        ("set d1g maxTrialNum=eighty", 2, "a whole number, or none, but is 'eighty'"),
        ("set d1g trialConcurrency=none", 2, "trialConcurrency must be a whole number, but is"),
        ("set d1g maxTrialNum=none maxExecSeconds=none", 2, "one of the two ends the experiment"),
        ("set d1g maxTrialNum=0", 2, "from 1 to 1000000, but got 0"),
        ("set d1g maxTrialNum=1 max_trials=2", 2, "maxTrialNum is given twice"),
        ("set d1g tuner=TPE", 2, "'tuner' cannot be set"),
        ("set d1g name=", 2, "name"),
        ("export d1g --format xls", 2, "invalid choice: 'xls'"),
        ("export d1g --json --format csv", 2, "cannot both be had"),
        ("export d1g -o /nowhere/at/all", 2, "/nowhere/at/all cannot be written"),
        ("open d1g", 2, "No server runs"),
        ("top nowhere", 5, "No experiment has the id or the name"),
        ("completion fish", 2, "invalid choice: 'fish'"),
        ("suspend nowhere", 5, "nowhere"),
        ("ls --url ftp://x --token t", 2, "must be http(s)://HOST[:PORT], but is 'ftp://x'"),
        ("ls --url http://x:99999 --token t", 2, "must be http(s)://HOST[:PORT]"),
        ("ls --url http://[x --token t", 2, "must be http(s)://HOST[:PORT]"),
        ("ls --url http://127.0.0.1:1", 2, "needs a token"),
        ("ls --url http://127.0.0.1:1 --token t", 1, "cannot be reached: Connection refused"),
        ("ls --token t", 2, "--token needs --url"),
    ],
)  # fmt: skip
def test_bad_input_is_named_with_its_exit_code(shell, digits, line, code, words):
    answer = shell(*shlex.split(line))
    assert answer.code == code, answer
    assert words in answer.err
    assert answer.out == ""
    assert "Traceback" not in answer.err


def test_nothing_that_a_manifest_or_a_trial_says_reaches_the_terminal_raw(
    shell, make_experiment, make_trial
):
    experiment = make_experiment(name=EVIL, phase=Phase.RUNNING, message=EVIL, notes=EVIL)
    trial = make_trial(
        experiment, state=TrialState.SUCCEEDED, value=1.0, reason=EVIL, parameters={EVIL: EVIL}
    )
    make_trial(experiment, state=TrialState.RUNNING, parameters={EVIL: [EVIL]})
    experiment.best_trial = trial
    experiment.save()
    lines = ("ls", "show {}", "trials {}", "best {}", "top", "ls --json", "best {} --json",
             "suspend {}", "show {}x", "rm {}")  # fmt: skip
    for line in lines:
        answer = shell(*(word.format(experiment.pk) for word in line.split()))
        told = answer.out + answer.err
        assert not {"\x1b", "\x07", "\u202e"} & set(told), line
    assert "\\x1b]0;gone\\x07" in shell("show", EVIL).err


def test_names_of_wide_characters_stand_in_line(shell, digits, make_experiment):
    make_experiment(id="plain000", name="plain")
    _headings, *lines = shell("ls").out.splitlines()
    phases = ("RUNNING", "PENDING")
    starts = [cell_len(line[: line.index(p)]) for line in lines for p in phases if p in line]
    assert len(starts) == 2
    assert len(set(starts)) == 1, lines


def test_the_list_of_commands_names_what_there_is():
    listed = words.summaries()
    django = {"up", "run", "validate", "convert", "import", "gpus", "manage", "test"}
    assert set(listed) == (set(main.COMMANDS) - {"complete-words"}) | django
    assert all(len(line) <= 80 for line in words.help_text().splitlines())


def test_errors_are_chinese_where_the_shell_is(shell, digits, make_experiment, monkeypatch):
    make_experiment(name="twins")
    make_experiment(name="twins")
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    cached = (language.code, language._catalogue)
    try:
        for each in cached:
            each.cache_clear()
        assert "没有 ID 或名称为“nosuch”的实验。" in shell("show", "nosuch").err
        assert "“twins”符合 2 个实验" in shell("show", "twins").err
        assert "maxTrialNum 必须是整数或 none" in shell("set", "d1g", "maxTrialNum=x").err
    finally:
        monkeypatch.undo()
        for each in cached:
            each.cache_clear()


def test_a_mistyped_command_is_guessed():
    said: list[str] = []
    assert main.unknown("trails", said.append) == 2
    assert said[0].startswith("Unknown command 'trails'. Did you mean 'trials'?\n")


@pytest.mark.parametrize("word", sorted(main.COMMANDS))
def test_every_command_explains_itself(shell, word):
    told = shell(word, "--help")
    assert told.code == 0
    assert told.out.startswith(f"usage: ./autotune {word}")
    assert "--json" in told.out


def test_completion_knows_commands_ids_names_numbers_and_values(shell, digits):
    def becomes(*typed: str) -> list[str]:
        return shell("complete-words", "--", *typed).out.split("\n")[:-1]

    assert becomes("st") == ["stop"]
    assert becomes("show", "") == ["d1g1ts00", "数字 digits"]
    assert becomes("show", "d") == ["d1g1ts00"]
    assert becomes("stop", "d1g1ts00", "") == ["2"]
    assert becomes("retry", "d1g1ts00", "") == ["1"]
    assert becomes("set", "d1g1ts00", "maxT") == ["maxTrialNum="]
    assert becomes("export", "d1g", "--format", "") == ["json", "csv", "yaml", "html"]
    assert "--where" in becomes("trials", "d1g", "--")
    assert becomes("run", "") == []
    assert becomes("nonsense", "") == []


def test_an_export_to_a_dash_is_the_standard_output(shell, digits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = shell("export", "d1g", "--format", "yaml", "-o", "-")
    assert found.code == 0
    assert found.out.startswith("experiment:\n  id: d1g1ts00\n")
    assert os.listdir(tmp_path) == []


def test_an_export_is_not_written_through_a_link_that_somebody_left(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("kept")
    (tmp_path / f".out.json.{os.getpid()}").symlink_to(victim)
    taking._write(tmp_path / "out.json", b"{}")
    assert victim.read_text() == "kept"
    assert (tmp_path / "out.json").read_bytes() == b"{}"
    assert sorted(os.listdir(tmp_path)) == ["out.json", "victim"]

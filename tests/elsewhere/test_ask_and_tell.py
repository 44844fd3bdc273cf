"""Programs elsewhere ask for trials and tell what came of them: each given once, each told once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from experiments.access.tokens import TrialClaim
from experiments.loop.reconcile import reconcile
from experiments.models import Experiment, Loan, Metric
from experiments.reports import rows
from experiments.reports.wire import Report
from experiments.services import actions
from experiments.states import Phase, TrialState
from experiments.trials import elsewhere
from tests.elsewhere.conftest import Program, manifest
from tests.web.rest import LIST, errors, post, trials_url, url

Make = Callable[..., Program]


def states(program: Program) -> list[str]:
    return list(program.experiment.trials.order_by("number").values_list("state", flat=True))


def test_a_whole_experiment_by_rest(program: Make, client: Client) -> None:
    app = program()
    for number in range(4):
        trial = app.take(f"wish {number}")
        assert (trial["number"], trial["attempt"], trial["state"]) == (number, 1, "RUNNING")
        told = app.tell(trial, value=float(number), metrics={"loss": "NaN"})
        assert told == {"number": number, "state": "SUCCEEDED", "used": True, "reason": ""}
    over = app.ask("another")
    assert (over["trials"], over["over"]) == ([], True)
    assert "DONE" in over["reason"]
    found = client.get(url(app.experiment)).json()
    assert (found["phase"], found["best"]["value"], found["n_trials"]) == ("DONE", 0.0, 4)
    assert found["best"]["metrics"] == {"default": 0.0, "loss": "NaN"}


def test_no_trial_is_proposed_before_anybody_asks(program: Make) -> None:
    app = program()
    reconcile(app.experiment.pk)
    reconcile(app.experiment.pk)
    assert states(app) == []
    app.take()
    assert states(app) == ["RUNNING"]


def test_a_wish_that_is_sent_again_gets_the_same_trials(program: Make) -> None:
    app = program(trialConcurrency=3)
    first = app.ask("mine", n=2)
    assert [trial["number"] for trial in first["trials"]] == [0, 1]
    assert app.ask("mine", n=2) == first
    app.tell(first["trials"][0], value=1)
    again = app.ask("mine", n=2)["trials"]
    assert [(t["number"], t["state"]) for t in again] == [(0, "SUCCEEDED"), (1, "RUNNING")]
    assert app.take("other")["number"] == 2


def test_limits_are_kept_and_named(program: Make) -> None:
    app = program(maxTrialNum=3)
    given = app.ask("a", n=5)
    assert len(given["trials"]) == 2
    assert app.ask("b")["reason"] == "2 trials run, and trialConcurrency is 2."
    app.tell(given["trials"][0], value=1)
    assert app.take("b")["number"] == 2
    app.tell(given["trials"][1], value=1)
    none = app.ask("c")
    assert (none["over"], none["reason"]) == (
        False, "All of maxTrialNum=3 trials were given out; 1 run yet."
    )  # fmt: skip


def test_a_suspended_experiment_says_so(program: Make) -> None:
    app = program()
    actions.suspend(app.experiment)
    assert app.ask("a")["reason"] == "The experiment is suspended."
    actions.resume(app.experiment)
    assert app.take("a")["number"] == 0, "the same wish, which was never answered"


def test_failures_alike_suspend_it_as_ever(program: Make) -> None:
    app = program()
    for key in "abc":
        told = app.tell(app.take(key), failed="ValueError: no data")
        assert (told["state"], told["reason"]) == ("FAILED", "ValueError: no data")
    words = app.ask("d")["reason"]
    assert words.startswith("The experiment is suspended. The first 3 trials failed alike"), words


def test_what_is_told_first_stands(program: Make) -> None:
    app = program()
    trial = app.take()
    first = app.tell(trial, value=0.5)
    assert app.tell(trial, value=0.5) == first
    refusal = app.tell(trial, 409, value=0.25)["errors"][0]["message"]
    assert "value 0.5" in refusal
    assert app.tell(trial, 409, failed="it broke")
    assert Metric.objects.filter(kind="FINAL").count() == 1
    assert app.experiment.trials.get().value == 0.5


@pytest.mark.parametrize("value", ["NaN", "-Infinity"])
def test_a_result_that_is_no_number_fails_the_trial(program: Make, value: str) -> None:
    app = program()
    told = app.tell(app.take(), value=value)
    assert (told["state"], told["reason"]) == (
        "FAILED", f"The final result is {value}, not a finite number."
    )  # fmt: skip


def be_silent(app: Program, seconds: int = 61) -> None:
    then = timezone.now() - timedelta(seconds=seconds)
    Loan.objects.filter(told__isnull=True).update(heard_at=then)
    reconcile(app.experiment.pk)


def test_silence_loses_a_trial_and_another_program_gets_it(program: Make) -> None:
    app = program()
    trial = app.take("a")
    be_silent(app, 59)
    assert states(app) == ["RUNNING"]
    be_silent(app)
    assert states(app) == ["WAITING"]
    again = app.take("b")
    assert (again["number"], again["attempt"]) == (0, 2)
    assert again["parameters"] == trial["parameters"]
    late = app.tell(trial, value=1)
    assert late["used"] is False
    assert "started the trial anew" in late["reason"]
    assert app.say("heartbeat", trial)["stop"] is True
    assert app.say("heartbeat", again)["stop"] is False
    assert app.tell(again, value=2)["used"]


def test_a_lost_trial_may_be_told_while_nobody_began_it_anew(program: Make) -> None:
    app = program()
    trial = app.take()
    be_silent(app)
    assert app.say("heartbeat", trial)["stop"] is False, "its work is of use yet"
    told = app.tell(trial, value=3)
    assert (told["number"], told["state"], told["used"]) == (0, "SUCCEEDED", True)
    assert app.tell(trial, value=3) == told
    assert states(app) == ["SUCCEEDED"]


def test_one_that_was_lost_for_good_is_told_as_its_retry(program: Make) -> None:
    app = program(maxTrialNum=1)
    lost = []
    for key in "abc":
        lost.append(app.take(key))
        be_silent(app)
    assert states(app) == ["LOST"]
    told = app.tell(lost[-1], value=3)
    assert (told["number"], told["state"], told["used"]) == (1, "SUCCEEDED", True)
    assert app.tell(lost[-1], value=3) == told
    reconcile(app.experiment.pk)
    app.experiment.refresh_from_db()
    assert app.experiment.phase == Phase.DONE
    assert actions.n_in_budget(app.experiment) == 1


def test_reports_are_a_sign_of_life(program: Make) -> None:
    app = program()
    app.take()
    trial = app.experiment.trials.get()
    Metric.objects.create(
        trial=trial, experiment=app.experiment, kind="PERIODICAL", sequence=0, value=1.0,
        time=timezone.now(), seq=1,
    )  # fmt: skip
    be_silent(app)
    assert states(app) == ["RUNNING"]


def test_the_time_in_which_nobody_could_hear_does_not_count(program: Make) -> None:
    app = program()
    app.take()
    Loan.objects.update(heard_at=timezone.now() - timedelta(hours=1))
    elsewhere.restart_silence()  # the server is back
    reconcile(app.experiment.pk)
    assert states(app) == ["RUNNING"]


def test_a_program_gives_its_trial_back(program: Make) -> None:
    app = program()
    trial = app.take("a")
    told = app.tell(trial, lost="Its process was killed.")
    assert (told["state"], told["used"]) == ("WAITING", False)
    assert app.tell(trial, lost="Its process was killed.")["used"] is False
    assert app.take("b")["attempt"] == 2


def test_a_program_may_stop_its_trial_early(program: Make) -> None:
    app = program()
    trial = app.take()
    found = app.experiment.trials.get()
    claim = TrialClaim(found.pk, found.key, 0, app.experiment.pk, attempt=1)
    rows.write([(claim, Report(found.key, "PERIODICAL", 0, 0.0, {"default": 0.25}))])
    told = app.tell(trial, stopped="no use")
    assert told == {"number": 0, "state": "EARLY_STOPPED", "used": True, "reason": "no use"}
    assert app.experiment.trials.get().value == 0.25


def test_a_killed_trial_ends_at_once_and_its_result_is_not_used(program: Make) -> None:
    app = program()
    trial = app.take()
    assert post(app.client, trials_url(app.experiment, "0/kill/")).status_code == 200
    heard = app.say("heartbeat", trial)
    assert (heard["stop"], heard["reason"]) == (True, "Killed by the user.")
    reconcile(app.experiment.pk)
    assert states(app) == [TrialState.CANCELED]
    told = app.tell(trial, value=1)
    assert (told["used"], told["state"]) == (False, "CANCELED")
    assert app.experiment.trials.get().value is None


def test_finishing_early_waits_for_nobody(program: Make) -> None:
    app = program()
    app.tell(app.take("a"), value=1)
    app.take("b")
    actions.finish(app.experiment)
    reconcile(app.experiment.pk)
    reconcile(app.experiment.pk)
    app.experiment.refresh_from_db()
    assert app.experiment.phase == Phase.DONE
    assert app.ask("c")["over"] is True


def test_a_pass_that_died_after_giving_a_trial_out_gives_it_to_no_other(
    program: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = program()
    monkeypatch.setattr("experiments.loop.starting._own_up", lambda trial, handle: False)
    trial = app.take("a")
    assert trial["state"] == "WAITING"
    monkeypatch.undo()
    reconcile(app.experiment.pk)
    assert app.ask("b")["trials"] == [] or app.ask("b")["trials"][0]["number"] == 1
    assert Loan.objects.filter(trial__number=0).count() == 1
    assert app.tell(trial, value=1)["state"] == "SUCCEEDED"


def test_a_trial_may_be_told_before_the_loop_says_that_it_runs(
    program: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = program()
    monkeypatch.setattr("experiments.loop.starting._own_up", lambda trial, handle: False)
    assert app.tell(app.take(), value=1)["state"] == "SUCCEEDED"
    assert states(app) == ["SUCCEEDED"]


def test_only_experiments_elsewhere_give_trials_out(
    client: Client, make_experiment: Callable[..., Experiment]
) -> None:
    answer = post(client, url(make_experiment(), "ask/"), {"key": "a"})
    assert answer.status_code == 409
    assert "spec.elsewhere" in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"value": 1, "failed": "x"}, "value"),
        ({}, "value"),
        ({"value": "many"}, "value"),
        ({"value": True}, "value"),
        ({"failed": "x", "metrics": {"a": 1}}, "metrics"),
        ({"value": 1, "metrics": {"default": 1}}, "metrics"),
        ({"value": 1, "metrics": {"a": "b"}}, "metrics.a"),
        ({"value": 1, "valeu": 2}, "valeu"),
        ({"value": 1, "attempt": 0}, "attempt"),
    ],
)
def test_bad_words_name_the_field(program: Make, body: dict[str, Any], path: str) -> None:
    app = program()
    trial = app.take()
    to = trials_url(app.experiment, f"{trial['number']}/tell/")
    answer = post(app.client, to, {"attempt": 1, **body})
    assert answer.status_code == 400
    assert path in errors(answer), answer.json()


def test_a_stranger_gets_no_trial(program: Make, stranger: Client) -> None:
    app = program()
    assert post(stranger, url(app.experiment, "ask/"), {"key": "a"}).status_code == 401


def test_a_creation_that_is_sent_again_makes_one(client: Client, alice: Any) -> None:
    key = {"HTTP_IDEMPOTENCY_KEY": "study 1"}
    first = post(client, LIST, manifest(), **key)
    again = post(client, LIST, manifest(), **key)
    assert first.json()["id"] == again.json()["id"]
    assert post(client, LIST, manifest()).json()["id"] != first.json()["id"]
    assert Experiment.objects.count() == 2


def test_who_may_run_no_commands_here_may_run_them_elsewhere(
    client: Client, settings: Any, looking: None
) -> None:
    settings.LOCAL_TRIALS = False
    assert post(client, LIST, base_local()).status_code == 403
    assert post(client, LIST, manifest()).status_code == 201


def base_local() -> dict[str, Any]:
    whole = manifest(elsewhere=None)
    whole["spec"]["trainingConfig"] = {
        "type": "pytorch",
        "tasks": [{"type": "worker", "template": {"spec": {"containers": [{"command": ["x"]}]}}}],
    }
    return whole


def test_its_pages_say_that_trials_run_elsewhere(program: Make, client: Client) -> None:
    app = program()
    app.take()
    words = "Trials run elsewhere: programs ask for them"
    shown = client.get(f"/experiments/{app.experiment.pk}/").content.decode()
    assert words in shown
    report = client.get(url(app.experiment, "export/"), {"format": "html"}).content.decode()
    assert words in report
    trial = client.get(f"/experiments/{app.experiment.pk}/trials/0/")
    assert trial.status_code == 200
    job = client.get(trials_url(app.experiment, "0/job/"))
    assert job.status_code == 409
    assert "Nothing is started for it" in job.json()["errors"][0]["message"]
    assert "elsewhere: {}" in client.get(url(app.experiment, "manifest/")).content.decode()
    clone = post(client, url(app.experiment, "clone/"))
    assert clone.status_code == 201

"""Made-up experiments: legal in every row, the same for the same seed, and the loop takes them."""

from __future__ import annotations

import itertools
import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models import Count, Max
from django.test import Client

from experiments.engine.plan import plan
from experiments.loop import reconcile
from experiments.models import Curve, Event, Experiment, Metric
from experiments.problems import ProblemsError
from experiments.selectors.export import export
from experiments.services.generated.rows import generate
from experiments.services.generated.wish import SPACES, Wish
from experiments.states import FINISHED, MOVES, EventKind, Phase, TrialState
from experiments.trials.changes import update_best

pytestmark = [pytest.mark.django_db, pytest.mark.long]

MIXTURE: dict[str, Any] = {
    "trials": 120, "points": 9, "metrics": 6, "failed": 0.1, "diverged": 0.05, "stopped": 0.2,
    "lost": 0.05, "canceled": 0.05, "excluded": 0.05, "retried": 0.5,
}  # fmt: skip


@pytest.mark.parametrize("space", SPACES)
def test_every_row_is_as_the_loop_leaves_it(space: str) -> None:
    made = generate(Wish(space=space, name="实验 <b>&", **MIXTURE))
    trials = list(made.trials.order_by("number"))
    assert [t.number for t in trials] == list(range(120))
    states = [t.state for t in trials]
    for state, n in (("FAILED", 18), ("EARLY_STOPPED", 24), ("LOST", 6), ("CANCELED", 6)):
        assert states.count(state) == n, state
    spec = made.spec
    for trial in trials:
        assert spec.space.contains(trial.parameters) == []
        events = Event.objects.filter(trial=trial, what=EventKind.STATE).order_by("seq")
        moves = [(event.from_state, event.to_state) for event in events]
        assert moves[0] == ("", TrialState.WAITING)
        assert moves[-1][1] == trial.state
        for (_, to), (old, new) in itertools.pairwise(moves):
            assert to == old
            assert new in MOVES[TrialState(old)]
        rows = Metric.objects.filter(trial=trial, kind="PERIODICAL", name="default")
        assert rows.count() == trial.n_reports
        assert rows.aggregate(n=Max("sequence"))["n"] == trial.latest_sequence
        assert trial.has_final == Metric.objects.filter(trial=trial, kind="FINAL").exists()
        stopped = trial.state == TrialState.EARLY_STOPPED
        assert (trial.value is not None) == (trial.state == TrialState.SUCCEEDED or stopped)
        assert not stopped or trial.value == trial.latest_value
        seqs = Event.objects.filter(trial=trial).aggregate(n=Max("seq"))["n"]
        assert trial.seq >= seqs
        assert trial.created_at < trial.started_at < trial.finished_at <= made.finished_at
    for again in made.trials.exclude(retry_of=None).select_related("retry_of"):
        assert again.retry_of.retried
        assert again.parameters == again.retry_of.parameters
        assert again.retry_of.finished_at < again.created_at


def test_numbers_are_given_once_and_in_order_of_time() -> None:
    made = generate(Wish(**MIXTURE))
    events = list(made.events.order_by("seq").values_list("seq", "time"))
    reports = Metric.objects.filter(experiment=made).order_by("seq")
    seqs = [seq for seq, _ in events] + sorted(set(reports.values_list("seq", flat=True)))
    assert sorted(seqs) == list(range(1, made.last_seq + 1))
    assert [time for _, time in events] == sorted(time for _, time in events)
    doubled = reports.values("seq", "name").annotate(n=Count("id")).filter(n__gt=1)
    assert not doubled.exists()


def test_the_best_is_the_one_that_the_loop_would_name() -> None:
    for minimize in (False, True):
        made = generate(Wish(minimize=minimize, **MIXTURE))
        named = made.best_trial_id
        assert named is not None
        Experiment.objects.filter(pk=made.pk).update(best_trial=None)
        made.refresh_from_db()
        update_best(made)
        assert made.best_trial_id == named


def facts(experiment: Experiment) -> list[Any]:
    trials = experiment.trials.order_by("number")
    reports = Metric.objects.filter(experiment=experiment).order_by("seq", "name")
    return [
        list(trials.values_list("number", "state", "parameters", "value", "metrics", "seq")),
        list(reports.values_list("trial__number", "sequence", "name", "value", "nonfinite", "seq")),
        list(experiment.events.order_by("seq").values_list("seq", "what", "reason")),
    ]


def test_the_same_seed_makes_the_same_experiment() -> None:
    wish = Wish(space="nested", **MIXTURE)
    assert facts(generate(wish)) == facts(generate(wish))
    assert facts(generate(wish)) != facts(generate(Wish(space="nested", seed=1, **MIXTURE)))


def test_a_finished_one_leaves_the_loop_nothing_to_do() -> None:
    for phase in ("done", "timeout", "error"):
        made = generate(Wish(phase=phase, **MIXTURE))
        before = made.last_seq
        reconcile.reconcile(made.pk)
        made.refresh_from_db()
        assert (made.phase.lower(), made.last_seq) == (phase, before)


def test_a_running_one_goes_on(no_broker: list[str]) -> None:
    made = generate(Wish(trials=30, phase="running", running=3, concurrency=4))
    assert made.clock_at is not None
    found = plan(reconcile.snapshot(made))
    assert (found.finish, found.ask) == ("", 1)
    running = made.trials.exclude(state__in=FINISHED)
    assert [t.number for t in running.order_by("number")] == [27, 28, 29]
    reconcile._fold(made)  # nothing of it runs here
    assert set(made.trials.filter(number__gte=27).values_list("state", flat=True)) == {"WAITING"}


def test_a_suspended_one_waits() -> None:
    made = generate(Wish(trials=10, phase="suspended"))
    assert (made.phase, made.suspended, made.clock_at) == (Phase.RUNNING, True, None)
    assert not plan(reconcile.snapshot(made)).ask


def test_pages_and_files_take_it(client: Client) -> None:
    made = generate(Wish(space="odd", name="实验 <b>&", **MIXTURE))
    page = client.get(f"/experiments/{made.pk}/")
    assert page.status_code == 200
    assert b"<b>&</" not in page.content
    assert client.get(f"/experiments/{made.pk}/trials/3/").status_code == 200
    for kind in ("history", "curves", "parcoords", "duration"):
        answer = client.get(f"/api/v1/experiments/{made.pk}/charts/{kind}/")
        assert answer.json()["data"], kind
    found = json.loads(export(made, "json"))
    assert len(found["trials"]) == 120
    large = {trial["parameters"]["large"] for trial in found["trials"]}
    assert large == {2**53, 2**53 - 1, 2**53 - 2, 7}
    assert export(made, "csv").count(b"\n") >= 121


def test_ended_trials_have_their_curves_kept() -> None:
    made = generate(Wish(**MIXTURE))
    reported = made.trials.filter(n_reports__gt=0).count()
    assert Curve.objects.filter(experiment=made, name="default").count() == reported


@pytest.mark.parametrize("trials", [0, 1])
def test_the_smallest_ones(trials: int) -> None:
    made = generate(Wish(trials=trials, points=0, stopped=0.0))
    assert made.trials.count() == trials
    assert (
        Metric.objects.filter(experiment=made).count()
        == made.trials.filter(state=TrialState.SUCCEEDED).count()
    )


def test_where_it_breaks_off_nothing_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Any) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("experiments.services.generated.rows.curves.keep", full)
    with pytest.raises(OSError, match="full"):
        generate(Wish(trials=5))
    assert not Experiment.objects.exists()
    assert not Metric.objects.exists()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"trials": -1}, "trials must be a whole number from 0 to 1000000, but got -1."),
        ({"failed": 1.5}, "failed must be a share from 0 to 1, but got 1.5."),
        ({"failed": float("nan")}, "failed must be a share from 0 to 1, but got nan."),
        ({"failed": 0.6, "stopped": 0.6}, "must be at most 1 together, but are 1.2."),
        ({"points": 0}, "stopped must be 0 where no points are reported, but got 0.2."),
        ({"running": 3}, "running must be 0 where the phase is done, but got 3."),
        ({"running": 9, "phase": "running"}, "running must be at most concurrency (8), but got 9."),
        ({"space": "flatt"}, "Did you mean 'flat'?"),
        ({"name": "x" * 64}, "name must have 1 to 63 characters"),
        ({"trials": 10**6, "points": 10**6}, "must be at most 100000000, but is 1000000000000."),
    ],
)
def test_what_makes_no_sense_is_said(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ProblemsError) as caught:
        generate(Wish(**wrong))
    said = " ".join(f"{p.path} {p.message} {p.hint}" for p in caught.value.problems)
    assert words in said
    assert not Experiment.objects.exists()


def test_the_command_makes_several_and_tells_their_ids() -> None:
    out = StringIO()
    call_command(
        "generate", "--experiments", "3", "--trials", "4", "--project", "shots", stdout=out
    )
    made = list(Experiment.objects.order_by("created_at"))
    assert out.getvalue().split() == [e.pk for e in made]
    assert [(e.name, e.project.name) for e in made] == [
        (f"generated-{i}", "shots") for i in range(3)
    ]
    assert len({str(facts(e)) for e in made}) == 3


def test_the_command_names_the_option_that_is_wrong() -> None:
    with pytest.raises(CommandError, match=r"--failed must be a share from 0 to 1, but got 2\."):
        call_command("generate", "--failed", "2")
    with pytest.raises(CommandError, match=r"--project must be 1 to 63 letters"):
        call_command("generate", "--project", "a b")

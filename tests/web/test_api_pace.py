"""REST's forecast of the end: what rows make of it, and who may ask."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from experiments.models import Experiment, Metric, Trial
from experiments.states import Phase, TrialState


@pytest.fixture
def at_work(
    make_experiment: Callable[..., Experiment], make_trial: Callable[..., Trial]
) -> Experiment:
    """Ten trials of which four succeeded in 100 s each, one stopped after 30 s, one runs for 60."""
    now = timezone.now()
    experiment = make_experiment(
        phase=Phase.RUNNING, max_trials=10, concurrency=1, max_exec_seconds=100_000
    )
    ended = [(TrialState.SUCCEEDED, 100)] * 4 + [(TrialState.EARLY_STOPPED, 30)]
    for state, seconds in ended:
        start = now - timedelta(seconds=500)
        end = start + timedelta(seconds=seconds)
        trial = make_trial(experiment, state=state, started_at=start, finished_at=end)
        Trial.objects.filter(pk=trial.pk).update(created_at=start)
    start = now - timedelta(seconds=60)
    trial = make_trial(experiment, state=TrialState.RUNNING, started_at=start)
    Trial.objects.filter(pk=trial.pk).update(created_at=start)
    return experiment


def pace(client: Client, experiment: Experiment) -> Any:
    answer = client.get(f"/api/v1/experiments/{experiment.pk}/pace/")
    assert answer.status_code == 200
    return answer.json()


def test_it_tells_the_end_the_cost_and_what_was_saved(client: Client, at_work: Experiment) -> None:
    told = pace(client, at_work)
    # 40 s of the running one, and four of 86 s on average
    assert told["left"]["low_s"] < 40 + 4 * 86 < told["left"]["high_s"]
    assert told["left"]["ends_by"] == "trials"
    assert told["trial_seconds"] == pytest.approx(4 * 100 + 30 + 60, abs=30)  # of the clock
    assert (told["gpus_per_trial"], told["gpu_seconds"]) == (0, None)
    assert (told["stopped_early"], told["saved_seconds"]) == (1, 70)
    assert (told["saved_reports"], told["let_finish"]) == (0, None)


def test_it_tells_the_reports_that_were_saved(client: Client, at_work: Experiment) -> None:
    succeeded = at_work.trials.filter(state=TrialState.SUCCEEDED)
    succeeded.update(n_reports=20)
    stopped = at_work.trials.get(state=TrialState.EARLY_STOPPED)
    at_work.trials.filter(pk=stopped.pk).update(n_reports=6)
    assert stopped.finished_at is not None
    first = stopped.finished_at - timedelta(seconds=10)
    Metric.objects.create(
        experiment=at_work,
        trial=stopped,
        kind="PERIODICAL",
        sequence=0,
        seq=1,
        name="default",
        value=0.1,
        time=first,
    )
    told = pace(client, at_work)
    assert (told["saved_reports"], told["saved_seconds"]) == (14, 14 * 2)  # it reports every 2 s


def test_the_time_limit_is_told_where_it_comes_first(client: Client, at_work: Experiment) -> None:
    Experiment.objects.filter(pk=at_work.pk).update(max_exec_seconds=200, active_seconds=150)
    assert pace(client, at_work)["left"] == {"low_s": 50, "high_s": 50, "ends_by": "time"}


def test_without_a_number_of_trials_it_ends_when_the_time_is_up(
    client: Client, at_work: Experiment
) -> None:
    limits = {"max_trials": None, "max_exec_seconds": 90_000, "active_seconds": 150}
    Experiment.objects.filter(pk=at_work.pk).update(**limits)
    assert pace(client, at_work)["left"] == {"low_s": 89850, "high_s": 89850, "ends_by": "time"}


def test_without_a_time_limit_it_ends_by_its_trials(client: Client, at_work: Experiment) -> None:
    Experiment.objects.filter(pk=at_work.pk).update(max_exec_seconds=None, active_seconds=1e8)
    assert pace(client, at_work)["left"]["ends_by"] == "trials"


@pytest.mark.parametrize(
    "columns",
    [{"suspended": True}, {"finish_requested": True}, {"phase": Phase.DONE}],
    ids=lambda columns: next(iter(columns)),
)
def test_nothing_is_left_of_what_does_not_go_on(
    client: Client, at_work: Experiment, columns: dict[str, Any]
) -> None:
    Experiment.objects.filter(pk=at_work.pk).update(**columns)
    assert pace(client, at_work)["left"] is None


def test_a_tuner_with_nothing_left_makes_no_more_trials(
    client: Client, at_work: Experiment
) -> None:
    Experiment.objects.filter(pk=at_work.pk).update(exhausted=True)
    assert pace(client, at_work)["left"]["high_s"] <= 40.5


def test_gpus_are_counted_over_all_replicas(client: Client, at_work: Experiment) -> None:
    task = at_work.manifest["spec"]["trainingConfig"]["tasks"][0]
    task["replicas"] = 2
    container = task["template"]["spec"]["containers"][0]
    container["resources"] = {"limits": {"nvidia.com/gpu": 2}}
    at_work.save(update_fields=["manifest"])
    told = pace(client, at_work)
    assert told["gpus_per_trial"] == 4
    assert told["gpu_seconds"] == pytest.approx(4 * told["trial_seconds"], abs=1)


def test_an_experiment_without_trials_has_cost_nothing(
    client: Client, make_experiment: Callable[..., Experiment]
) -> None:
    told = pace(client, make_experiment())
    assert told == {
        "left": None, "trial_seconds": 0, "gpus_per_trial": 0, "gpu_seconds": None,
        "stopped_early": 0, "saved_seconds": None, "saved_reports": None, "let_finish": None,
    }  # fmt: skip


def test_an_unknown_one_is_not_found(client: Client) -> None:
    assert client.get("/api/v1/experiments/nothing1/pace/").status_code == 404

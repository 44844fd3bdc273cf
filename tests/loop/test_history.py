"""History as algorithms see it: ended trials' curves are read once, and late reports stay out."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from experiments.loop import history
from experiments.models import Metric, Trial
from experiments.states import TrialState


@pytest.fixture(autouse=True)
def fresh():
    history.forget()


def add_point(trial: Trial, sequence: int, value: float | None, after_s: float = 0.0) -> None:
    Metric.objects.create(
        trial=trial,
        experiment=trial.experiment,
        kind=Metric.Kind.PERIODICAL,
        sequence=sequence,
        value=value,
        nonfinite="" if value is not None else "NaN",
        time=timezone.now() + timedelta(seconds=after_s),
        seq=trial.experiment.next_seq(),
    )
    Trial.objects.filter(pk=trial.pk).update(n_reports=sequence + 1)


def curve_of(experiment, number: int = 0):
    return history.trials_so_far(experiment)[number].curve


def test_a_running_trial_s_curve_grows_and_holds_finite_values_only(make_experiment, make_trial):
    experiment = make_experiment()
    trial = make_trial(experiment, state=TrialState.RUNNING)
    assert curve_of(experiment) == ()
    add_point(trial, 0, 0.5)
    add_point(trial, 1, None)
    assert curve_of(experiment) == ((0, 0.5),)
    add_point(trial, 2, 0.7)
    assert curve_of(experiment) == ((0, 0.5), (2, 0.7))


def test_what_comes_after_the_end_is_no_part_of_history_in_any_process(make_experiment, make_trial):
    experiment = make_experiment()
    trial = make_trial(experiment, state=TrialState.RUNNING)
    add_point(trial, 0, 0.5)
    trial.move(TrialState.CANCELED, finished_at=timezone.now())
    assert curve_of(experiment) == ((0, 0.5),)
    add_point(trial, 1, 0.9, after_s=60)
    assert curve_of(experiment) == ((0, 0.5),)
    history.forget()  # another process would read it anew
    assert curve_of(experiment) == ((0, 0.5),)


def test_finished_curves_cost_one_query_once(
    make_experiment, make_trial, django_assert_num_queries
):
    experiment = make_experiment()
    for _ in range(3):
        trial = make_trial(experiment, state=TrialState.RUNNING)
        add_point(trial, 0, 0.5)
        trial.move(TrialState.SUCCEEDED, finished_at=timezone.now() + timedelta(seconds=1))
    with django_assert_num_queries(2):
        first = history.trials_so_far(experiment)
    with django_assert_num_queries(1):
        assert history.trials_so_far(experiment) == first

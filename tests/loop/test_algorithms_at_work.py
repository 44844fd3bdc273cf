"""Tuners and assessors as the loop asks them: verdicts, exhaustion, what they cannot compute."""

from __future__ import annotations

import sys

import pytest

from experiments.algorithms.assessors.medianstop import MedianstopAssessor
from experiments.algorithms.tuners.random import RandomTuner
from experiments.engine import session
from experiments.models import Experiment, Trial
from experiments.selectors import chart_data
from experiments.selectors.let_finish import let_finish_json
from experiments.services import repeats
from experiments.states import Phase, TrialState
from tests.loop.passes import look, report_curve, states, succeed


def test_a_trial_worse_than_the_median_is_stopped_with_a_receipt(make_experiment, backend):
    experiment = make_experiment(
        {
            "maxTrialNum": 10,
            "trialConcurrency": 1,
            "assessor": {
                "builtinAssessorName": "Medianstop",
                "classArgs": {"optimize_mode": "maximize", "start_step": 1},
            },
        }
    )
    for value in (0.9, 0.8, 0.7, 0.85, 0.75):
        look(experiment)
        trial = experiment.trials.get(state=TrialState.RUNNING)
        report_curve(trial, [value / 2, value, value])
        succeed(backend, trial, value)
    look(experiment)
    bad = experiment.trials.get(state=TrialState.RUNNING)
    report_curve(bad, [0.1, 0.1, 0.1])
    look(experiment)
    look(experiment)
    bad.refresh_from_db()
    assert bad.state == TrialState.EARLY_STOPPED
    assert bad.value == 0.1, "its last intermediate value is its result"
    assert "median" in bad.reason
    receipt = experiment.events.get(what="stopping")
    assert receipt.data, "the numbers of the decision are kept"


def test_a_repeat_is_never_stopped_early(make_experiment, backend):
    """It is to tell what its parameters give in the end."""
    experiment = make_experiment(
        {
            "maxTrialNum": 3,
            "trialConcurrency": 1,
            "assessor": {
                "builtinAssessorName": "Medianstop",
                "classArgs": {"optimize_mode": "maximize"},
            },
        }
    )
    for value in (0.9, 0.8, 0.7):
        look(experiment)
        trial = experiment.trials.get(state=TrialState.RUNNING)
        report_curve(trial, [value / 2, value])
        succeed(backend, trial, value)
    look(experiment)
    (again,) = repeats.repeat(experiment, [trial.pk], times=1)
    look(experiment)
    again.refresh_from_db()
    assert (again.state, again.parameters) == (TrialState.RUNNING, trial.parameters)
    report_curve(again, [0.01, 0.01])
    look(experiment)
    again.refresh_from_db()
    assert (again.state, again.stop_as) == (TrialState.RUNNING, "")
    succeed(backend, again, 0.65)
    look(experiment)
    experiment.refresh_from_db()
    assert experiment.phase == Phase.DONE, "the repeat took the budget's last place"


def test_one_in_so_many_is_let_run_on_and_judged_no_more(make_experiment, backend):
    experiment = make_experiment(
        {
            "maxTrialNum": 20,
            "trialConcurrency": 1,
            "assessor": {
                "builtinAssessorName": "Medianstop",
                "classArgs": {"optimize_mode": "maximize", "let_finish": 1},
            },
        }
    )
    for value in (0.9, 0.8, 0.7):
        look(experiment)
        trial = experiment.trials.get(state=TrialState.RUNNING)
        report_curve(trial, [value / 2, value])
        succeed(backend, trial, value)
    for final in (0.1, 0.95):  # the second one proves the assessor wrong
        look(experiment)
        slow = experiment.trials.get(state=TrialState.RUNNING)
        report_curve(slow, [0.1])
        look(experiment)
        report_curve(slow, [0.1, 0.1])
        look(experiment)
        slow.refresh_from_db()
        assert (slow.state, slow.stop_as, slow.judged_sequence) == ("RUNNING", "", 1)
        mark = experiment.events.get(what="let finish", trial=slow)  # once, at its first report
        assert mark.data["step"] == 0
        assert mark.data["median_value"] == 0.4
        assert "median" in mark.reason
        succeed(backend, slow, final)
    look(experiment)
    assert not experiment.events.filter(what="stopping").exists()
    told = let_finish_json(experiment)
    assert told == {"trials": [3, 4], "ended": 2, "wrong": [4]}
    # Who failed after its result proves nothing, nor does one that still runs.
    experiment.trials.filter(number=3).update(state=TrialState.FAILED)
    assert let_finish_json(experiment) == {"trials": [3, 4], "ended": 1, "wrong": [4]}
    figure = chart_data.figure(experiment, "curves", {"trial": "3"})
    assert "threshold" in [trace["uid"] for trace in figure["data"]]


def test_who_is_let_run_on_is_drawn_once_for_all(make_experiment):
    assessor = {"builtinAssessorName": "Medianstop", "classArgs": {"let_finish": 10}}
    spec = make_experiment({"assessor": assessor}).spec
    drawn = [number for number in range(1000) if session.lets_finish(spec, number, 7)]
    assert 60 < len(drawn) < 140
    assert drawn == [number for number in range(1000) if session.lets_finish(spec, number, 7)]
    assert drawn != [number for number in range(1000) if session.lets_finish(spec, number, 8)]
    never = make_experiment({"assessor": {"builtinAssessorName": "Medianstop"}}).spec
    assert not any(session.lets_finish(never, number, 7) for number in range(100))


def test_a_good_trial_is_judged_once_per_report_and_goes_on(make_experiment, backend):
    experiment = make_experiment(
        {
            "maxTrialNum": 10,
            "trialConcurrency": 1,
            "assessor": {"builtinAssessorName": "Medianstop", "classArgs": {"start_step": 1}},
        }
    )
    look(experiment)
    trial = experiment.trials.get()
    report_curve(trial, [0.1, 0.2])
    look(experiment)
    trial.refresh_from_db()
    assert (trial.state, trial.judged_sequence) == ("RUNNING", 1)


def test_an_exhausted_grid_ends_the_experiment_before_its_limit(make_experiment, backend):
    experiment = make_experiment(
        {
            "maxTrialNum": 99,
            "searchSpace": {"units": {"_type": "choice", "_value": [1, 2, 3]}},
            "tuner": {"builtinTunerName": "GridSearch"},
        },
        max_trials=99,
    )
    for _ in range(20):
        if look(experiment).phase == Phase.DONE:
            break
        for trial in experiment.trials.filter(state=TrialState.RUNNING):
            succeed(backend, trial, 1.0)
    assert experiment.trials.count() == 3
    assert Experiment.objects.get().exhausted


def test_an_exception_in_a_tuner_ends_that_experiment_with_its_traceback(
    experiment, backend, monkeypatch
):
    def broken(self: RandomTuner, history: object, count: int) -> None:
        raise KeyError("of all things")

    monkeypatch.setattr(RandomTuner, "propose", broken)
    stored = look(experiment)
    assert stored.phase == Phase.ERROR
    assert "of all things" in stored.message
    assert "Traceback" in stored.error_detail


def test_a_tuner_that_cannot_compute_goes_on_at_random_and_the_trials_say_so(
    experiment, backend, monkeypatch
):
    def overflowing(self: RandomTuner, history: object, count: int) -> None:
        raise OverflowError("math range error")

    monkeypatch.setattr(RandomTuner, "propose", overflowing)
    stored = look(experiment)
    assert (stored.phase, states(experiment)) == (Phase.RUNNING, ["RUNNING"] * 2)
    first, second = experiment.trials.order_by("number")
    assert first.parameters != second.parameters
    assert (first.origin, second.origin) == ("random", "random")
    said = [event.reason for event in experiment.events.filter(to_state="WAITING")]
    words = "the tuner Random could not compute (OverflowError: math range error)."
    assert said == [f"Drawn at random: {words}"] * 2


def test_an_assessor_that_cannot_compute_judges_nobody_and_says_so_once_a_trial(
    make_experiment, backend, monkeypatch
):
    def overflowing(self: object, trial: object, others: object) -> None:
        raise OverflowError("intermediate overflow in fsum")

    monkeypatch.setattr(MedianstopAssessor, "assess", overflowing)
    experiment = make_experiment({"assessor": {"builtinAssessorName": "Medianstop"}})
    look(experiment)
    trial = Trial.objects.get(number=0)
    report_curve(trial, [0.5, 0.4])
    assert look(experiment).phase == Phase.RUNNING
    report_curve(Trial.objects.get(number=1), [0.5])
    assert look(experiment).phase == Phase.RUNNING
    assert states(experiment) == ["RUNNING"] * 2
    said = experiment.events.filter(what="not judged")
    assert [event.trial.number for event in said] == [0, 1]
    assert "could not compute (OverflowError: intermediate overflow in fsum)" in said[0].reason
    trial.refresh_from_db()
    assert trial.judged_sequence == 1  # the reports are not judged again for ever


@pytest.mark.parametrize("assessor", ["Medianstop", "Curvefitting"])
@pytest.mark.parametrize("mode", ["maximize", "minimize"])
def test_the_largest_number_there_is_ends_no_experiment(make_experiment, backend, assessor, mode):
    arguments = {"optimize_mode": mode}
    if assessor == "Curvefitting":
        arguments |= {"epoch_num": 8, "start_step": 3}
    experiment = make_experiment(
        {"assessor": {"builtinAssessorName": assessor, "classArgs": arguments}}, max_trials=12
    )
    for number in range(8):
        look(experiment)
        trial = Trial.objects.get(number=number)
        values = [sys.float_info.max, -sys.float_info.max, 5e-324, 0.5]
        report_curve(trial, [values[(number + i) % 4] for i in range(6)] + [values[number % 4]] * 2)
        assert look(experiment).phase == Phase.RUNNING
        succeed(backend, Trial.objects.get(number=number), values[number % 4])
    assert look(experiment).phase == Phase.RUNNING

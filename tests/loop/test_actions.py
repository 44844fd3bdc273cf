"""What a person can do: allowed when it makes sense, refused with words when it does not."""

from __future__ import annotations

import pytest

from experiments.manifest.spec import parse_manifest
from experiments.models import Experiment, Trial
from experiments.problems import ProblemsError
from experiments.services import actions
from experiments.services.actions import Refused
from experiments.states import Phase, TrialState
from experiments.trials import changes
from tests.conftest import MANIFEST


def test_a_new_experiment_waits_for_the_loop_with_its_limits_as_columns(db, no_broker):
    experiment = actions.create_experiment(parse_manifest(MANIFEST))
    stored = Experiment.objects.get()
    assert (stored.phase, stored.max_trials, stored.concurrency) == (Phase.PENDING, 4, 2)
    assert stored.max_exec_seconds == 600
    assert stored.optimize_mode == "maximize"
    assert [event.what for event in experiment.events.all()] == ["created"]
    assert parse_manifest(stored.manifest).spec == parse_manifest(MANIFEST).spec


@pytest.mark.parametrize("value", [0, -1, 2**63, True, "5", 1.5])
def test_a_limit_must_be_a_whole_number_in_range(make_experiment, value):
    experiment = make_experiment()
    with pytest.raises(ProblemsError) as caught:
        actions.change_limits(experiment, {"max_trials": value, "concurrency": 1})
    assert [problem.path for problem in caught.value.problems] == ["max_trials"]
    assert repr(value) in str(caught.value)
    assert Experiment.objects.get().concurrency == 2, "nothing of it was written"


def test_long_notes_are_quoted_in_part(make_experiment):
    experiment = make_experiment(notes="x" * 5000)
    with pytest.raises(Refused, match="by now, not 'mine'") as caught:
        actions.edit(experiment, {"notes": "theirs"}, expected={"notes": "mine"})
    assert len(str(caught.value)) < 250


def test_of_two_people_who_edit_a_limit_the_second_is_told(make_experiment):
    experiment = make_experiment()
    mine, theirs = Experiment.objects.get(), Experiment.objects.get()
    actions.edit(mine, {"max_trials": 10}, expected={"max_trials": 4})
    with pytest.raises(Refused, match=r"max_trials is 10 by now, not 4: somebody else changed it"):
        actions.edit(theirs, {"max_trials": 6, "notes": "mine"}, expected={"max_trials": 4})
    experiment.refresh_from_db()
    assert experiment.max_trials == 10
    # another limit than the one that changed is nobody's quarrel
    actions.edit(theirs, {"concurrency": 3}, expected={"concurrency": 2})
    assert Experiment.objects.get().concurrency == 3


def test_raising_the_trial_limit_makes_a_done_experiment_run_again(make_experiment, make_trial):
    experiment = make_experiment(phase=Phase.DONE, max_trials=1)
    make_trial(experiment, state=TrialState.SUCCEEDED, value=1.0)
    actions.change_limits(experiment, {"max_trials": 2})
    stored = Experiment.objects.get()
    assert stored.phase == Phase.RUNNING
    assert stored.clock_at is not None


def test_lowering_a_limit_or_raising_the_wrong_one_does_not(make_experiment, make_trial):
    experiment = make_experiment(phase=Phase.DONE, max_trials=1)
    make_trial(experiment, state=TrialState.SUCCEEDED, value=1.0)
    actions.change_limits(experiment, {"concurrency": 9})
    actions.change_limits(experiment, {"max_exec_seconds": 9})
    assert Experiment.objects.get().phase == Phase.DONE


def test_raising_the_time_limit_resumes_after_a_timeout(make_experiment):
    experiment = make_experiment(phase=Phase.TIMEOUT, max_exec_seconds=10, active_seconds=10.5)
    actions.change_limits(experiment, {"max_exec_seconds": 20})
    assert Experiment.objects.get().phase == Phase.RUNNING


def test_a_limit_is_taken_away_but_not_both(make_experiment, make_trial):
    experiment = make_experiment(phase=Phase.TIMEOUT, max_exec_seconds=10, active_seconds=10.5)
    actions.change_limits(experiment, {"max_exec_seconds": None})
    stored = Experiment.objects.get()
    assert (stored.phase, stored.max_exec_seconds) == (Phase.RUNNING, None), "no limit is more"
    for limits in ({"max_trials": None}, {"max_trials": None, "max_exec_seconds": None}):
        with pytest.raises(ProblemsError, match="one of the two ends the experiment"):
            actions.change_limits(stored, limits)
    actions.change_limits(stored, {"max_trials": None, "max_exec_seconds": 60})
    stored = Experiment.objects.get()
    assert (stored.max_trials, stored.max_exec_seconds) == (None, 60)
    with pytest.raises(ProblemsError, match="concurrency: must be a whole number"):
        actions.change_limits(stored, {"concurrency": None})
    actions.custom_trial(stored, {"lr": 0.1, "units": 16}, force=False)
    assert Experiment.objects.get().max_trials is None, "no budget, so none to raise"
    assert stored.events.filter(reason="max_exec_seconds 10 → –").exists()


def test_an_error_is_final(make_experiment):
    experiment = make_experiment(phase=Phase.ERROR)
    actions.change_limits(experiment, {"max_trials": 99})
    assert Experiment.objects.get().phase == Phase.ERROR
    with pytest.raises(Refused):
        actions.custom_trial(experiment, {"lr": 0.1, "units": 16}, force=False)


def test_suspended_time_does_not_count(make_experiment):
    experiment = make_experiment(phase=Phase.RUNNING)
    actions.suspend(experiment)
    stored = Experiment.objects.get()
    assert stored.suspended
    assert stored.clock_at is None
    actions.resume(experiment)
    stored = Experiment.objects.get()
    assert not stored.suspended
    assert stored.clock_at is not None
    assert [event.what for event in experiment.events.all()] == ["suspended", "resumed"]


@pytest.mark.parametrize("phase", [Phase.DONE, Phase.TIMEOUT, Phase.ERROR])
def test_an_ended_experiment_can_be_neither_suspended_nor_finished(make_experiment, phase):
    experiment = make_experiment(phase=phase)
    with pytest.raises(Refused, match=str(phase)):
        actions.suspend(experiment)
    with pytest.raises(Refused, match=str(phase)):
        actions.finish(experiment)


def test_a_custom_trial_outside_the_space_names_each_parameter_and_can_be_forced(make_experiment):
    experiment = make_experiment(phase=Phase.RUNNING)
    wild = {"lr": 7.0, "units": 33}
    with pytest.raises(ProblemsError) as caught:
        actions.custom_trial(experiment, wild, force=False)
    paths = [problem.path for problem in caught.value.problems]
    assert len(paths) == 2
    assert any("lr" in path for path in paths)
    assert any("units" in path for path in paths)
    assert not Trial.objects.exists()
    trial = actions.custom_trial(experiment, wild, force=True)
    assert (trial.origin, trial.parameters) == ("custom", wild)


def test_a_custom_trial_beyond_the_budget_raises_it_and_reopens_the_experiment(
    make_experiment, make_trial
):
    experiment = make_experiment(phase=Phase.DONE, max_trials=1)
    make_trial(experiment, state=TrialState.SUCCEEDED, value=1.0)
    actions.custom_trial(experiment, {"lr": 0.1, "units": 16}, force=False)
    stored = Experiment.objects.get()
    assert (stored.phase, stored.max_trials) == (Phase.RUNNING, 2)


def test_a_retry_replaces_the_failed_trial_in_the_budget(make_experiment, make_trial):
    experiment = make_experiment(phase=Phase.RUNNING)
    failed = make_trial(experiment, state=TrialState.FAILED, note={"bracket": 1})
    again = actions.retry_trial(failed)
    assert (again.number, again.parameters, again.note) == (1, failed.parameters, {"bracket": 1})
    assert (again.origin, again.retry_of) == ("retry", failed)
    assert actions.n_in_budget(experiment) == 1
    with pytest.raises(Refused, match="has been retried already"):
        actions.retry_trial(failed)


def test_what_did_not_fail_cannot_be_retried(make_experiment, make_trial):
    experiment = make_experiment(phase=Phase.RUNNING)
    for state in (TrialState.WAITING, TrialState.RUNNING, TrialState.SUCCEEDED):
        with pytest.raises(Refused, match=str(state)):
            actions.retry_trial(make_trial(experiment, state=state))


def test_all_failed_trials_are_retried_at_once_and_only_once(make_experiment, make_trial):
    experiment = make_experiment(phase=Phase.DONE)
    for state in (TrialState.FAILED, TrialState.LOST, TrialState.SUCCEEDED, TrialState.CANCELED):
        make_trial(experiment, state=state)
    assert [trial.retry_of.number for trial in actions.retry_failed(experiment)] == [0, 1]
    experiment.refresh_from_db()
    assert experiment.phase == Phase.RUNNING
    assert actions.retry_failed(experiment) == []


def test_the_best_is_the_best_succeeded_trial_that_is_not_excluded(make_experiment, make_trial):
    experiment = make_experiment(phase=Phase.RUNNING)
    worse = make_trial(experiment, state=TrialState.SUCCEEDED, value=0.5)
    lucky = make_trial(experiment, state=TrialState.SUCCEEDED, value=0.9)
    make_trial(experiment, state=TrialState.SUCCEEDED, value=0.9)  # a tie: the earlier one stands
    make_trial(experiment, state=TrialState.EARLY_STOPPED, value=0.99)
    changes.update_best(experiment)
    assert Experiment.objects.get().best_trial == lucky
    for trial in experiment.trials.filter(value=0.9):
        actions.set_excluded(trial, True, reason="bad data")
    assert Experiment.objects.get().best_trial == worse
    actions.set_excluded(lucky, False)
    assert Experiment.objects.get().best_trial == lucky


def test_the_best_of_a_minimising_experiment_is_the_smallest(make_experiment, make_trial):
    experiment = make_experiment(optimize_mode="minimize")
    make_trial(experiment, state=TrialState.SUCCEEDED, value=2.0)
    small = make_trial(experiment, state=TrialState.SUCCEEDED, value=-1.0)
    changes.update_best(experiment)
    assert Experiment.objects.get().best_trial == small


def test_a_trial_is_stopped_once_by_whoever_came_first(make_experiment, make_trial):
    trial = make_trial(make_experiment(), state=TrialState.RUNNING)
    actions.kill_trial(trial, reason="Killed by alice.")
    assert not changes.request_stop(trial, TrialState.EARLY_STOPPED, "slow")
    stored = Trial.objects.get()
    assert (stored.stop_as, stored.stop_reason) == (TrialState.CANCELED, "Killed by alice.")


def test_what_a_person_does_through_the_api_carries_their_name(make_experiment, client):
    experiment = make_experiment(phase=Phase.RUNNING)
    url = f"/api/v1/experiments/{experiment.pk}/"
    client.patch(url, {"max_trials": 7}, content_type="application/json")
    experiment.record("remark")  # the loop's own doing has nobody's name
    assert [event.data.get("user") for event in experiment.events.all()] == ["alice", None]


def test_a_custom_trial_may_name_what_an_advisor_adds(make_experiment):
    advisor = {"builtinAdvisorName": "Hyperband"}
    experiment = make_experiment({"tuner": None, "advisor": advisor}, phase=Phase.RUNNING)
    given = {"lr": 0.1, "units": 16, "TRIAL_BUDGET": 9}
    assert actions.custom_trial(experiment, given, force=False).parameters == given
    plain = make_experiment(phase=Phase.RUNNING)
    with pytest.raises(ProblemsError):
        actions.custom_trial(plain, given, force=False)


BATCH = {
    "searchSpace": {
        "combine_params": {
            "_type": "choice",
            "_value": [{"optimizer": "Adam", "lr": 0.1}, {"optimizer": "SGD", "lr": 0.2}, 3],
        }
    },
    "tuner": {"builtinTunerName": "Batch", "classArgs": {"optimize_mode": "maximize"}},
}


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ({"optimizer": "SGD", "lr": 0.2}, {"optimizer": "SGD", "lr": 0.2}),
        ({"combine_params": {"optimizer": "SGD", "lr": 0.2}}, {"optimizer": "SGD", "lr": 0.2}),
        ({"combine_params": 3}, {"combine_params": 3}),
    ],
)
def test_a_custom_trial_of_a_batch_gets_what_the_batch_would_give(make_experiment, given, stored):
    experiment = make_experiment(BATCH)
    assert actions.custom_trial(experiment, given, force=False).parameters == stored


def test_a_seed_in_the_manifest_is_the_experiments(make_experiment):
    manifest = make_experiment(
        {"tuner": {"builtinTunerName": "TPE", "classArgs": {"seed": 4711}}}
    ).manifest
    seeded = actions.create_experiment(parse_manifest(manifest))
    assert seeded.seed == 4711
    manifest["spec"]["tuner"]["classArgs"] = {}
    seeds = {actions.create_experiment(parse_manifest(manifest)).seed for _ in range(3)}
    assert len(seeds) == 3

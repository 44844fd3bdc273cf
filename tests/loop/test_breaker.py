"""The circuit breaker over real rows: it suspends, says why, and lets people go on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from experiments.access.tokens import trial_token
from experiments.embedded import shutdown
from experiments.loop import reconcile, starting
from experiments.manifest.spec import parse_manifest, to_manifest
from experiments.models import Experiment, Trial
from experiments.problems import ProblemsError
from experiments.services import actions
from experiments.states import Phase
from experiments.training.base import LaunchError, LogFile
from experiments.trials import logs
from tests.conftest import MANIFEST
from tests.loop.passes import look, succeed
from tests.loop.scripted import ScriptedBackend

WHY = "exit code 1: ModuleNotFoundError: No module named 'torch'"


class Printing(ScriptedBackend):
    """Its jobs printed something."""

    def logs(self, handle):
        return [LogFile("worker-0.log", 60)]

    def read_log(self, handle, log, offset, limit):
        return f"\x1b[31mloading\x1b[0m\n{WHY}\n".encode()[offset : offset + limit]


@pytest.fixture
def backend(monkeypatch) -> Printing:
    scripted = Printing()
    for module in (reconcile, starting, shutdown, logs):
        monkeypatch.setattr(module, "backend", lambda: scripted)
    return scripted


@pytest.fixture
def experiment(make_experiment) -> Experiment:
    return make_experiment(max_trials=40)


def fail_next(experiment: Experiment, backend: Printing, count: int, why: str = WHY) -> Experiment:
    """Let so many trials fail, one after the other."""
    for _ in range(count):
        trial = experiment.trials.filter(state="RUNNING").order_by("number").first()
        if trial is None:
            break
        backend.end(trial.number, exit_code=1, message=why)
        stored = look(experiment)
    return stored


def test_no_token_stands_in_what_is_told_of_a_trial(experiment, backend, monkeypatch):
    def launch(launch):
        raise LaunchError(f"http://127.0.0.1/t/{launch.token}: no such program")

    monkeypatch.setattr(backend, "launch", launch)
    stored = look(experiment)
    trial = experiment.trials.get(number=0)
    signature = trial_token(trial).rpartition(".")[2]
    told = [trial.reason, stored.message, *(event.reason for event in experiment.events.all())]
    assert all(signature not in words for words in told)
    assert "no such program" in trial.reason
    assert "no such program" in stored.message


def test_no_token_stands_in_the_lines_that_come_with_a_suspension(experiment, backend, monkeypatch):
    look(experiment)
    tokens = [launch.token for launch in backend.launches]
    line = f"channel http://127.0.0.1/n/{tokens[0]}\n".encode()
    monkeypatch.setattr(backend, "read_log", lambda handle, log, offset, limit: line[offset:])
    # a running trial's remark too
    name = backend.launches[0].name
    backend.jobs[name] = replace(backend.jobs[name], message=f"waits for {line.decode()}")
    look(experiment)
    signature = tokens[0].rpartition(".")[2]
    remark = experiment.trials.get(number=0).reason
    assert remark.startswith("waits for")
    assert signature not in remark
    stored = fail_next(experiment, backend, 3)
    assert stored.suspended
    assert stored.breaker["log"] == line.decode().strip().replace(signature, "*" * len(signature))


def test_the_third_failure_alike_suspends_the_experiment_and_says_why(experiment, backend):
    look(experiment)
    stored = fail_next(experiment, backend, 2)
    assert not stored.suspended
    stored = fail_next(experiment, backend, 1)
    assert stored.suspended
    assert stored.phase == Phase.RUNNING
    assert stored.clock_at is None
    assert stored.breaker == {
        "trials": [0, 1, 2],
        "reason": f"The first 3 trials failed alike: {WHY}.",
        "log": f"loading\n{WHY}",
    }
    event = experiment.events.get(what="suspended")
    assert event.reason == stored.breaker["reason"]
    n_launched = len(backend.launches)
    look(experiment)
    assert len(backend.launches) == n_launched, "nothing is started any more"


def test_many_that_end_in_one_pass_trip_it_too(make_experiment, backend):
    experiment = make_experiment(max_trials=40, concurrency=6)
    look(experiment)
    for number in range(6):
        backend.end(number, exit_code=1, message=WHY)
    assert look(experiment).suspended


def test_failures_that_differ_or_a_success_among_them_do_not(experiment, backend):
    look(experiment)
    for number in range(9):
        if number % 3 == 2:
            succeed(backend, Trial.objects.get(number=number), 0.5)
        else:
            backend.end(number, exit_code=1, message=WHY)
        stored = look(experiment)
    assert not stored.suspended
    for number in range(9, 20):
        backend.end(number, exit_code=1, message=f"exit code 1: KeyError: '{chr(97 + number)}'")
        stored = look(experiment)
    assert not stored.suspended


def test_who_goes_on_hears_of_it_again_after_twice_as_many(experiment, backend):
    look(experiment)
    fail_next(experiment, backend, 3)
    actions.resume(Experiment.objects.get(pk=experiment.pk))
    stored = look(experiment)
    assert (stored.suspended, stored.breaker) == (False, None)
    stored = fail_next(experiment, backend, 5)
    assert not stored.suspended
    stored = fail_next(experiment, backend, 1)
    assert stored.suspended
    assert stored.breaker["trials"] == [3, 4, 5, 6, 7, 8]


def test_zero_switches_it_off(make_experiment, backend):
    experiment = make_experiment(spec={"breaker": {"alike": 0}}, max_trials=40)
    look(experiment)
    assert not fail_next(experiment, backend, 20).suspended


def test_what_somebody_stopped_says_nothing(experiment, backend):
    look(experiment)
    fail_next(experiment, backend, 2)
    running = experiment.trials.filter(state="RUNNING").first()
    actions.kill_trial(running)
    look(experiment)
    assert not look(experiment).suspended


def test_trials_that_cannot_be_launched_trip_it_once_others_ran(experiment, backend):
    look(experiment)
    succeed(backend, Trial.objects.get(number=0), 0.5)
    backend.refuse = "workingDir: directory /gone does not exist"
    for _ in range(3):
        stored = look(experiment)
    assert stored.suspended
    assert "directory /gone does not exist" in stored.breaker["reason"]
    assert experiment.trials.filter(state="FAILED").count() <= 4


@pytest.mark.parametrize(
    ("breaker", "alike"), [(None, 3), ({}, 3), ({"alike": 5}, 5), ({"alike": 0}, 0)]
)
def test_the_manifest_sets_it(breaker, alike):
    spec = {**MANIFEST["spec"], "breaker": breaker}
    parsed = parse_manifest({**MANIFEST, "spec": spec}).spec
    assert parsed.alike == alike
    assert parse_manifest(to_manifest(parsed)).spec == parsed


@pytest.mark.parametrize(
    ("breaker", "path"),
    [
        (3, "spec.breaker"),
        ({"alike": -1}, "spec.breaker.alike"),
        ({"alike": "3"}, "spec.breaker.alike"),
        ({"alike": 1001}, "spec.breaker.alike"),
        ({"alikes": 3}, "spec.breaker.alikes"),
    ],
)
def test_what_it_cannot_be_is_refused(breaker, path):
    spec = {**MANIFEST["spec"], "breaker": breaker}
    with pytest.raises(ProblemsError) as caught:
        parse_manifest({**MANIFEST, "spec": spec})
    assert [problem.path for problem in caught.value.problems] == [path]

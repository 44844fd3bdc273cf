"""Every algorithm runs whole experiments in the product, is killed in the middle and goes on.

All of them run at once in one product, four trials each at a time; when the first of each have
ended and the next wait at a gate, everything is killed, started again, and the gate is opened. Each
test then looks at its own experiment.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from experiments.algorithms.registry import ADVISORS, ASSESSORS, TUNERS, Entry
from tests.e2e.stack import Stack, manage, wait_for, write_manifest

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("algorithms")]

SCRIPT = Path(__file__).with_name("any_trial.py")
N_TRIALS = 8

NUMBERS = {
    "x": {"_type": "uniform", "_value": [-5, 5]},
    "lr": {"_type": "loguniform", "_value": [1e-4, 1]},
    "n": {"_type": "randint", "_value": [1, 20]},
    "c": {"_type": "choice", "_value": [1, 2, 4]},
}
PLAIN = {"x": NUMBERS["x"], "n": NUMBERS["n"], "c": NUMBERS["c"]}
SPACES = {
    "Batch": {"c": {"_type": "choice", "_value": [{"a": i} for i in range(N_TRIALS)]}},
    "GridSearch": {"n": NUMBERS["n"], "c": NUMBERS["c"]},
    "MetisTuner": PLAIN,
    "PPOTuner": {
        "first": {"_type": "layer_choice", "_value": ["conv", "pool", "dense"]},
        "second": {"_type": "layer_choice", "_value": ["conv", "pool"]},
        "skip": {"_type": "input_choice", "_value": {"candidates": ["a", "b"], "n_chosen": 1}},
    },
}
# few enough that the models start and the generations turn within the experiment
ARGS: dict[str, dict[str, Any]] = {
    "Evolution": {"population_size": 4},
    "GPTuner": {
        "cold_start_num": 3, "selection_num_warm_up": 200, "selection_num_starting_points": 5,
    },
    "MetisTuner": {"cold_start_num": 3, "selection_num_starting_points": 20},
    "PPOTuner": {"trials_per_update": 3},
    "PBTTuner": {"population_size": 4, "fraction": 0.25},
    "Hyperband": {"R": 3},
    "BOHB": {"max_budget": 3, "min_points_in_model": 1},
    "ASHA": {"max_budget": 9},
    "Curvefitting": {"epoch_num": 6, "start_step": 3},
    "Medianstop": {"start_step": 2},
}  # fmt: skip

CHOOSING = [e for e in [*TUNERS.values(), *ADVISORS.values()] if e.available]
ASSESSING = [e for e in ASSESSORS.values() if e.available]


def by_name(entry: Entry) -> str:
    return entry.name


def spec_for(entry: Entry, *arguments: str) -> dict[str, Any]:
    section = {f"builtin{entry.kind.capitalize()}Name": entry.name}
    spec: dict[str, Any] = {"name": entry.name.lower(), "trialConcurrency": 4}
    spec["searchSpace"] = SPACES.get(entry.name, NUMBERS)
    spec["maxTrialNum"] = N_TRIALS
    spec["tuner"] = None if entry.kind == "advisor" else {"builtinTunerName": "Random"}
    spec[entry.kind] = {
        **section,
        "classArgs": {"optimize_mode": "maximize", **ARGS.get(entry.name, {})},
    }
    spec["trainingConfig"] = {
        "type": "pytorch",
        "tasks": [
            {
                "type": "worker",
                "replicas": 1,
                "template": {
                    "spec": {
                        "containers": [
                            {"name": "pytorch", "command": ["python3", str(SCRIPT), *arguments]}
                        ]
                    }
                },
            }
        ],
    }
    return spec


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Of every algorithm: its experiment and trials, after a kill in the middle and a restart."""
    data = tmp_path_factory.mktemp("algorithms")
    gate = data / "gate"
    first = Stack(data)
    ids: dict[str, str] = {}
    try:
        first.start("--no-sample")
        for entry in [*CHOOSING, *ASSESSING]:
            ids[entry.name] = first.create(**spec_for(entry, "0.05", str(gate)))
        wait_for(
            "every experiment to be in its middle",
            lambda: all(is_in_the_middle(first, id_) for id_ in ids.values()),
            timeout_s=120,
        )
        assert {first.experiment(id_)["phase"] for id_ in ids.values()} == {"RUNNING"}
        first.kill()
    finally:
        first.stop()
    gate.touch()
    again = Stack(data, port=first.port)
    try:
        again.start("--no-sample")
        yield {
            name: {
                "experiment": again.wait_for_phase(id_, "DONE", "ERROR", "TIMEOUT", timeout_s=180),
                "trials": again.trials(id_),
                "data": data,
            }
            for name, id_ in ids.items()
        }
    finally:
        again.stop()
        again.end_trials()


def is_in_the_middle(stack: Stack, experiment_id: str) -> bool:
    """Something has ended; not all can, as the gate is closed."""
    return any(trial["state"] == "SUCCEEDED" for trial in stack.trials(experiment_id))


@pytest.mark.parametrize("entry", CHOOSING, ids=by_name)
def test_it_runs_a_whole_experiment_through_a_kill(entry: Entry, outcomes: dict[str, Any]) -> None:
    head, trials = outcomes[entry.name]["experiment"], outcomes[entry.name]["trials"]
    assert head["phase"] == "DONE", head["message"]
    assert [trial["number"] for trial in trials] == list(range(N_TRIALS))
    assert Counter(trial["state"] for trial in trials) == {"SUCCEEDED": N_TRIALS}
    for trial in trials:
        names = {"a"} if entry.name == "Batch" else {*SPACES.get(entry.name, NUMBERS)}
        assert set(trial["parameters"]) == {*names, *entry.adds}
    if not entry.adds:
        configurations = {json.dumps(trial["parameters"]) for trial in trials}
        assert len(configurations) == N_TRIALS, "nothing was tried twice"


@pytest.mark.parametrize("entry", ASSESSING, ids=by_name)
def test_an_assessor_judges_a_whole_experiment(entry: Entry, outcomes: dict[str, Any]) -> None:
    head, trials = outcomes[entry.name]["experiment"], outcomes[entry.name]["trials"]
    assert head["phase"] == "DONE", head["message"]
    assert {trial["state"] for trial in trials} <= {"SUCCEEDED", "EARLY_STOPPED"}
    assert sum(trial["state"] == "SUCCEEDED" for trial in trials) >= 3


def test_models_took_over_after_their_start(outcomes: dict[str, Any]) -> None:
    for name in ("GPTuner", "MetisTuner", "PPOTuner"):
        if name in outcomes:
            origins = Counter(trial["origin"] for trial in outcomes[name]["trials"])
            assert origins["model"] >= 1, (name, origins)


def test_advisors_promoted_with_a_larger_budget(outcomes: dict[str, Any]) -> None:
    for name in ADVISORS:
        trials = outcomes[name]["trials"]
        promoted = [trial for trial in trials if trial["origin"] == "promoted"]
        assert promoted, name
        assert min(t["parameters"]["TRIAL_BUDGET"] for t in promoted) == 3


def test_a_population_went_on_from_its_checkpoints(outcomes: dict[str, Any]) -> None:
    trials = outcomes["PBTTuner"]["trials"]
    trained = Counter(trial["metrics"]["trained"] for trial in trials)
    assert trained == {1: 4, 2: 4}, "each of the second generation resumed a saved state"
    assert sum(trial["origin"].startswith("exploit of #") for trial in trials) == 1


@pytest.mark.parametrize("entry", [*CHOOSING, *ASSESSING], ids=by_name)
def test_it_runs_on_the_command_line(
    entry: Entry, tmp_path: Path, outcomes: dict[str, Any]
) -> None:
    """``run`` hands it to the server that is there: test_command_line.py runs without one."""
    file = write_manifest(tmp_path, **spec_for(entry))
    answer = manage(outcomes[entry.name]["data"], "run", str(file), "--json")
    assert answer.returncode == 0, answer.stderr
    export = json.loads(answer.stdout)
    assert export["experiment"]["phase"] == "DONE"
    assert len(export["trials"]) == N_TRIALS
    for trial in export["trials"]:
        assert set(entry.adds) < set(trial["parameters"])

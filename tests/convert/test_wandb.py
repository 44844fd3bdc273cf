"""W&B's sweeps, and search spaces of Optuna and Ray Tune, as manifests."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.convert.given import (
    SWEEP,
    Converted,
    container_of,
    converted,
    left_of,
    refused,
    spec_of,
)


def test_a_sweep_is_carried_over() -> None:
    found = converted(SWEEP, "sweep.yaml")
    spec = spec_of(found)
    assert spec["tuner"] == {
        "builtinTunerName": "GPTuner", "classArgs": {"optimize_mode": "minimize"}}  # fmt: skip
    assert spec["assessor"]["classArgs"] == {"optimize_mode": "minimize", "start_step": 3}
    assert spec["searchSpace"]["layers"] == {"_type": "randint", "_value": [1, 5]}
    assert spec["searchSpace"]["epochs"] == {"_type": "choice", "_value": [27]}
    assert container_of(found)["command"] == [
        "python3", "train.py", "--lr=$(params.lr)", "--layers=$(params.layers)",
        "--optimizer=$(params.optimizer)", "--epochs=$(params.epochs)",
    ]  # fmt: skip
    assert container_of(found)["env"] == [
        {"name": "WANDB_MODE", "value": "offline"},
        {"name": "WANDB_SWEEP_PARAM_PATH", "value": "$(AUTOTUNE_SWEEP_PARAMETERS)"},
        {"name": "WANDB_DIR", "value": "$(AUTOTUNE_WANDB_DIR)"},
        {"name": "WANDB_X_TRANSACTION_LOG_FLUSH_INTERVAL", "value": "1"},
    ]
    assert spec["metrics"] == {"objective": "val_loss"}
    assert "metric" not in left_of(found)


@pytest.mark.parametrize(
    ("given", "entry"),
    [
        ("{distribution: q_uniform, min: 0, max: 1, q: 0.25}", ["quniform", [0, 1, 0.25]]),
        ("{distribution: log_uniform, min: 0, max: 2.302585092994046}", ["loguniform", [1, 10]]),
        (
            "{distribution: inv_log_uniform, min: 0, max: 2.302585092994046}",
            ["loguniform", [0.1, 1]],
        ),
        ("{distribution: log_uniform_values, min: 0.1, max: 1}", ["loguniform", [0.1, 1]]),
        ("{distribution: q_log_uniform_values, min: 1, max: 8}", ["qloguniform", [1, 8, 1]]),
        ("{distribution: normal}", ["normal", [0, 1]]),
        ("{distribution: q_log_normal, mu: 1, sigma: 2, q: 3}", ["qlognormal", [1, 2, 3]]),
        ("{distribution: int_uniform, min: 2, max: 4}", ["randint", [2, 5]]),
        ("{values: [1, a, true]}", ["choice", [1, "a", True]]),
        ("{distribution: constant, value: x}", ["choice", ["x"]]),
    ],
)
def test_every_distribution(given: str, entry: list[Any]) -> None:
    found = spec_of(converted(SWEEP.replace("{min: 0.0001, max: 0.1}", given)))
    assert list(found["searchSpace"]["lr"].values()) == entry


def test_parameters_below_parameters_have_names_with_dots() -> None:
    found = converted(SWEEP.replace("{value: 27}", "{parameters: {a: {value: 1}}}"))
    assert "--epochs.a=$(params.epochs.a)" in container_of(found)["command"]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("[python, '${program}', '${args_no_hyphens}']", ["python", "train.py", "lr=$(params.lr)"]),
        ("['${env}', x, '${args_json}']", ["x", "$(params)"]),
        ("['${interpreter}', -m, 'a.${program}']", ["python3", "-m", "a.train.py"]),
    ],
)
def test_macros_of_a_command(command: str, words: list[str]) -> None:
    found = converted(SWEEP + f"command: {command}\n")
    assert container_of(found)["command"][: len(words)] == words


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("program: train.py", "job: a/b:latest", "no command|not said here"),
        ("{value: 27}", "{distribution: beta, a: 1, b: 2}", "'beta' is not here"),
        ("{value: 27}", "{min: 1}", "must have value, values"),
        ("goal: minimize", "goal: down", "must be minimize or maximize"),
        ("method: bayes", "command: ['${args_json_file}']\nmethod: bayes", "No file of parameters"),
    ],
)
def test_what_cannot_be_is_refused(before: str, after: str, words: str) -> None:
    problems = refused(SWEEP.replace(before, after))
    assert any(each in p.message for p in problems for each in words.split("|")), problems


def test_a_grid_ends_when_it_is_done_and_continuous_ones_have_none() -> None:
    grid = SWEEP.replace("bayes", "grid").replace("{min: 0.0001, max: 0.1}", "{values: [1, 2]}")
    spec = spec_of(converted(grid))
    assert (spec["tuner"]["builtinTunerName"], spec["maxTrialNum"]) == ("GridSearch", 16)
    assert "GridSearch cannot search uniform" in left_of(converted(SWEEP.replace("bayes", "grid")))


def test_distributions_that_optuna_writes_are_read() -> None:
    # as distribution_to_json of Optuna writes them
    space = {
        "lr": ("Float", {"step": None, "low": 1e-05, "high": 0.1, "log": True}),
        "drop": ("Float", {"step": 0.25, "low": 0.0, "high": 0.5, "log": False}),
        "layers": ("Int", {"log": False, "step": 1, "low": 1, "high": 4}),
        "width": ("Int", {"log": False, "step": 3, "low": 3, "high": 9}),
        "units": ("Int", {"log": True, "step": 1, "low": 8, "high": 64}),
        "act": ("Categorical", {"choices": ["relu", None, True]}),
    }
    text = json.dumps(
        {n: {"name": f"{kind}Distribution", "attributes": a} for n, (kind, a) in space.items()}
    )
    found = spec_of(converted(text, "space.json"))["searchSpace"]
    assert [list(entry.values()) for entry in found.values()] == [
        ["loguniform", [1e-05, 0.1]], ["quniform", [0.0, 0.5, 0.25]], ["randint", [1, 5]],
        ["choice", [3, 6, 9]], ["qloguniform", [8, 64, 1]], ["choice", ["relu", None, True]],
    ]  # fmt: skip


def mode_of(found: Converted) -> str:
    return str(spec_of(found)["tuner"]["classArgs"]["optimize_mode"])


def test_python_files_are_read_and_never_run() -> None:
    ray = (
        "import os; os.abort()\nfrom ray import tune\n"
        "space = {'lr': tune.loguniform(1e-4, 1e-1), 'n': tune.choice([1, 2]),\n"
        " 'k': tune.randint(1, upper=9), 'x': tune.sample_from(lambda s: 1),"
        " 'y': tune.uniform(a, 1)}"
    )
    found = converted(ray, "train.py")
    assert found.origin == "Ray Tune"
    assert spec_of(found)["searchSpace"] == {
        "lr": {"_type": "loguniform", "_value": [0.0001, 0.1]},
        "n": {"_type": "choice", "_value": [1, 2]},
        "k": {"_type": "randint", "_value": [1, 9]},
    }
    assert [p.line for p in found.left if p.line] == [4, 4]
    assert "neither what runs nor which way is better" in left_of(found)
    config = f"{ray}\ntune.TuneConfig(metric='loss', mode='min')"
    assert mode_of(converted(config, "train.py")) == "minimize"
    optuna = (
        "def objective(trial):\n  x = trial.suggest_float('x', -1, 1)\n"
        "  return trial.suggest_int('n', 2, 6, step=2) + x"
        " + trial.suggest_float('lr', 1, 2, log=True)"
    )
    found = converted(optuna, "objective.py")
    assert found.origin == "Optuna"
    assert sorted(spec_of(found)["searchSpace"]) == ["lr", "n", "x"]
    assert mode_of(found) == "minimize"  # as create_study does where nothing is said
    assert "does not say what runs" in left_of(found)
    study = f"{optuna}\nstudy = optuna.create_study(direction='maximize')"
    assert mode_of(converted(study, "objective.py")) == "maximize"
    assert "no search space" in refused("x = 1", "a.py")[0].message
    assert "no Python 3" in refused("print 1", "a.py")[0].message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"), ("[1]", "a mapping"), ("a: 1", "no configuration that is known"),
        ("apiVersion: v1\nkind: Pod", "no configuration that is known"),
        ("kind: AutoTuneExperiment", "an AutoTuneExperiment already"),
        ("a: b: c", "not valid YAML"),
    ],
)  # fmt: skip
def test_other_files_are_told_apart(text: str, words: str) -> None:
    (problem,) = refused(text)
    assert words in problem.message


@pytest.mark.parametrize(
    ("given", "step"),
    [
        ("{type: hyperband, max_iter: 27, s: 2}", 3),
        ("{type: hyperband, max_iter: 64, s: 2, eta: 2}", 16),
        ("{type: hyperband, max_iter: 64, min_iter: 5}", 5),
        ("{type: hyperband, max_iter: 9, s: 99999, eta: 1.0e300}", 1),
    ],
)
def test_early_stopping_begins_at_the_first_bracket(given: str, step: int) -> None:
    found = spec_of(converted(SWEEP.replace("{type: hyperband, min_iter: 3}", given)))
    assert found["assessor"]["classArgs"]["start_step"] == step


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("{value: 27}", "{value: 27, odd: 1}", "epochs.odd: is not used"),
        ("type: hyperband", "type: envelope", "'envelope' is not here"),
    ],
)
def test_no_setting_is_left_in_silence(before: str, after: str, words: str) -> None:
    assert words in left_of(converted(SWEEP.replace(before, after)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SWEEP.replace("epochs: {value: 27}", "a.b: {value: 1}\n  a: {parameters: {b: {value: 2}}}",
                       ), "two parameters 'a.b'"),
        (SWEEP.replace("{value: 27}", "{distribution: int_uniform, min: 0.5, max: 2}"),
         "must have whole numbers"),
        ("job: a/b:latest\nmetric: {name: x}\nscheduler: {job: c}", "no parameters|Launch job"),
    ],
)  # fmt: skip
def test_true_reasons(text: str, words: str) -> None:
    found = "\n".join(p.message for p in refused(text))
    assert all(each in found for each in words.split("|"))


def test_a_command_that_names_no_program_needs_none() -> None:
    text = SWEEP.replace("program: train.py\n", "") + "command: [python, -m, train, '${args_json}']"
    assert container_of(converted(text))["command"] == ["python", "-m", "train", "$(params)"]


STUDY = """\
def objective(trial):
    kind = trial.suggest_categorical("kind", ["svm", "forest"])
    if kind == "svm":
        return trial.suggest_float("c", 0.1, 1)
    return trial.suggest_float("c", 1, 10)
if __name__ == "__main__":
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(), pruner=MedianPruner(),
                                directions=["minimize", "maximize"])
    study.optimize(objective, n_trials=100, timeout=N, n_jobs=2)
"""


def test_what_a_study_says_around_its_space() -> None:
    found = converted(STUDY, "objective.py")
    spec = spec_of(found)
    assert (spec["maxTrialNum"], spec["trialConcurrency"]) == (100, 2)
    assert "maxExecSeconds" not in spec
    assert spec["tuner"]["builtinTunerName"] == "TPE"
    assert spec["searchSpace"]["c"] == {"_type": "uniform", "_value": [0.1, 1]}
    for words in (
        "'c' is suggested under a condition", "'c' is suggested twice", "has several objectives",
        "pruner MedianPruner is not carried over", "timeout has a value that only running",
    ):  # fmt: skip
        assert words in left_of(found), words
    ray = "tune.Tuner(f, param_space={'x': tune.uniform(0, 1)}, tune_config=tune.TuneConfig("
    config = "mode='max', num_samples=20, time_budget_s=60, max_concurrent_trials=4,"
    found = converted(f"{ray}{config} scheduler=ASHAScheduler()))", "t.py")
    spec = spec_of(found)
    assert (spec["maxTrialNum"], spec["maxExecSeconds"], spec["trialConcurrency"]) == (20, 60, 4)
    assert "scheduler ASHAScheduler is not carried over" in left_of(found)

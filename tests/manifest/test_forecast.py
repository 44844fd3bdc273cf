from __future__ import annotations

import json
import os.path
from typing import Any

import pytest

from experiments.manifest.fields import NAME_FIELDS
from experiments.manifest.forecast import N_SAMPLES, Peak, forecast_of
from experiments.manifest.spec import parse_manifest, parse_text
from experiments.manifest.yaml_text import dump_yaml
from tests.manifest.manifests import ABSENT, CONTAINER, TASK, at_random, small
from tests.many_cases import each

CONTAINER_PATH = "spec.trainingConfig.tasks[0].template.spec.containers[0]"
LOCALLY_FINE = {f"{CONTAINER}.image": ABSENT}


def forecast_here(
    changes: dict[str, Any], *, runs_here: bool = True, mode: str | None = "maximize"
) -> Any:
    manifest = small(changes)
    chooser = manifest["spec"].get("tuner") or manifest["spec"]["advisor"]
    if mode is not None:
        chooser["classArgs"] = {"optimize_mode": mode, **chooser.get("classArgs", {})}
    return forecast_of(parse_manifest(manifest).spec, runs_here=runs_here)


def test_a_plain_local_experiment_has_neither_problems_nor_warnings() -> None:
    found = forecast_here(LOCALLY_FINE)
    assert (found.problems, found.warnings) == ((), ())


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({f"{CONTAINER}.command": ABSENT}, "command", "is required for local trials"),
        ({f"{CONTAINER}.command": []}, "command", "is required for local trials"),
        (
            {f"{CONTAINER}.command": ABSENT, f"{CONTAINER}.args": ["x"]},
            "command",
            "is required for local trials",
        ),
        ({f"{CONTAINER}.workingDir": "here"}, "workingDir", "absolute path"),
        ({f"{CONTAINER}.envFrom": [{"secretRef": {}}]}, "envFrom", "cannot be looked up"),
        (
            {f"{CONTAINER}.env": [{"name": "A"}, {"name": "B", "valueFrom": {"x": 1}}]},
            "env[1].valueFrom",
            "cannot be looked up",
        ),
    ],
)  # fmt: skip
def test_local_trials_are_refused_what_needs_a_cluster(
    changes: dict[str, Any], path: str, words: str
) -> None:
    (problem,) = forecast_here(changes).problems
    assert problem.path == f"{CONTAINER_PATH}.{path}"
    assert words in problem.message
    assert forecast_here(changes, runs_here=False).problems == ()


def test_on_a_cluster_the_image_is_needed_and_the_command_is_not() -> None:
    (problem,) = forecast_here(LOCALLY_FINE, runs_here=False).problems
    assert problem.path == f"{CONTAINER_PATH}.image"
    (warning,) = forecast_here({f"{CONTAINER}.command": ABSENT}, runs_here=False).warnings
    assert "entry point" in warning.message


def test_on_a_cluster_what_is_for_one_machine_is_ignored_with_a_word() -> None:
    changes = {**LOCALLY_FINE, f"{CONTAINER}.image": "x:1", "spec.local.trialsPerGpu": 2}
    (warning,) = forecast_here(changes, runs_here=False).warnings
    assert (warning.path, "ignored" in warning.message) == ("spec.local", True)
    asking = {f"{CONTAINER}.resources": {"limits": {"nvidia.com/gpu": 1}}}
    here = {**LOCALLY_FINE, "spec.local.trialsPerGpu": 2}
    assert forecast_here({**here, **asking}).warnings == ()
    (warning,) = forecast_here(here).warnings
    assert "No container asks for a GPU" in warning.message


@pytest.mark.parametrize("runs_here", [True, False])
@pytest.mark.parametrize("section", ["limits", "requests"])
def test_gpus_are_given_whole(runs_here: bool, section: str) -> None:
    changes = {
        **LOCALLY_FINE,
        f"{CONTAINER}.image": "x:1",
        f"{CONTAINER}.resources": {section: {"nvidia.com/gpu": "500m"}},
    }
    (problem,) = forecast_here(changes, runs_here=runs_here).problems
    assert problem.path == f'{CONTAINER_PATH}.resources.{section}["nvidia.com/gpu"]'
    assert problem.message.endswith("must be a whole number, as GPUs are given whole, but got 0.5.")
    assert "trialsPerGpu" in problem.hint


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({f"{CONTAINER}.image": "x:1"}, "image", "image is ignored"),
        ({f"{CONTAINER}.resources": {"limits": {"cpu": 1}}}, "limits", "not held to limits"),
        ({f"{CONTAINER}.volumeMounts": [{"name": "v"}]}, "volumeMounts", "volumes are ignored"),
        ({f"{TASK}.template.spec.volumes": [{"name": "v"}]}, "volumes", "volumes are ignored"),
        (
            {f"{TASK}.template.spec.initContainers": [{"name": "i"}]},
            "initContainers",
            "no init containers",
        ),
        (
            {f"{TASK}.template.spec.containers": [{"name": "side"},
                                                  {"name": "pytorch", "command": ["x"]}]},
            "containers",
            "only the container 'pytorch'",
        ),
        (
            {"spec.trainingConfig.scheduler": {"t9kScheduler": {"queue": "q"}}},
            "scheduler",
            "no queues",
        ),
        (
            {"spec.searchSpace": {"x": {"_type": "choice", "_value": [1, 2]}}},
            "maxTrialNum",
            "has 2 distinct",
        ),
        (
            {"spec.assessor": {"builtinAssessorName": "Medianstop"}},
            "start_step",
            "from their first report",
        ),
    ],
)  # fmt: skip
def test_local_warnings(changes: dict[str, Any], path: str, words: str) -> None:
    found = forecast_here({**LOCALLY_FINE, **changes})
    (warning,) = found.warnings
    assert warning.path.endswith(path)
    assert words in warning.message
    assert found.problems == ()


@pytest.mark.parametrize(
    ("kind", "name"), [("tuner", "TPE"), ("tuner", "GridSearch"), ("advisor", "BOHB")]
)
def test_a_direction_that_nobody_gave_is_said(kind: str, name: str) -> None:
    """NNI's own default is minimize for some tuners: a loss would be maximized in silence."""
    space = {"x": {"_type": "randint", "_value": [0, 99]}}
    changes: dict[str, Any] = {**LOCALLY_FINE, "spec.searchSpace": space, "spec.tuner": None}
    changes[f"spec.{kind}"] = {NAME_FIELDS[kind]: name}
    (warning,) = forecast_here(changes, mode=None).warnings
    assert warning.path == f"spec.{kind}.classArgs.optimize_mode"
    assert "the LARGEST result is the best one (maximize)" in warning.message
    assert '"minimize" for a loss' in warning.hint
    for mode in ("maximize", "minimize"):
        assert forecast_here(changes, mode=mode).warnings == ()


def test_samples_of_a_batch_are_its_configurations() -> None:
    members = [{"optimizer": "Adam", "lr": 0.1}, {"optimizer": "SGD", "lr": 0.2}, 7]
    space = {"combine_params": {"_type": "choice", "_value": members}}
    tuner = {"builtinTunerName": "BatchTuner"}
    samples = forecast_here({"spec.searchSpace": space, "spec.tuner": tuner}).samples
    allowed = [*members[:2], {"combine_params": 7}]
    assert all(sample in allowed for sample in samples)


@pytest.mark.parametrize(
    ("tuner", "words"),
    [("TPE", "tried again"), ("GridSearch", "done after them"), ("Batch", "done after them")],
)
def test_too_few_configurations_end_or_repeat_by_tuner(tuner: str, words: str) -> None:
    space = {"x": {"_type": "choice", "_value": [1, 2, 3]}}
    changes = {"spec.searchSpace": space, "spec.tuner": {"builtinTunerName": tuner}}
    found = forecast_here({**LOCALLY_FINE, **changes})
    assert found.n_distinct == 3
    (warning,) = found.warnings
    assert words in warning.message
    enough = forecast_here({**LOCALLY_FINE, **changes, "spec.maxTrialNum": 3})
    assert enough.warnings == ()


def test_without_a_number_of_trials_few_configurations_end_or_repeat() -> None:
    space = {"spec.searchSpace": {"n": {"_type": "choice", "_value": [1, 2]}}}
    few = {**LOCALLY_FINE, **space, "spec.maxTrialNum": ABSENT}
    told = forecast_here(few)
    assert "tried again until the time is up" in told.warnings[0].message
    assert forecast_here({**few, "spec.tuner.builtinTunerName": "GridSearch"}).warnings == ()
    assert told.peak.pods == 2, "of trialConcurrency"


def test_peak_counts_every_replica_of_every_trial_at_once() -> None:
    resources = {
        "requests": {"cpu": "500m", "memory": "1Gi"},
        "limits": {"cpu": 2, "memory": "2Gi", "nvidia.com/gpu": 1},
    }
    task = small({f"{CONTAINER}.resources": resources})["spec"]["trainingConfig"]["tasks"][0]
    tasks = [{**task, "replicas": 2}, {**task, "type": "ps", "replicas": 1}]
    found = forecast_here({"spec.trainingConfig.tasks": tasks, "spec.trialConcurrency": 4})
    assert found.peak == Peak(pods=12, cpu=6.0, memory=12 * 2**30, gpu=12)
    few = forecast_here({"spec.trainingConfig.tasks": tasks, "spec.maxTrialNum": 1})
    assert few.peak == Peak(pods=3, cpu=1.5, memory=3 * 2**30, gpu=3)


def test_samples_are_ten_the_same_each_time_and_inside_the_space() -> None:
    spec = parse_manifest(small()).spec
    first, second = forecast_of(spec), forecast_of(spec)
    assert first.samples == second.samples
    assert len(first.samples) == N_SAMPLES
    assert all(spec.space.contains(sample) == [] for sample in first.samples)


@each("seed", range(20))
def test_any_manifest_can_be_looked_ahead_on_any_engine(seed: int) -> None:
    spec = parse_manifest(at_random(seed)).spec
    for runs_here in (True, False):
        json.dumps(forecast_of(spec, runs_here=runs_here).as_dict(), allow_nan=False)


def test_lines_are_found_where_the_text_is_known() -> None:
    text = dump_yaml(small({f"{CONTAINER}.workingDir": "here"}))
    parsed = parse_text(text)
    (problem,) = forecast_of(parsed.spec, line_of=parsed.line_of).problems
    assert problem.line is not None
    assert "workingDir: here" in text.splitlines()[problem.line - 1]


PBT = {"builtinTunerName": "PBTTuner"}


def test_population_based_training_needs_a_shared_directory_on_a_cluster() -> None:
    changes = {"spec.tuner": PBT}
    assert forecast_here({**LOCALLY_FINE, **changes}).problems == ()
    (problem,) = forecast_here({**LOCALLY_FINE, **changes}, runs_here=False).problems[-1:]
    assert problem.path == "spec.tuner.classArgs.all_checkpoint_dir"
    assert "required on a cluster" in problem.message
    given = {"spec.tuner": {**PBT, "classArgs": {"all_checkpoint_dir": "ckpt"}}}
    (problem,) = forecast_here({**LOCALLY_FINE, **given}).problems
    assert "absolute path, but got 'ckpt'" in problem.message


def test_an_assessor_beside_population_based_training_is_warned_about() -> None:
    assessor = {"builtinAssessorName": "Medianstop", "classArgs": {"start_step": 3}}
    warnings = forecast_here({"spec.tuner": PBT, "spec.assessor": assessor}).warnings
    assert [w.path for w in warnings if "checkpoint" in w.message] == ["spec.assessor"]


def test_a_forecast_that_never_comes_is_warned_about() -> None:
    assessor = {
        "builtinAssessorName": "Curvefitting",
        "classArgs": {"start_step": 20, "epoch_num": 20},
    }
    warnings = forecast_here({"spec.assessor": assessor}).warnings
    paths = [w.path for w in warnings if "ever be judged" in w.message]
    assert paths == ["spec.assessor.classArgs.start_step"]


HOME = os.path.expanduser("~")


@pytest.mark.parametrize("runs_here", [True, False])
@pytest.mark.parametrize(
    ("fields", "path", "message", "hint"),
    [
        (
            {"command": ["python3 train.py --lr 0.1 'a b'"]},
            "command[0]",
            "looks like a whole command line",
            "Write its words apart: python3, train.py, --lr, '0.1', 'a b'.",
        ),
        (
            {"command": ["python3", "x.py"], "args": ["--lr 0.1"]},
            "args[0]",
            "looks like an option and its value",
            "Write its words apart: --lr, '0.1'.",
        ),
        ({"command": ["~/bin/train"]}, "command[0]", "'~' stays", f"Write '{HOME}/bin/train'."),
        ({"command": ["t", "~"]}, "command[1]", "'~' stays", f"Write '{HOME}'."),
        ({"command": ["t", "--d=~/x"]}, "command[1]", "'~' stays", f"Write '--d={HOME}/x'."),
        (
            {"command": ["t"], "env": [{"name": "D", "value": "~/x"}]},
            "env[0].value",
            "'~' stays",
            f"Write '{HOME}/x'.",
        ),
        (
            {"command": ["t", "$LR"], "env": [{"name": "LR", "value": "1"}]},
            "command[1]",
            "'$LR' stays",
            "Write '$(LR)'.",
        ),
        ({"command": ["t", "${RANK}"]}, "command[1]", "'${RANK}' stays", "Write '$(RANK)'."),
        (
            {"command": ["t", "--data=$HOME/x"]},  # '$(HOME)' would stay as it is too
            "command[1]",
            "'$HOME' stays",
            "Write its value out, or set HOME in 'env' before and write '$(HOME)'.",
        ),
        ({"command": ["$CONDA/bin/t"]}, "command[0]", "'$CONDA' stays", "Write its value out"),
        (
            {"command": ["sh", "-c", "t"], "env": [{"name": "D", "value": "/x:$D2"}]},
            "env[0].value",
            "'$D2' stays",
            "Write its value out",
        ),
        ({"command": ["a", "&&", "b"]}, "command[1]", "'&&' is handed", "write [sh, -c"),
        ({"command": ["~/bin/sh", "-c", "x"]}, "command[0]", "'~' stays", "bin/sh'."),
    ],
)
def test_what_only_a_shell_would_do_is_told_before_it_runs(
    runs_here: bool, fields: dict[str, Any], path: str, message: str, hint: str
) -> None:
    changes: dict[str, Any] = {f"{CONTAINER}.{name}": value for name, value in fields.items()}
    if runs_here:
        changes |= LOCALLY_FINE
    found = forecast_here(changes, runs_here=runs_here)
    (warning,) = found.warnings
    assert (found.problems, warning.path) == ((), f"{CONTAINER_PATH}.{path}")
    assert message in warning.message
    if not runs_here and "~" in message:
        hint = "Write the directory out."  # whose home it will be is not known
    assert hint in warning.hint


@pytest.mark.parametrize(
    "command",
    [
        ["sh", "-c", "cd ~/x && python3 y.py --lr $LR > log"],
        ["/bin/bash", "-c", "~/run $LR | tee x"],
        ["python3", "-c", "-x if a else b"],
        ["python3", "x.py", "--message=hello world", "a b", "~user", "a~/b", "$5", "$(LR)", "$"],
        ["grep", "^a$", "a$b", "$$(x)", "$-", "x.$1"],
        ["python3", "x.py", "-1 2", "- x"],
    ],
)
def test_words_that_are_meant_so_are_not_warned_of(command: list[str]) -> None:
    assert forecast_here({**LOCALLY_FINE, f"{CONTAINER}.command": command}).warnings == ()


def test_a_path_extended_as_a_shell_would_is_told() -> None:
    changes = {f"{CONTAINER}.env": [{"name": "PATH", "value": "/x/bin:$PATH"}]}
    (warning,) = forecast_here({**LOCALLY_FINE, **changes}).warnings
    assert warning.path == f"{CONTAINER_PATH}.env[0].value"
    assert (warning.message[:13], warning.hint) == ("'$PATH' stays", "Write '$(PATH)'.")
    (warning,) = forecast_here(changes, runs_here=False).warnings
    assert warning.hint.startswith("Write its value out")  # nobody knows the image's


def test_a_home_directory_as_working_directory_is_refused_with_what_to_write() -> None:
    (problem,) = forecast_here({**LOCALLY_FINE, f"{CONTAINER}.workingDir": "~/code"}).problems
    assert problem.hint == f"'~' is not expanded. Write '{HOME}/code'."


def test_on_a_cluster_an_images_own_variable_cannot_be_extended() -> None:
    env = [
        {"name": "PATH", "value": "/x:$(PATH)"},
        {"name": "PATH", "value": "/y:$(PATH)"},
        {"name": "A", "value": "$$(A) $(B)"},
    ]
    (warning,) = forecast_here({f"{CONTAINER}.env": env}, runs_here=False).warnings
    assert warning.path == f"{CONTAINER_PATH}.env[0].value"
    assert "Kubernetes does not know the image's PATH" in warning.message
    assert forecast_here({**LOCALLY_FINE, f"{CONTAINER}.env": env}).warnings == ()

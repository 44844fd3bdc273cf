from __future__ import annotations

import json

import pytest

from experiments.manifest.local_spec import LocalSpec
from experiments.manifest.spec import (
    AIStoreSpec,
    lacks_limits,
    parse_manifest,
    parse_text,
    to_manifest,
)
from experiments.manifest.training_spec import main_container_index
from experiments.manifest.yaml_text import dump_yaml
from tests.manifest.manifests import ABSENT, CONTAINER, SPECIFICATION, TASK, at_random, small
from tests.many_cases import each


def test_the_specifications_own_manifest_is_accepted_without_a_warning() -> None:
    parsed = parse_text(SPECIFICATION.read_text("utf-8"))
    spec = parsed.spec
    assert parsed.warnings == ()
    assert spec.name == "experiment-sample"
    assert (spec.max_exec_seconds, spec.max_trials, spec.concurrency) == (7200, 50, 3)
    assert spec.space.as_json() == {
        "batch_size": {"_type": "choice", "_value": [512, 1024, 2048, 4096, 8092]},
        "learning_rate": {"_type": "choice", "_value": [0.0001, 0.001, 0.01, 0.1]},
    }
    assert spec.tuner is not None
    assert (spec.assessor, spec.advisor) == (None, None)
    assert spec.tuner.name == "TPE"
    assert spec.tuner.args.constant_liar_type == "min"
    assert (spec.optimize_mode, spec.maximizes) == ("minimize", False)
    (task,) = spec.training.tasks
    assert (spec.training.framework, task.type, task.replicas) == ("tensorflow", "worker", 1)
    assert task.template["spec"]["securityContext"] == {"runAsUser": 1000}
    assert task.template["spec"]["containers"][0]["command"] == ["python3", "dist_mnist.py"]


def test_the_specifications_manifest_is_written_back_with_the_same_meaning() -> None:
    text = SPECIFICATION.read_text("utf-8")
    again = parse_text(dump_yaml(to_manifest(parse_text(text).spec)))
    assert again.spec == parse_text(text).spec


@each("seed", range(60))
def test_parse_emit_parse_is_the_same(seed: int) -> None:
    given = at_random(seed)
    spec = parse_manifest(given).spec
    emitted = to_manifest(spec)
    assert parse_manifest(emitted) == parse_manifest(json.loads(json.dumps(emitted)))
    assert parse_manifest(emitted).spec == spec
    text = dump_yaml(emitted)
    from_text = parse_text(text)
    assert from_text.spec == spec
    assert dump_yaml(to_manifest(from_text.spec)) == text
    assert parse_text(json.dumps(given)).spec == spec
    templates = [task["template"] for task in given["spec"]["trainingConfig"]["tasks"]]
    assert [task.template for task in from_text.spec.training.tasks] == templates


@pytest.mark.parametrize("absent", ["maxTrialNum", "maxExecSeconds"])
def test_either_limit_may_be_missing_but_not_in_a_cluster(absent: str) -> None:
    spec = parse_manifest(small({f"spec.{absent}": ABSENT})).spec
    assert (spec.max_trials is None) == (absent == "maxTrialNum")
    assert (spec.max_exec_seconds is None) == (absent == "maxExecSeconds")
    written = to_manifest(spec)
    assert absent not in written["spec"]
    assert parse_manifest(written).spec == spec
    assert [problem.path for problem in lacks_limits(spec)] == [f"spec.{absent}"]
    assert lacks_limits(parse_manifest(small()).spec) == []


def test_how_trials_share_this_machine_is_read() -> None:
    given = {
        "python": "my-env",
        "trialsPerGpu": 3,
        "gpuMemory": "measured",
        "useActiveGpu": True,
        "gpuIndices": [2, 0],
        "preload": ["torch", "sklearn.linear_model"],
    }
    spec = parse_manifest(small({"spec.local": given})).spec
    assert spec.local == LocalSpec(
        python="my-env",
        trials_per_gpu=3,
        measures_memory=True,
        use_active_gpu=True,
        gpu_indices=(2, 0),
        preload=("torch", "sklearn.linear_model"),
    )
    assert to_manifest(spec)["spec"]["local"] == given
    assert parse_manifest(small({"spec.local": None})).spec.local == LocalSpec()


def test_two_specs_that_differ_anywhere_are_not_equal() -> None:
    base = parse_manifest(small()).spec
    for path, value in [
        ("metadata.name", "other"),
        ("spec.maxTrialNum", 11),
        ("spec.searchSpace", {"lr": {"_type": "loguniform", "_value": [0.0001, 0.2]}}),
        (f"{CONTAINER}.command", ["python"]),
        ("spec.tuner.builtinTunerName", "Random"),
        ("spec.tuner.classArgs", {"optimize_mode": "minimize"}),
    ]:
        assert parse_manifest(small({path: value})).spec != base, path


@pytest.mark.parametrize(
    "args",
    [
        {"optimize_mode": "minimize"},
        '{"optimize_mode": "minimize"}',
        '\n{"optimize_mode":"minimize"} ',
    ],
)
def test_class_args_are_json_text_or_a_mapping(args: object) -> None:
    spec = parse_manifest(small({"spec.tuner.classArgs": args})).spec
    assert spec.optimize_mode == "minimize"


@pytest.mark.parametrize("args", [ABSENT, None, "", "  ", {}, "{}"])
def test_without_class_args_the_default_is_to_maximize(args: object) -> None:
    path = {} if args is ABSENT else {"spec.tuner.classArgs": args}
    assert parse_manifest(small(path)).spec.optimize_mode == "maximize"


def test_search_space_is_json_text_or_a_mapping() -> None:
    space = {"x": {"_type": "uniform", "_value": [0, 1]}}
    as_mapping = parse_manifest(small({"spec.searchSpace": space})).spec
    as_text = parse_manifest(small({"spec.searchSpace": json.dumps(space)})).spec
    assert as_mapping == as_text


def test_the_order_of_parameters_survives() -> None:
    names = ["z", "a", "m", "b"]
    space = {name: {"_type": "uniform", "_value": [0, 1]} for name in names}
    text = dump_yaml(to_manifest(parse_manifest(small({"spec.searchSpace": space})).spec))
    assert list(parse_text(text).spec.space.parameters) == names


@pytest.mark.parametrize("key", ["aistore", "aimd", "em"])
def test_aistore_and_its_old_spellings(key: str) -> None:
    parsed = parse_manifest(small({f"spec.{key}": {"folder": "f", "secret": "s"}}))
    assert parsed.spec.aistore == AIStoreSpec("f", "s")
    assert [w.path for w in parsed.warnings] == ([] if key == "aistore" else [f"spec.{key}"])


def test_aistore_wins_over_an_old_spelling() -> None:
    parsed = parse_manifest(
        small({
            "spec.aimd": {"folder": "old", "secret": "old"},
            "spec.aistore": {"folder": "new", "secret": "new"},
        })
    )  # fmt: skip
    assert parsed.spec.aistore == AIStoreSpec("new", "new")


@pytest.mark.parametrize("storage", ["1Gi", "500M", "1.5Gi", ".5G", "2e9", "100m", 1000, "1E"])
def test_storage_is_a_quantity(storage: object) -> None:
    assert parse_manifest(small({"spec.storage": storage})).spec.storage == str(storage)


def test_scheduler_keeps_queue_and_priority() -> None:
    scheduler = {"t9kScheduler": {"queue": "default", "priority": 100}}
    spec = parse_manifest(small({"spec.trainingConfig.scheduler": scheduler})).spec
    assert spec.training.scheduler == scheduler
    assert parse_manifest(to_manifest(spec)).spec == spec


def test_null_counts_as_absent() -> None:
    nulls = {
        "metadata.namespace": None,
        "metadata.labels": None,
        "spec.storage": None,
        "spec.aistore": None,
        "spec.assessor": None,
        "spec.advisor": None,
        "spec.trainingConfig.scheduler": None,
        f"{TASK}.replicas": None,
        f"{TASK}.restartPolicy": None,
        f"{CONTAINER}.env": None,
        f"{CONTAINER}.resources": None,
        "status": None,
    }
    parsed = parse_manifest(small(nulls))
    assert parsed.warnings == ()
    assert parsed.spec.training.tasks[0].replicas == 1
    assert to_manifest(parsed.spec)["spec"].keys() == {
        "maxExecSeconds", "maxTrialNum", "trialConcurrency", "searchSpace", "trainingConfig",
        "tuner",
    }  # fmt: skip


def test_what_a_kubernetes_server_adds_is_ignored() -> None:
    parsed = parse_manifest(
        small({
            "metadata.uid": "1",
            "metadata.resourceVersion": "1",
            "metadata.creationTimestamp": "2024-01-01T00:00:00Z",
            "metadata.managedFields": [{}],
            "metadata.generation": 3,
            "status": {"phase": "DONE"},
        })
    )  # fmt: skip
    assert [w.path for w in parsed.warnings] == ["status"]
    assert to_manifest(parsed.spec)["metadata"] == {"name": "small"}


def test_generate_name_gives_the_name_without_random_letters() -> None:
    parsed = parse_manifest(small({"metadata": {"generateName": "mnist-"}}))
    assert parsed.spec.name == "mnist"
    assert [w.path for w in parsed.warnings] == ["metadata.generateName"]


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"spec.trialConcurrency": 11}, "spec.trialConcurrency", "maxTrialNum=10"),
        (
            {"spec.advisor": {"builtinAdvisorName": "Hyperband"}},
            "spec.advisor",
            "the tuner wins",
        ),
        (
            {"spec.assessor": {"builtinAssessorName": "Medianstop",
                               "classArgs": {"optimize_mode": "minimize"}}},
            "spec.assessor.classArgs.optimize_mode",
            "The tuner maximizes but the assessor minimizes",
        ),
        (
            {"spec.trainingConfig.type": "xgboost", f"{CONTAINER}.name": "xgboost"},
            "spec.trainingConfig.tasks",
            "needs a task of type 'master'",
        ),
        (
            {"spec.trainingConfig.type": "tensorflow", f"{CONTAINER}.name": "main"},
            f"{TASK}.template.spec.containers".replace(".0", "[0]"),
            "must be named 'tensorflow'",
        ),
        ({f"{TASK}.type": "Worker"}, "spec.trainingConfig.tasks[0].type", "letters: 'worker'"),
        (
            {f"{CONTAINER}.comand": ["x"]},
            f"{CONTAINER}.comand".replace(".0", "[0]"),
            "Kubernetes knows no field 'comand'",
        ),
        (
            {"spec.tuner.classArgs": {"population_size": 3}},
            "spec.tuner.classArgs.population_size",
            "ignored",
        ),
        (
            {"spec.searchSpace": {"x": {"_type": "choice", "_value": [1, 1, 2]}}},
            "spec.searchSpace.x",
            "",
        ),
    ],
)  # fmt: skip
def test_it_warns_but_accepts(changes: dict[str, object], path: str, words: str) -> None:
    (warning,) = parse_manifest(small(changes)).warnings
    assert warning.path.startswith(path)
    assert words in warning.message


def test_warnings_from_text_carry_lines() -> None:
    text = dump_yaml(small({"spec.trialConcurrency": 11}))
    (warning,) = parse_text(text).warnings
    assert warning.line is not None
    assert "trialConcurrency: 11" in text.splitlines()[warning.line - 1]


def test_the_main_container_is_the_frameworks_namesake_or_the_first() -> None:
    def template(*names: str) -> dict[str, object]:
        return {"spec": {"containers": [{"name": name} for name in names]}}

    assert main_container_index(template("side", "tensorflow"), "tensorflow") == 1
    assert main_container_index(template("side", "tensorflow"), "pytorch") == 0

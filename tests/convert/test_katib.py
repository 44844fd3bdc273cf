"""Katib's Experiments as manifests."""

from __future__ import annotations

from typing import Any

import pytest

from tests.convert.given import KATIB, container_of, converted, left_of, refused, spec_of

TYPED = 'parameterType: double, feasibleSpace: {min: "0.01", max: "0.05"}'


def test_an_experiment_is_carried_over() -> None:
    found = converted(KATIB)
    spec = spec_of(found)
    assert found.manifest["metadata"] == {"name": "random", "namespace": "kubeflow"}
    assert (spec["maxTrialNum"], spec["trialConcurrency"]) == (12, 3)
    assert spec["searchSpace"] == {"lr": {"_type": "uniform", "_value": [0.01, 0.05]}}
    assert spec["tuner"]["classArgs"] == {"optimize_mode": "minimize"}
    assert container_of(found) == {
        "name": "pytorch",
        "image": "mnist:1",
        "command": ["python3", "mnist.py", "--lr=$(params.lr)"],
    }
    assert "5: spec.objective.goal" in left_of(found)


@pytest.mark.parametrize(
    ("given", "entry"),
    [
        ("int, feasibleSpace: {min: '1', max: '4'}", ["randint", [1, 5]]),
        ("int, feasibleSpace: {min: '1', max: '9', step: '2'}", ["choice", [1, 3, 5, 7, 9]]),
        ("int, feasibleSpace: {min: '2', max: '8', step: '2'}", ["quniform", [2, 8, 2]]),
        ("double, feasibleSpace: {min: '0.01', max: '0.05', step: '0.01'}",
         ["quniform", [0.01, 0.05, 0.01]]),
        ("double, feasibleSpace: {min: '0.005', max: '0.025', step: '0.01'}",
         ["choice", [0.005, 0.015, 0.025]]),
        ("double, feasibleSpace: {min: '0.01', max: '1', distribution: logUniform}",
         ["loguniform", [0.01, 1]]),
        ("int, feasibleSpace: {min: '1', max: '8', distribution: logUniform}",
         ["qloguniform", [1, 8, 1]]),
        ("double, feasibleSpace: {min: '-3', max: '3', distribution: normal}", ["normal", [0, 1]]),
        ("discrete, feasibleSpace: {list: ['1', '2.5']}", ["choice", [1, 2.5]]),
        ("categorical, feasibleSpace: {list: [sgd, '1']}", ["choice", ["sgd", "1"]]),
    ],
)  # fmt: skip
def test_feasible_spaces_keep_whole_numbers_whole(given: str, entry: list[Any]) -> None:
    text = KATIB.replace(TYPED, f"parameterType: {given}")
    found = spec_of(converted(text))["searchSpace"]["lr"]
    assert [found["_type"], found["_value"]] == entry
    assert [type(v) for v in found["_value"]] == [type(v) for v in entry[1]] or "normal" in entry


@pytest.mark.parametrize(
    ("algorithm", "kind", "ours"),
    [
        ("grid", "tuner", "Auto"), ("tpe", "tuner", "TPE"), ("multivariate-tpe", "tuner", "TPE"),
        ("bayesianoptimization", "tuner", "GPTuner"), ("cmaes", "tuner", "CMA-ES"),
        ("sobol", "tuner", "Random"), ("pbt", "tuner", "PBTTuner"), ("own", "tuner", "Auto"),
    ],
)  # fmt: skip
def test_every_algorithm_is_mapped_or_named(algorithm: str, kind: str, ours: str) -> None:
    found = converted(KATIB.replace("algorithmName: random", f"algorithmName: {algorithm}"))
    assert spec_of(found)[kind]["builtinTunerName"] == ours
    assert ("algorithmName" in left_of(found)) == (algorithm in ("grid", "sobol", "pbt", "own"))


def test_hyperband_s_resource_is_the_budget_of_a_trial() -> None:
    text = KATIB.replace(
        "{algorithmName: random}",
        "{algorithmName: hyperband, algorithmSettings: [{name: resource_name, value: n},"
        " {name: eta, value: '2'}, {name: r_l, value: '9'}, {name: odd, value: x}]}",
    ).replace(
        "  trialTemplate:",
        f"    - {{name: n, {TYPED}}}\n  trialTemplate:",
    ).replace(
        "{name: learningRate, reference: lr}", "{name: learningRate, reference: n}"
    )  # fmt: skip
    found = converted(text)
    spec = spec_of(found)
    assert spec["advisor"]["classArgs"] == {"optimize_mode": "minimize", "eta": 2, "R": 9}
    assert list(spec["searchSpace"]) == ["lr"]
    assert container_of(found)["command"][2] == "--lr=$(params.TRIAL_BUDGET)"
    assert "has no setting like odd" in left_of(found)
    assert "names no parameter that is a trial's budget" not in left_of(found)


def test_a_hyperband_without_a_resource_is_told_of() -> None:
    left = left_of(converted(KATIB.replace("algorithmName: random", "algorithmName: hyperband")))
    assert "names no parameter that is a trial's budget" in left


@pytest.mark.parametrize(
    ("source", "directory"),
    [("", "/var/log/katib/tfevent/"), (", source: {fileSystemPath: {path: /logs}}", "/logs")],
)
def test_event_files_are_followed(source: str, directory: str) -> None:
    kind = f"  metricsCollectorSpec: {{collector: {{kind: TensorFlowEvent}}{source}}}\n"
    found = converted(KATIB.replace("  parallelTrialCount", f"{kind}  parallelTrialCount"))
    assert spec_of(found)["metrics"] == {"objective": "loss", "tensorboard": directory}


def test_early_stopping_and_the_trial_s_own_names() -> None:
    text = KATIB.replace(
        "  parallelTrialCount",
        "  earlyStopping: {algorithmName: medianstop, algorithmSettings:"
        " [{name: start_step, value: '4'}]}\n  parallelTrialCount",
    ).replace("reference: lr}", "reference: '${trialSpec.Name}'}")
    found = converted(text)
    assert spec_of(found)["assessor"]["classArgs"] == {"optimize_mode": "minimize", "start_step": 4}
    assert container_of(found)["command"][2] == "--lr=$(TUNER_TRIAL_JOB_ID)"


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("kind: Job", "kind: Workflow", "An Argo Workflow is no training job"),
        ("kind: Job", "kind: Novel", "A Novel is no training job"),
        ("reference: lr}", "reference: gone}", "has no 'gone'"),
        ("trialParameters.learningRate}", "trialParameters.rate}", "none of trialParameters"),
        ("restartPolicy: Never", "nodeName: '${trialParameters.learningRate}'", "stands outside"),
        ("algorithmName: random", "algorithmName: darts", "searches an architecture"),
        ('min: "0.01"', "min: low", "must have min and max"),
        ("parameterType: double", "parameterType: float", "must be int, double"),
        ("objectiveMetricName: loss", "x: loss", "is required"),
        ("    trialSpec:", "    configMap: {configMapName: t}\n    trialSpec:", "a ConfigMap"),
    ],
)
def test_what_cannot_be_is_refused(before: str, after: str, words: str) -> None:
    problems = refused(KATIB.replace(before, after))
    assert any(words in problem.message for problem in problems), problems
    assert any(problem.line for problem in problems)


def test_a_job_of_kubeflow_becomes_its_tasks() -> None:
    head, _, _ = KATIB.partition("      apiVersion: batch/v1")
    pod = ("{template: {spec: {containers: [{name: pytorch, image: a, command: "
           "[t, '${trialParameters.learningRate}']}]}}")  # fmt: skip
    found = converted(
        head + "      kind: PyTorchJob\n      spec:\n        pytorchReplicaSpecs:\n"
        f"          Master: {pod}, replicas: 1, restartPolicy: OnFailure}}\n"
        f"          Worker: {pod}, replicas: 2}}\n"
    )
    tasks = found.manifest["spec"]["trainingConfig"]["tasks"]
    assert [(t["type"], t["replicas"], t.get("restartPolicy")) for t in tasks] == [
        ("master", 1, "OnFailure"), ("worker", 2, None)]  # fmt: skip


def test_the_experiment_is_found_among_other_objects() -> None:
    config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n---\n"
    assert converted(config + KATIB).origin == "Katib"
    assert "holds 2 experiments" in refused(f"{KATIB}---\n{KATIB}")[0].message


POD = ("{template: {spec: {containers: [{name: pytorch, image: a, command: "
       "[t, '${trialParameters.learningRate}']}]}}")  # fmt: skip


def test_settings_of_the_job_itself_are_kept_or_told() -> None:
    job = KATIB.replace(
        "        template:",
        "        activeDeadlineSeconds: 60\n        completions: 2\n        template:",
    ).replace("      kind: Job", "      kind: Job\n      metadata: {labels: {a: b}}")
    found = converted(job)
    assert spec_of(found)["maxTrialSeconds"] == 60
    assert "completions: belongs to the job itself" in left_of(found)
    assert "labels: A trial's job has no labels" in left_of(found)
    head, _, _ = KATIB.partition("      apiVersion: batch/v1")
    found = converted(
        head + "      kind: PyTorchJob\n      spec:\n        nprocPerNode: '4'\n"
        "        runPolicy: {cleanPodPolicy: None, activeDeadlineSeconds: 9}\n"
        f"        pytorchReplicaSpecs:\n          Master: {POD}, replicas: 1}}\n"
        f"          Worker: {POD}, replicas: 0}}\n"
    )
    assert spec_of(found)["maxTrialSeconds"] == 9
    assert [t["type"] for t in found.manifest["spec"]["trainingConfig"]["tasks"]] == ["master"]
    for words in ("nprocPerNode", "cleanPodPolicy", "No Worker is started"):
        assert words in left_of(found)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("            containers:", "            initContainers: 3\n            containers:",
         "must be a list of containers"),
        ("    - {name: lr", f"    - {{name: lr, {TYPED}}}\n    - {{name: lr",
         "two parameters 'lr'"),
    ],
)  # fmt: skip
def test_odd_lists_are_refused(before: str, after: str, words: str) -> None:
    assert any(words in p.message for p in refused(KATIB.replace(before, after)))


@pytest.mark.parametrize(("value", "words"), [("latest", ""), ("min", "takes the smallest one")])
def test_which_value_counts_is_told_only_where_it_is_another(value: str, words: str) -> None:
    given = f"objectiveMetricName: loss, metricStrategies: [{{name: loss, value: {value}}}]"
    left = left_of(converted(KATIB.replace("objectiveMetricName: loss", given)))
    assert words in left
    assert ("printed last counts" in left) == bool(words)

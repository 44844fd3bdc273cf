"""NNI's configurations as manifests: what is carried over, what is said, what is refused."""

from __future__ import annotations

import pytest

from experiments.training.environment import expand
from tests.convert.given import (
    NNI_1,
    NNI_2,
    container_of,
    converted,
    left_of,
    refused,
    spec_of,
)


def test_version_2_is_carried_over_whole() -> None:
    found = converted(NNI_2)
    spec = spec_of(found)
    assert found.manifest["metadata"] == {"name": "mnist-run"}
    assert (spec["maxTrialNum"], spec["maxExecSeconds"], spec["trialConcurrency"]) == (10, 3600, 4)
    assert spec["searchSpace"] == {"lr": {"_type": "loguniform", "_value": [1e-05, 0.1]}}
    assert spec["tuner"] == {"builtinTunerName": "TPE", "classArgs": {"optimize_mode": "maximize"}}
    container = container_of(found)
    assert container["workingDir"] == "code"
    assert container["resources"] == {"limits": {"nvidia.com/gpu": 1}}
    shell, option, line = container["command"]
    assert (shell, option) == ("sh", "-c")
    assert expand(line, {"date": "x"}, {}) == "python3 mnist.py --data $HOME/$(date) $$"
    assert found.left == ()
    assert ("1h", "3600") in [(row.given, row.becomes) for row in found.rows]
    assert [(row.line, row.source, row.target) for row in found.rows][:2] == [
        (1, "experimentName", "metadata.name"),
        (2, "searchSpaceFile", "spec.searchSpace"),
    ]


@pytest.mark.parametrize(
    ("gone", "limits", "left"),
    [
        ("maxTrialNumber: 10", (None, 3600), ""),
        ("maxExperimentDuration: 1h", (10, None), ""),
        ("both", (1000, None), "The file sets no end: maxTrialNum is 1000 trials."),
    ],
)
def test_no_number_is_invented_where_one_limit_is_missing(gone, limits, left) -> None:
    lines = NNI_2.splitlines()
    kept = [line for line in lines if line != gone]
    if gone == "both":
        kept = [line for line in lines if not line.startswith("max")]
    found = converted("\n".join(kept))
    spec = spec_of(found)
    assert (spec.get("maxTrialNum"), spec.get("maxExecSeconds")) == limits
    assert left in left_of(found) if left else found.left == ()


def test_version_1_is_too_and_what_is_left_has_its_line() -> None:
    found = converted(NNI_1)
    spec = spec_of(found)
    assert (spec["maxTrialNum"], spec["maxExecSeconds"]) == (7, 1800)
    assert spec["tuner"]["classArgs"] == {"optimize_mode": "minimize", "kappa": 5}
    assert spec["assessor"]["builtinAssessorName"] == "Medianstop"
    assert left_of(found).startswith("11: tuner.classArgs.unheard: GPTuner here: unheard is not")
    assert "# - line 11: tuner.classArgs.unheard" in found.text


def test_names_are_read_as_nni_reads_them() -> None:
    text = "\n".join(
        line if line[0] == " " else f"{_snake(line.partition(':')[0])}:{line.partition(':')[2]}"
        for line in NNI_2.splitlines()
    )
    assert "max_trial_number" in text
    assert converted(text).manifest == converted(NNI_2).manifest


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)


@pytest.mark.parametrize(
    ("name", "kind", "ours"),
    [
        ("Random", "tuner", "Random"), ("BatchTuner", "tuner", "Batch"), ("GP", "tuner", "GPTuner"),
        ("Metis", "tuner", "MetisTuner"), ("PBTTuner", "tuner", "PBTTuner"),
        ("Evolution", "tuner", "Evolution"), ("Anneal", "tuner", "Anneal"),
        ("SMAC", "tuner", "Auto"), ("DNGOTuner", "tuner", "Auto"), ("TPE_legacy", "tuner", "TPE"),
        ("RegularizedEvolutionTuner", "tuner", "Evolution"), ("mine", "tuner", "Auto"),
        ("Hyperband", "advisor", "Hyperband"), ("GridSearch", "tuner", "Auto"),
        ("PPOTuner", "tuner", "Auto"),
    ],
)  # fmt: skip
def test_every_algorithm_is_mapped_or_named(name: str, kind: str, ours: str) -> None:
    space = '{"x": {"_type": "choice", "_value": [1, 2]}}' if name == "BatchTuner" else None
    files = {"search_space_json": space} if space else {}
    found = converted(NNI_2.replace("name: TPE", f"name: {name}"), **files)
    spec = spec_of(found)
    assert next(iter(v for k, v in spec[kind].items() if k.startswith("builtin"))) == ours
    if ours in ("Auto", "Evolution") and name not in ("Evolution",):
        assert "9: tuner" in left_of(found) or "10: tuner.name" in left_of(found)


@pytest.mark.parametrize(
    ("before", "after", "line", "words"),
    [
        ("name: TPE", "name: NetworkMorphism", 10, "builds its own networks"),
        ("maxExperimentDuration: 1h", "maxExperimentDuration: soon", 8, "a duration like 90s"),
        ("trialGpuNumber: 1", "trialGpuNumber: many", 5, "a whole number from 0"),
        ("trialConcurrency: 4", "trialConcurrency: 0", 6, "a whole number from 1"),
        ("search_space.json", "gone.json", 2, "'gone.json' cannot be read: no such file"),
        ("searchSpaceFile: search_space.json", "useAnnotation: true", 2, "comments of the code"),
        ("trialCommand: ", "# ", 1, "no trial command"),
        ("tuner:", "nothing:", 1, "neither tuner nor advisor"),
        ("tuner:\n  name: TPE", "tuner: TPE\nx:\n  name: TPE", 9, "must be a mapping"),
    ],
)
def test_what_cannot_be_is_refused_with_its_line(
    before: str, after: str, line: int, words: str
) -> None:
    problems = refused(NNI_2.replace(before, after))
    assert (problems[0].line, words in problems[0].message) == (line, True), problems


def test_a_bad_search_space_is_told_with_the_line_that_names_it() -> None:
    (problem,) = refused(NNI_2, search_space_json='{"lr": {"_type": "unifrm", "_value": [0, 1]}}')
    assert (problem.path, problem.line) == ("spec.searchSpace.lr._type", 2)
    (problem, *_) = refused(NNI_2, search_space_json="{,")
    assert problem.message.startswith("'search_space.json'")


def test_roles_of_a_cluster_become_tasks() -> None:
    text = NNI_1.replace("trainingServicePlatform: local", "trainingServicePlatform: kubeflow")
    head, _, _ = text.partition("trial:\n")
    found = converted(
        head + "trial:\n  codeDir: .\n"
        "  ps: {replicas: 2, command: python3 ps.py, cpuNum: 1, memoryMB: 8192, image: a:1}\n"
        "  worker: {replicas: 3, command: python3 w.py, gpuNum: 2}\n"
        "kubeflowConfig: {operator: tf-operator, nfs: {server: 10.10.10.10}}\n"
    )
    config = found.manifest["spec"]["trainingConfig"]
    assert config["type"] == "tensorflow"
    assert [(t["type"], t["replicas"]) for t in config["tasks"]] == [("worker", 3), ("ps", 2)]
    limits = config["tasks"][1]["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert limits == {"cpu": "1", "memory": "8192Mi"}
    assert "'kubeflow' is not carried over" in left_of(found)


def test_products_of_factors_are_written_out_and_bounded() -> None:
    space = (
        '{"x": {"_type": "factor", "_value": [12, 2]}, "y": {"_type": "discrete", "_value": [1]}}'
    )
    spec = spec_of(converted(NNI_2, search_space_json=space))
    expected = [[1, 12], [2, 6], [3, 4], [4, 3], [6, 2], [12, 1]]
    assert spec["searchSpace"]["x"] == {"_type": "choice", "_value": expected}
    assert spec["searchSpace"]["y"] == {"_type": "choice", "_value": [1]}
    huge = '{"x": {"_type": "factor", "_value": [536870912, 9]}}'
    assert "more than 5000 ways" in refused(NNI_2, search_space_json=huge)[0].message


def test_cyclic_and_huge_files_are_refused_quickly() -> None:
    assert "contains itself" in refused("a: &a [*a]\ntrialCommand: x")[0].message
    bomb = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 10)}]\n" for i in range(9)
    )
    assert "values" in refused(bomb + "trialCommand: x")[0].message
    assert "at most 1 MiB" in refused("#" * (2 << 20))[0].message


TEMPLATE = """\
apiVersion: frameworkcontroller.microsoft.com/v1
kind: Framework
spec:
  taskRoles:
    - name: worker
      taskNumber: 2
      task:
        pod:
          spec:
            containers:
              - {name: a, image: i, command: [python, mnist.py], resources: {limits: {cpu: 1}}}
"""


def test_a_template_of_frameworkcontroller_has_the_command() -> None:
    text = NNI_1.replace("  command: python3 main.py\n", "").replace("Platform: local", (
        "Platform: frameworkcontroller\nframeworkcontrollerConfig: {configPath: fc_json, x: 1}"
    )).replace("fc_json", "fc.json")  # fmt: skip
    found = converted(text, fc_json=TEMPLATE)
    (task,) = found.manifest["spec"]["trainingConfig"]["tasks"]
    assert (task["type"], task["replicas"]) == ("worker", 2)
    assert container_of(found) == {
        "name": "pytorch", "command": ["sh", "-c", "python mnist.py"], "image": "i",
        "workingDir": ".", "resources": {"limits": {"cpu": "1"}},
    }  # fmt: skip
    for beside, words in (
        ({}, "The template 'fc.json' cannot be read"),
        ({"fc_json": "a: 1"}, "has no spec.taskRoles"),
        ({"fc_json": "spec: {taskRoles: [1]}"}, "must have a task with a pod's containers"),
        ({"fc_json": "a: b: c"}, "not valid YAML"),
    ):
        assert any(words in p.message for p in refused(text, **beside)), words


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("useAnnotation: false", "useAnnotation: 'false'", ""),
        ("useAnnotation: false", "multiPhase: true", "A trial has one set of parameters"),
        ("searchSpacePath", "searchSpace: {a: {_type: choice, _value: [1]}}\nsearchSpacePath",
         "searchSpace stands in the file, too"),
        ("gpuNum: 0", "memoryMB: much", "'much' is no size"),
    ],
)  # fmt: skip
def test_nothing_is_left_in_silence(before: str, after: str, words: str) -> None:
    assert words in left_of(converted(NNI_1.replace(before, after)))


def test_openpai_s_cpus_and_memory_are_the_container_s() -> None:
    pai = "platform: openpai\n  trialCpuNumber: 2\n  trialMemorySize: 8GB\n  dockerImage: i"
    container = container_of(converted(NNI_2.replace("platform: local", pai)))
    assert container["resources"]["limits"] == {"cpu": "2", "memory": "8Gi", "nvidia.com/gpu": 1}
    assert container["image"] == "i"

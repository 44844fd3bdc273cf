"""Bad manifests: each is refused with the exact path, and words that say what must hold."""

from __future__ import annotations

from typing import Any

import pytest

from experiments.manifest.fields import NO_END
from experiments.manifest.spec import parse_manifest, parse_text
from experiments.manifest.yaml_text import dump_yaml
from experiments.problems import Problem, ProblemsError
from tests.manifest.manifests import ABSENT, CONTAINER, SPECIFICATION, TASK, small

TASK_PATH = "spec.trainingConfig.tasks[0]"
CONTAINER_PATH = f"{TASK_PATH}.template.spec.containers[0]"


def problems_of(manifest: Any) -> tuple[Problem, ...]:
    with pytest.raises(ProblemsError) as caught:
        parse_manifest(manifest)
    return caught.value.problems


def problems_of_text(text: str) -> tuple[Problem, ...]:
    with pytest.raises(ProblemsError) as caught:
        parse_text(text)
    return caught.value.problems


WHOLE = "must be a whole number"
BAD: list[tuple[str, Any, str, str, str]] = [
    # set at, value, path of the problem, in its message, in its hint
    ("apiVersion", ABSENT, "apiVersion", "required", "tensorstack.dev/v1beta1"),
    ("apiVersion", "tensorstack.dev/apis", "apiVersion", "must be 'tensorstack.dev/v1beta1'", ""),
    ("apiVersion", 1, "apiVersion", "must be text, but got 1", ""),
    ("kind", "Experiment", "kind", "must be 'AutoTuneExperiment', but got 'Experiment'", ""),
    ("metadta", {}, "metadta", "no field 'metadta'", "Did you mean 'metadata'?"),
    ("maxTrialNum", 3, "maxTrialNum", "no field", "spec.maxTrialNum"),
    ("metadata", ABSENT, "metadata.name", "required", "my-experiment"),
    ("metadata", "me", "metadata", "must be a mapping (name: value), but got the text 'me'", ""),
    ("metadata.name", ABSENT, "metadata.name", "required", "my-experiment"),
    ("metadata.name", "", "metadata.name", "required", ""),
    ("metadata.name", 12, "metadata.name", "must be text, but got 12", 'quotes: "12"'),
    ("metadata.name", True, "metadata.name", "must be text, but got true", 'quotes: "true"'),
    ("metadata.name", "My Exp", "metadata.name", "but got 'My Exp'", "Try 'my-exp'"),
    ("metadata.name", "-x-", "metadata.name", "letter or digit at both ends", "Try 'x'"),
    ("metadata.name", "实验", "metadata.name", "small letters", "my-experiment"),
    ("metadata.name", "x" * 64, "metadata.name", "at most 63", "Try"),
    ("metadata.name", "a..b", "metadata.name", "small letters", "Try 'a.b'"),
    ("metadata.namespace", "a.b", "metadata.namespace", "but got 'a.b'", ""),
    ("metadata.lables", {}, "metadata.lables", "no field", "Did you mean 'labels'?"),
    ("metadata.labels", {"a": 1}, "metadata.labels.a", "must be text, but got 1", 'quotes: "1"'),
    ("metadata.labels", {"a": None}, "metadata.labels.a", "got nothing", ""),
    ("metadata.labels", {"a": "b c"}, "metadata.labels.a", "but got 'b c'", ""),
    ("metadata.labels", {"a b": "c"}, 'metadata.labels["a b"]', "not a Kubernetes label", ""),
    ("spec", ABSENT, "spec", "required", ""),
    ("spec", [], "spec", "must be a mapping (name: value), but got a list", ""),
    ("spec.maxTrialNumber", 3, "spec.maxTrialNumber", "no field", "Did you mean 'maxTrialNum'?"),
    ("spec.maxtrialnum", 3, "spec.maxtrialnum", "no field", "Did you mean 'maxTrialNum'?"),
    ("spec.builtinTunerName", "TPE", "spec.builtinTunerName", "no field", "spec.tuner."),
    ("spec.zzz", 3, "spec.zzz", "no field", "Known here: maxExecSeconds"),
    ("spec.maxTrialNum", "50", "spec.maxTrialNum", WHOLE, "Drop the quotes: maxTrialNum: 50"),
    ("spec.maxTrialNum", "many", "spec.maxTrialNum", f"{WHOLE}, but got the text 'many'", ""),
    ("spec.maxTrialNum", 0, "spec.maxTrialNum", "at least 1, but got 0", ""),
    ("spec.maxTrialNum", -5, "spec.maxTrialNum", "at least 1, but got -5", ""),
    ("spec.maxTrialNum", 0.5, "spec.maxTrialNum", f"{WHOLE}, but got 0.5", ""),
    ("spec.maxTrialNum", True, "spec.maxTrialNum", f"{WHOLE}, but got true", ""),
    ("spec.maxTrialNum", [50], "spec.maxTrialNum", f"{WHOLE}, but got a list", ""),
    ("spec.maxTrialNum", 10**6 + 1, "spec.maxTrialNum", "at most 1000000, but got 1000001", ""),
    ("spec.maxTrialNum", 1e300, "spec.maxTrialNum", "at most 1000000, but got 1e+300", ""),
    ("spec.maxTrialNum", 10**400, "spec.maxTrialNum", "must be a number below 1e300", ""),
    ("spec.maxTrialNum", float("nan"), "spec.maxTrialNum", "must be a finite number", ""),
    ("spec.maxExecSeconds", 10**9 + 1, "spec.maxExecSeconds", "at most 1000000000", "7200"),
    ("spec.maxExecSeconds", "2h", "spec.maxExecSeconds", WHOLE, "Seconds"),
    ("spec.trialConcurrency", 0, "spec.trialConcurrency", "at least 1", ""),
    ("spec.trialConcurrency", 10_001, "spec.trialConcurrency", "at most 10000", ""),
    ("spec.searchSpace", ABSENT, "spec.searchSpace", "required", "loguniform"),
    ("spec.searchSpace", {}, "spec.searchSpace", "required", ""),
    ("spec.searchSpace", " ", "spec.searchSpace", "required", ""),
    ("spec.searchSpace", 3, "spec.searchSpace", "mapping or JSON text of one, but got 3", ""),
    ("spec.searchSpace", "[1]", "spec.searchSpace", "must be a JSON object {…}", ""),
    ("spec.searchSpace", '{"x": 1,}', "spec.searchSpace", "line 1, column 9", "comma"),
    ("spec.searchSpace", "{'x': 1}", "spec.searchSpace", "not valid JSON", "double quotes"),
    ("spec.searchSpace", '{"x": True}', "spec.searchSpace", "not valid JSON", "small letters"),
    ("spec.searchSpace", '{"x": 1 # no\n}', "spec.searchSpace", "not valid JSON", "no comments"),
    ("spec.searchSpace", '{"x": 1', "spec.searchSpace", "not valid JSON", "missing"),
    ("spec.searchSpace", '{"x": NaN}', "spec.searchSpace", "JSON has no NaN", "finite"),
    ("spec.searchSpace", '{"x": -Infinity}', "spec.searchSpace", "JSON has no -Infinity", ""),
    ("spec.searchSpace", '{"x": 1e999}', "spec.searchSpace.x", "must be a finite number", ""),
    ("spec.searchSpace", '{"x": ' + "9" * 5000 + "}", "spec.searchSpace", "number", ""),
    ("spec.searchSpace", "[" * 99_999, "spec.searchSpace", "nested too deeply", ""),
    ("spec.searchSpace", '{"x": 1, "x": 2}', "spec.searchSpace.x", "given twice", "Keep one"),
    (
        "spec.searchSpace", '{"x": {"_type": "uniform", "_type": "choice", "_value": [0, 1]}}',
        "spec.searchSpace.x._type", "given twice", "Keep one",
    ),
    (
        "spec.searchSpace", '{"x": {"_type": "choice", "_value": ["\\ud800"]}}',
        "spec.searchSpace.x._value[0]", "surrogates", "",
    ),
    (
        "spec.searchSpace", {"x": {"_type": "unifrom", "_value": [0, 1]}},
        "spec.searchSpace.x._type", "uniform", "uniform",
    ),
    (
        "spec.searchSpace", {"x": {"_type": "uniform", "_value": [2, 1]}},
        "spec.searchSpace.x._value", "", "",
    ),
    ("spec.storage", "lots", "spec.storage", "quantity above zero, but got the text 'lots'", "Gi"),
    ("spec.storage", "-1Gi", "spec.storage", "above zero", ""),
    ("spec.storage", "1GiB", "spec.storage", "quantity", ""),
    ("spec.storage", True, "spec.storage", "quantity", ""),
    ("spec.aistore", "f", "spec.aistore", "must be a mapping", ""),
    ("spec.aistore", {"folder": "f"}, "spec.aistore.secret", "required", "Secret"),
    ("spec.aimd", {"secret": "f"}, "spec.aimd.folder", "required", "folder"),
    (
        "spec.aistore", {"folder": "f", "secret": "s", "secrt": 1},
        "spec.aistore.secrt", "no field", "Did you mean 'secret'?",
    ),
    ("spec.tuner", ABSENT, "spec.tuner", "A tuner is required", "TPE"),
    ("spec.tuner", "TPE", "spec.tuner", "must be a mapping", "builtinTunerName"),
    ("spec.tuner", {}, "spec.tuner.builtinTunerName", "required", "TPE"),
    ("spec.tuner.builtinTunerName", "TPEE", "spec.tuner.builtinTunerName", "TPE", "mean TPE?"),
    ("spec.tuner.builtinTunerName", "Nope", "spec.tuner.builtinTunerName", "'Nope'", ""),
    ("spec.tuner.builtinTunerName", 3, "spec.tuner.builtinTunerName", "must be text", ""),
    ("spec.tuner.clasArgs", {}, "spec.tuner.clasArgs", "no field", "Did you mean 'classArgs'?"),
    ("spec.tuner.optimize_mode", "x", "spec.tuner.optimize_mode", "no field", "tuner.classArgs"),
    ("spec.tuner.classArgs", [], "spec.tuner.classArgs", "mapping or JSON text", ""),
    ("spec.tuner.classArgs", "x", "spec.tuner.classArgs", "not valid JSON", ""),
    (
        "spec.tuner.classArgs", {"optimize_mode": "max"},
        "spec.tuner.classArgs.optimize_mode", "maximize, minimize", "",
    ),
    (
        "spec.tuner.classArgs", {"constant_lair_type": "min"},
        "spec.tuner.classArgs.constant_lair_type", "", "constant_liar_type",
    ),
    (
        "spec.assessor", {"builtinAssessorName": "Medianstop", "classArgs": {"start_step": -1}},
        "spec.assessor.classArgs.start_step", "at least 0", "",
    ),
    (
        "spec.tuner", {"builtinTunerName": "GridSearch"},
        "spec.searchSpace.lr._type", "GridSearch cannot search loguniform", "GridSearch supports",
    ),
    ("spec.trainingConfig", ABSENT, "spec.trainingConfig", "required", "tensorflow, pytorch"),
    ("spec.trainingConfig", 3, "spec.trainingConfig", "must be a mapping", ""),
    ("spec.trainingConfig.type", ABSENT, "spec.trainingConfig.type", "required", "xgboost"),
    ("spec.trainingConfig.type", "torch", "spec.trainingConfig.type", "'torch' is not known",
     "Did you mean 'pytorch'?"),
    ("spec.trainingConfig.tasks", [], "spec.trainingConfig.tasks", "at least one entry", ""),
    ("spec.trainingConfig.tasks", {}, "spec.trainingConfig.tasks", "must be a list", ""),
    ("spec.trainingConfig.tasks", [None] * 33, "spec.trainingConfig.tasks", "at most 32 entries",
     ""),
    ("spec.trainingConfig.tasks", ["x"], TASK_PATH, "must be a mapping", ""),
    ("spec.trainingConfig.tasks", [None], TASK_PATH, "required", ""),
    ("spec.trainingConfig.task", [], "spec.trainingConfig.task", "no field", "mean 'tasks'?"),
    ("spec.trainingConfig.replicaSpecs", [], "spec.trainingConfig.replicaSpecs", "no field",
     "called 'tasks'"),
    ("spec.trainingConfig.scheduler", {"queue": "q"}, "spec.trainingConfig.scheduler.queue",
     "no field", "t9kScheduler"),
    ("spec.trainingConfig.scheduler", {"t9kScheduler": {}},
     "spec.trainingConfig.scheduler.t9kScheduler.queue", "required", ""),
    ("spec.trainingConfig.scheduler", {"t9kScheduler": {"queue": "q", "priority": 101}},
     "spec.trainingConfig.scheduler.t9kScheduler.priority", "at most 100, but got 101", ""),
    (f"{TASK}.type", ABSENT, f"{TASK_PATH}.type", "required", "worker"),
    (f"{TASK}.type", "my worker", f"{TASK_PATH}.type", "but got 'my worker'", ""),
    (f"{TASK}.replicas", 0, f"{TASK_PATH}.replicas", "at least 1", ""),
    (f"{TASK}.replicas", "2", f"{TASK_PATH}.replicas", WHOLE, "Drop the quotes"),
    (f"{TASK}.replica", 2, f"{TASK_PATH}.replica", "no field", "Did you mean 'replicas'?"),
    (f"{TASK}.restartPolicy", "never", f"{TASK_PATH}.restartPolicy", "'never' is not known",
     "Did you mean 'Never'?"),
    (f"{TASK}.template", ABSENT, f"{TASK_PATH}.template", "required", "PodTemplateSpec"),
    (f"{TASK}.template", {"containers": []}, f"{TASK_PATH}.template.spec", "required",
     "below 'template.spec'"),
    (f"{TASK}.template", {}, f"{TASK_PATH}.template", "required", ""),
    ("spec.trainingConfig", {}, "spec.trainingConfig", "required", ""),
    ("spec.aistore", {}, "spec.aistore", "required", ""),
    ("metadata", {}, "metadata.name", "required", ""),
    ("spec", {}, "spec", "required", ""),
    (f"{TASK}.template.spec", {}, f"{TASK_PATH}.template.spec", "required", ""),
    (f"{TASK}.template.spec.containers", [], f"{TASK_PATH}.template.spec.containers",
     "at least one entry", ""),
    (f"{TASK}.template.spec.containers", [{}] * 33, f"{TASK_PATH}.template.spec.containers",
     "must have at most 32 entries, but has 33", ""),
    (f"{TASK}.template.spec.containers", {"name": "x"}, f"{TASK_PATH}.template.spec.containers",
     "must be a list, but got a mapping", ""),
    (f"{CONTAINER}.name", "A_B", f"{CONTAINER_PATH}.name", "but got 'A_B'", ""),
    (f"{CONTAINER}.image", 3, f"{CONTAINER_PATH}.image", "must be text", ""),
    (f"{CONTAINER}.workingDir", ["/"], f"{CONTAINER_PATH}.workingDir", "must be text", ""),
    (f"{CONTAINER}.command", "python3 'my train.py' -v", f"{CONTAINER_PATH}.command",
     "must be a list of texts", "['python3', 'my train.py', '-v']"),
    (f"{CONTAINER}.command", ["x", 0.1], f"{CONTAINER_PATH}.command[1]", "got 0.1", '"0.1"'),
    (f"{CONTAINER}.args", ["x", None], f"{CONTAINER_PATH}.args[1]", "got nothing", "a bare ~"),
    (f"{CONTAINER}.args", [True], f"{CONTAINER_PATH}.args[0]", "got true", '"true"'),
    (f"{CONTAINER}.env", {"A": "b"}, f"{CONTAINER_PATH}.env", "must be a list", "- name: KEY"),
    (f"{CONTAINER}.env", [{"value": "b"}], f"{CONTAINER_PATH}.env[0].name", "required", ""),
    (f"{CONTAINER}.env", [{"name": "A", "value": 1}], f"{CONTAINER_PATH}.env[0].value",
     "must be text, but got 1", 'quotes: "1"'),
    (f"{CONTAINER}.env", [{"name": "A=B"}], f"{CONTAINER_PATH}.env[0].name", "'='", ""),
    (f"{CONTAINER}.env", [{"name": "A", "valu": "1"}], f"{CONTAINER_PATH}.env[0].valu", "no field",
     "Did you mean 'value'?"),
    (f"{CONTAINER}.env", [{"name": "A", "value": "1", "valueFrom": {}}],
     f"{CONTAINER_PATH}.env[0]", "not both", ""),
    ("spec.maxTrialSeconds", 0, "spec.maxTrialSeconds", "at least 1, but got 0", "one hour"),
    ("spec.maxTrialSeconds", 1.5, "spec.maxTrialSeconds", "whole number, but got 1.5", "one hour"),
    ("spec.maxTrialSeconds", "60", "spec.maxTrialSeconds", "whole", "Drop the quotes"),
    ("spec.local", 2, "spec.local", "must be a mapping (name: value), but got 2", "trialsPerGpu"),
    ("spec.local", {"trialPerGpu": 2}, "spec.local.trialPerGpu", "no field", "'trialsPerGpu'"),
    ("spec.local", {"maxTrialNumberPerGpu": 2}, "spec.local.maxTrialNumberPerGpu", "no field",
     "'trialsPerGpu'"),
    ("spec.local", {"gpuNum": 2}, "spec.local.gpuNum", "no field", "nvidia.com/gpu"),
    ("spec.local.trialsPerGpu", 0, "spec.local.trialsPerGpu", "at least 1, but got 0", ""),
    ("spec.local.trialsPerGpu", -1, "spec.local.trialsPerGpu", "at least 1, but got -1", ""),
    ("spec.local.trialsPerGpu", 1.5, "spec.local.trialsPerGpu", "whole number, but got 1.5", ""),
    ("spec.local.trialsPerGpu", "2", "spec.local.trialsPerGpu", "whole", "Drop the quotes"),
    ("spec.local.trialsPerGpu", True, "spec.local.trialsPerGpu", "whole number, but got true", ""),
    ("spec.local.trialsPerGpu", 1001, "spec.local.trialsPerGpu", "at most 1000", ""),
    ("spec.local.gpuMemory", "4Gi", "spec.local.gpuMemory", "'4Gi' is not known", "measured"),
    ("spec.local.gpuMemory", "", "spec.local.gpuMemory", "'' is not known", "measured"),
    ("spec.local.gpuMemory", True, "spec.local.gpuMemory", "must be text, but got true", ""),
    ("spec.local.useActiveGpu", "yes", "spec.local.useActiveGpu",
     "must be true or false, but got the text 'yes'", "Write true or false."),
    ("spec.local.useActiveGpu", 1, "spec.local.useActiveGpu", "true or false, but got 1", ""),
    ("spec.local.gpuIndices", 0, "spec.local.gpuIndices", "must be a list, but got 0", "[0, 2]"),
    ("spec.local.gpuIndices", "0,1", "spec.local.gpuIndices", "must be a list", "[0, 2]"),
    ("spec.local.gpuIndices", [], "spec.local.gpuIndices", "at least one entry", "Left out"),
    ("spec.local.gpuIndices", [-1], "spec.local.gpuIndices[0]", "at least 0, but got -1", ""),
    ("spec.local.gpuIndices", [0, 0.5], "spec.local.gpuIndices[1]", "whole number", ""),
    ("spec.local.gpuIndices", [0, None], "spec.local.gpuIndices[1]", "required", ""),
    ("spec.local.gpuIndices", [1, 1], "spec.local.gpuIndices[1]", "GPU 1 is given twice", ""),
    ("spec.local.gpuIndices", [*range(65)], "spec.local.gpuIndices", "at most 64 entries", ""),
    ("spec.local.preload", "torch", "spec.local.preload", "must be a list", "[torch]"),
    ("spec.local.preload", ["torch", 1], "spec.local.preload[1]", "must be text, but got 1", ""),
    ("spec.local.preload", [""], "spec.local.preload[0]", "required", "torch"),
    ("spec.local.preload", ["torch nn"], "spec.local.preload[0]", "but got 'torch nn'", "torch"),
    ("spec.local.preload", ["a;b"], "spec.local.preload[0]", "the dotted name of a module", ""),
    ("spec.local.preload", [".x"], "spec.local.preload[0]", "the dotted name of a module", ""),
    ("spec.local.preload", ["os", "os"], "spec.local.preload[1]", "'os' is given twice", ""),
    ("spec.local.python", 3.11, "spec.local.python", "must be text, but got 3.11", '"3.11"'),
    ("spec.local.python", "", "spec.local.python", "must be a path or a name", "conda"),
    ("spec.local.python", " py ", "spec.local.python", "without blanks at its ends", ""),
    ("spec.local.python", "a\nb", "spec.local.python", "on one line", ""),
    (f"{CONTAINER}.resources", {"limits": {"cpu": "two"}},
     f"{CONTAINER_PATH}.resources.limits.cpu", "must be a Kubernetes quantity", "500m"),
    (f"{CONTAINER}.resources", {"requests": {"memory": "-1"}},
     f"{CONTAINER_PATH}.resources.requests.memory", "must not be negative", ""),
]  # fmt: skip


@pytest.mark.parametrize(("where", "value", "path", "message", "hint"), BAD)
def test_each_mistake_is_named_with_its_path(
    where: str, value: Any, path: str, message: str, hint: str
) -> None:
    (problem,) = problems_of(small({where: value}))
    assert problem.path == path
    assert message in problem.message
    assert hint in problem.hint


@pytest.mark.parametrize("absent", [ABSENT, None])
def test_something_must_end_an_experiment(absent: Any) -> None:
    limits = {"spec.maxTrialNum": absent, "spec.maxExecSeconds": absent}
    (problem,) = problems_of(small(limits))
    assert (problem.path, problem.message) == ("spec.maxTrialNum", NO_END)
    (problem,) = problems_of(small({"spec.maxTrialNum": absent, "spec.maxExecSeconds": "2h"}))
    assert problem.path == "spec.maxExecSeconds", "what is wrong is told, not that it is absent"


@pytest.mark.parametrize(
    ("framework", "types", "path", "words"),
    [
        ("tensorflow", [("wroker", 1)], "tasks[0].type", "Did you mean 'worker'?"),
        ("tensorflow", [("node", 1)], "tasks[0].type", "Known here: worker, chief"),
        ("xgboost", [("master", 1), ("ps", 1)], "tasks[1].type", "Known here: master, worker"),
        ("tensorflow", [("worker", 1), ("worker", 2)], "tasks[1].type", "replicas"),
        ("tensorflow", [("chief", 2)], "tasks[0].replicas", ""),
        ("xgboost", [("master", 3)], "tasks[0].replicas", ""),
    ],
)
def test_replica_types_are_those_of_the_framework(
    framework: str, types: list[tuple[str, int]], path: str, words: str
) -> None:
    template = small()["spec"]["trainingConfig"]["tasks"][0]["template"]
    tasks = [{"type": kind, "replicas": n, "template": template} for kind, n in types]
    (problem,) = problems_of(small({"spec.trainingConfig": {"type": framework, "tasks": tasks}}))
    assert problem.path == f"spec.trainingConfig.{path}"
    assert words in problem.hint


@pytest.mark.parametrize(
    ("kind", "field", "name"),
    [
        ("assessor", "builtinAssessorName", "Nope"),
        ("advisor", "builtinAdvisorName", "Hyperbandit"),
    ],
)
def test_unknown_names_are_refused_for_every_kind(kind: str, field: str, name: str) -> None:
    changes = {f"spec.{kind}": {field: name}}
    if kind == "advisor":
        changes["spec.tuner"] = ABSENT  # type: ignore[assignment]
    (problem,) = problems_of(small(changes))
    assert problem.path == f"spec.{kind}.{field}"


def test_all_problems_are_told_at_once_in_the_order_of_the_text() -> None:
    text = SPECIFICATION.read_text("utf-8")
    for good, bad in [
        ("maxExecSeconds: 7200", "maxExecSeconds: -1"),
        ("maxTrialNum: 50", 'maxTrialNum: "50"'),
        ("trialConcurrency: 3", "trialConcurency: 3"),
        ('"choice", "_value": [512', '"choise", "_value": [512'),
        ("type: tensorflow", "type: tensorfow"),
        ("replicas: 1", "replicas: 0"),
        ("image: t9kpublic/tensorflow-1.15.2:tuner-2.23", "image: 3"),
        ("builtinTunerName: TPE", "builtinTunerName: TPEX"),
        ('"constant_liar_type": "min"', '"constant_liar_type": "min",'),
    ]:
        assert good in text
        text = text.replace(good, bad, 1)
    found = problems_of_text(text)
    assert [(p.path, p.line) for p in found] == [
        ("spec.trialConcurrency", 6),
        ("spec.maxExecSeconds", 7),
        ("spec.maxTrialNum", 8),
        ("spec.trialConcurency", 9),
        ("spec.searchSpace.batch_size._type", 12),
        ("spec.trainingConfig.type", 16),
        ("spec.trainingConfig.tasks[0].replicas", 19),
        ("spec.trainingConfig.tasks[0].template.spec.containers[0].image", 30),
        ("spec.tuner.builtinTunerName", 33),
        ("spec.tuner.classArgs", 38),
    ]


def test_a_duplicate_json_name_is_told_with_the_line_of_the_yaml_text() -> None:
    text = SPECIFICATION.read_text("utf-8").replace('"learning_rate"', '"batch_size"')
    (problem,) = problems_of_text(text)
    assert problem.path == "spec.searchSpace.batch_size"
    assert "again on line 3 of the text" in problem.message


def test_a_broken_manifest_that_is_no_mapping_at_all() -> None:
    for data in ([], "x", None, 3):
        (problem,) = problems_of(data)
        assert problem.path == ""


def test_data_deeper_or_odder_than_json_is_refused() -> None:
    deep: Any = "x"
    for _ in range(60):
        deep = [deep]
    assert "nested" in problems_of(small({f"{TASK}.template.metadata": deep}))[0].message
    assert "plain JSON" in problems_of(small({"spec.storage": {1, 2}}))[0].message
    assert "NUL" in problems_of(small({"metadata.name": "a\0b"}))[0].message
    assert "plain text" in problems_of(small({"metadata.labels": {1: "x"}}))[0].message


def test_every_problem_of_a_text_has_a_line() -> None:
    for where, value, *_ in BAD:
        manifest = small({where: value})
        try:
            text = dump_yaml(manifest)
        except (ValueError, OverflowError):
            continue
        for problem in problems_of_text(text):
            assert problem.line is not None, (where, value, problem)

"""The objects of each engine, compared with golden files and checked against Kubernetes' schemas.

Where a change is meant: ``UPDATE_GOLDEN=1 ./autotune test tests/training/test_manifests.py``, then
read the diff.
"""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from experiments.training.base import Launch, LaunchError, Task
from experiments.training.kubernetes.jobs import ENGINES, build, jobset, owned_by
from experiments.training.kubernetes.jobs.common import container_env

GOLDEN = Path(__file__).parent / "golden"


class NoAliases(yaml.SafeDumper):
    """Golden files are read by people: what occurs twice is written twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


NAMES = {"tensorflow": "tensorflow", "pytorch": "pytorch", "xgboost": "xgboost"}


def template(name: str, **container: Any) -> dict[str, Any]:
    given = {
        "name": name,
        "image": "registry.local/train:1",
        "command": ["python", "train.py"],
        "env": [
            {"name": "DATA", "value": "/data/$(TUNER_TRIAL_SEQ_ID)"},
            {"name": "TUNER_EXP_ID", "value": "mine"},
            {"name": "NO_PROXY", "value": "10.0.0.0/8"},
        ],
        "resources": {"limits": {"cpu": "2"}},
    }
    sidecar = {"name": "sidecar", "image": "registry.local/side:1"}
    return {
        "metadata": {"labels": {"team": "vision"}},
        "spec": {"containers": [{**given, **container}, sidecar]},
    }


def launch(framework: str, *tasks: Task, **fields: Any) -> Launch:
    values: dict[str, Any] = {
        "experiment_id": "abcd1234",
        "experiment_name": "sample",
        "trial_key": "k3y0a",
        "trial_number": 7,
        "attempt": 1,
        "framework": framework,
        "tasks": tasks,
        "parameters": {},
        "server_url": "http://autotune.team-a.svc:8080",
        "token": "T0K:en",
        "namespace": "team-a",
        "seconds_left": 1234.5,
    }
    return Launch(**(values | fields))


def task(type_: str, replicas: int, framework: str, restart: str = "") -> Task:
    return Task(type_, replicas, template(NAMES[framework]), restart)


MIXES: dict[str, tuple[str, list[tuple[str, int]]]] = {
    "tensorflow-1": ("tensorflow", [("worker", 1)]),
    "tensorflow-3": ("tensorflow", [("worker", 3)]),
    "tensorflow-mix": ("tensorflow", [("worker", 2), ("chief", 1), ("ps", 1), ("evaluator", 1)]),
    "pytorch-1": ("pytorch", [("worker", 1)]),
    "pytorch-3": ("pytorch", [("worker", 3)]),
    "pytorch-mix": ("pytorch", [("master", 1), ("worker", 2)]),
    "xgboost-1": ("xgboost", [("master", 1)]),
    "xgboost-mix": ("xgboost", [("master", 1), ("worker", 2)]),
}

# A TrainJob's nodes are all alike.
BUILT = [(e, mix) for mix in MIXES for e in ENGINES if (e, mix) != ("trainer", "tensorflow-mix")]


def described(mix: str, **fields: Any) -> Launch:
    framework, tasks = MIXES[mix]
    return launch(framework, *(task(t, n, framework) for t, n in tasks), **fields)


@pytest.mark.parametrize(("engine", "mix"), BUILT)
def test_objects_are_those_of_the_golden_file(engine: str, mix: str):
    objects, replicas = build(described(mix), engine)
    path = GOLDEN / f"{engine}-{mix}.yaml"
    found = {"replicas": replicas, "objects": objects}
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.dump(found, sort_keys=False, Dumper=NoAliases))
    assert found == yaml.safe_load(path.read_text())
    assert len(replicas) == sum(count for _type, count in MIXES[mix][1])


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("restart", ["", "Always", "OnFailure", "ExitCode"])
def test_core_objects_are_valid_kubernetes(mix: str, restart: str):
    framework, tasks = MIXES[mix]
    given = launch(framework, *(task(t, n, framework, restart) for t, n in tasks))
    objects, _replicas = build(given, "batch")
    for thing in objects:
        kubernetes_validate.validate(thing, "1.34", strict=True)


@pytest.mark.parametrize(("engine", "mix"), BUILT)
def test_every_pod_template_is_valid_and_every_container_is_told_of_the_server(
    engine: str, mix: str
):
    objects, _replicas = build(described(mix), engine)
    templates = list(templates_in(objects))
    assert templates
    for found in templates:
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {**found["metadata"], "name": "pod"},
            "spec": found["spec"],
        }
        kubernetes_validate.validate(pod, "1.34", strict=True)
        for container in found["spec"]["containers"]:
            env = {entry["name"]: entry.get("value") for entry in container["env"]}
            assert len(env) == len(container["env"]), "a name is given twice"
            assert env["AUTO_TUNE_SERVER_ADDR"] == "http://autotune.team-a.svc:8080/t/T0K:en"
            assert env["TUNER_EXP_ID"] == env["NNI_EXP_ID"] == "abcd1234"
            assert "autotune.team-a.svc" in env["NO_PROXY"] == env["no_proxy"]


def templates_in(thing: Any) -> Any:
    if isinstance(thing, dict):
        if "containers" in (thing.get("template") or {}).get("spec", {}):
            yield thing["template"]
        for value in thing.values():
            yield from templates_in(value)
    elif isinstance(thing, list):
        for value in thing:
            yield from templates_in(value)


@pytest.mark.parametrize("engine", ENGINES)
def test_building_changes_nothing_of_the_manifest(engine: str):
    given = described("pytorch-3")
    before = copy.deepcopy(given.tasks)
    build(given, engine)
    assert given.tasks == before


@pytest.mark.parametrize("engine", ENGINES)
def test_names_derive_from_the_attempt(engine: str):
    first, _ = build(described("pytorch-mix"), engine)
    again, _ = build(described("pytorch-mix"), engine)
    other, _ = build(described("pytorch-mix", attempt=2), engine)
    names = [thing["metadata"]["name"] for thing in first]
    assert names == [thing["metadata"]["name"] for thing in again]
    assert not set(names) & {thing["metadata"]["name"] for thing in other}
    assert names[0].startswith("at-abcd1234-7-1")


@pytest.mark.parametrize("engine", ENGINES)
def test_the_object_belongs_to_its_experiment(engine: str):
    owner = {"apiVersion": "a/v1", "kind": "K", "name": "n", "uid": "u"}
    objects, _ = build(described("tensorflow-1", owner=owner), engine)
    assert objects[0]["metadata"]["ownerReferences"] == [owner]


def test_what_comes_with_it_belongs_to_the_deciding_object():
    objects, _ = build(described("tensorflow-3"), "batch")
    accepted = copy.deepcopy(objects[0])
    accepted["metadata"]["uid"] = "u-1"
    service = owned_by(accepted, objects[1])
    assert service["metadata"]["ownerReferences"][0]["uid"] == "u-1"
    assert "ownerReferences" not in objects[1]["metadata"]


@pytest.mark.parametrize(("left", "seconds"), [(1234.2, 1265), (0.4, 31), (-3, 30)])
def test_a_job_does_not_outlive_its_experiment_by_much(left: float, seconds: int):
    for engine in set(ENGINES) - {"trainer"}:  # where it could never be raised
        objects, _ = build(described("tensorflow-1", seconds_left=left), engine)
        assert f'"activeDeadlineSeconds": {seconds}' in json.dumps(objects[0])


def test_a_variable_that_only_the_cluster_knows_stays_in_no_proxy():
    field = {"configMapKeyRef": {"name": "proxy", "key": "no"}}
    container = {"env": [{"name": "NO_PROXY", "valueFrom": field}]}
    env = {entry["name"]: entry for entry in container_env(described("tensorflow-1"), container)}
    assert env["AUTOTUNE_GIVEN_NO_PROXY"]["valueFrom"] == field
    assert env["NO_PROXY"]["value"] == "$(AUTOTUNE_GIVEN_NO_PROXY),autotune.team-a.svc"


def test_a_rank_in_an_indexed_job_is_its_index():
    objects, _ = build(described("tensorflow-3"), "batch")
    (container, _sidecar) = objects[0]["spec"]["template"]["spec"]["containers"]
    names = [entry["name"] for entry in container["env"]]
    env = {entry["name"]: entry for entry in container["env"]}
    assert names.index("RANK") < names.index("TF_CONFIG"), "$(RANK) sees earlier entries only"
    config = json.loads(env["TF_CONFIG"]["value"].replace("$(RANK)", "2"))
    assert config["task"] == {"type": "worker", "index": 2}
    hosts = [f"at-abcd1234-7-1-worker-{i}.at-abcd1234-7-1.team-a.svc:2222" for i in range(3)]
    assert config["cluster"] == {"worker": hosts}


def test_ranks_in_a_mix_are_literal_and_the_chief_comes_first():
    objects, replicas = build(described("tensorflow-mix"), "batch")
    assert replicas[0] == "chief-0"
    assert objects[0]["metadata"]["name"] == "at-abcd1234-7-1-chief-0"
    ranks = [
        entry["value"]
        for thing in objects[:-1]
        for entry in thing["spec"]["template"]["spec"]["containers"][0]["env"]
        if entry["name"] == "RANK"
    ]
    assert ranks == ["0", "1", "2", "3", "4"]


def test_in_a_job_set_the_index_of_a_job_is_its_rank():
    given = launch("tensorflow", task("ps", 2, "tensorflow"), task("worker", 3, "tensorflow"))
    (job_set,), replicas = build(given, "jobset")
    assert replicas == ["worker-0", "worker-1", "worker-2", "ps-0", "ps-1"]
    assert job_set["spec"]["successPolicy"]["targetReplicatedJobs"] == ["worker"]
    made = {job["name"]: job for job in job_set["spec"]["replicatedJobs"]}
    assert [(name, job["replicas"]) for name, job in made.items()] == [
        ("worker", 1), ("worker-rest", 2), ("ps", 2),
    ]  # fmt: skip
    assert jobset.jobs_of(job_set)[1:3] == [f"{given.name}-worker-rest-{i}" for i in range(2)]
    env = {
        name: {each["name"]: each for each in containers_of_job(job)[0]["env"]}
        for name, job in made.items()
    }
    field = {"fieldRef": {"fieldPath": f"metadata.annotations['{jobset.GLOBAL_INDEX}']"}}
    assert all(each["RANK"]["valueFrom"] == field for each in env.values())
    told = env["worker-rest"]["TF_CONFIG"]["value"].replace("$(RANK)", "2")
    assert json.loads(told)["task"] == {"type": "worker", "index": 2}
    told = env["ps"]["TF_CONFIG"]["value"].replace("$(AUTOTUNE_REPLICA_INDEX)", "1")
    assert json.loads(told)["task"] == {"type": "ps", "index": 1}
    hosts = [f"{given.name}-{host}.{given.name}.team-a.svc:2222" for host in
             ("worker-0-0", "worker-rest-0-0", "worker-rest-1-0")]  # fmt: skip
    assert json.loads(told)["cluster"]["worker"] == hosts


def containers_of_job(job: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = job["template"]["spec"]["template"]["spec"]["containers"]
    return found


@pytest.mark.parametrize(
    ("engine", "framework", "types", "said"),
    [
        ("kubeflow", "pytorch", ["ps", "node"], "tasks: a PyTorchJob tells apart"),
        ("kubeflow", "xgboost", ["worker"], "needs a task of type 'master'"),
        ("trainer", "tensorflow", ["chief", "ps"], "the nodes of a TrainJob are all alike"),
        ("tensorstack", "xgboost", ["worker"], "needs a task of type 'master'"),
        ("tensorstack", "tensorflow", ["boss"], "tasks[0].type: a TensorFlowTrainingJob has"),
        ("kubeflow", "tensorflow", ["boss"], "tasks[0].type: a TFJob has"),
        ("batch", "pytorch", ["w" * 50], "tasks[0].type: must be shorter"),
        ("batch", "pytorch", ["a", "w" * 50], "tasks[1].type: must be shorter"),
        ("jobset", "tensorflow", ["w" * 50, "chief"], "tasks[0].type: must be shorter"),
    ],
)
def test_what_an_engine_cannot_run_is_refused_with_its_path(
    engine: str, framework: str, types: list[str], said: str
):
    given = launch(framework, *(task(t, 1, framework) for t in types))
    with pytest.raises(LaunchError) as refused:
        build(given, engine)
    assert said in str(refused.value)
    assert str(refused.value).startswith("spec.trainingConfig.tasks")


@pytest.mark.parametrize("engine", ["tensorstack", "kubeflow"])
def test_the_container_a_controller_looks_for_must_be_there(engine: str):
    given = launch("tensorflow", Task("worker", 1, template("main")))
    with pytest.raises(LaunchError, match=r"tasks\[0\].*one must be named 'tensorflow'.*main"):
        build(given, engine)


def test_the_scheduler_reaches_those_who_know_it():
    scheduler = {"t9kScheduler": {"queue": "gpu", "priority": 5}}
    given = described("tensorflow-1", scheduler=scheduler)
    assert build(given, "tensorstack")[0][0]["spec"]["scheduler"] == scheduler
    policy = build(given, "kubeflow")[0][0]["spec"]["runPolicy"]
    assert policy["schedulingPolicy"] == {"queue": "gpu"}


def test_what_refers_to_no_proxy_finds_it_defined_before():
    env = [
        {"name": "CORP", "value": "10.0.0.0/8"},
        {"name": "no_proxy", "value": "$(CORP)"},
        {"name": "OPTS", "value": "-Dx=$(no_proxy)"},
    ]
    names = [e["name"] for e in container_env(described("tensorflow-1"), {"env": env})]
    places = [names.index(name) for name in ("CORP", "NO_PROXY", "no_proxy", "OPTS")]
    assert places == sorted(places)
    assert len(names) == len(set(names))


@pytest.mark.parametrize("engine", ENGINES)
def test_parameters_are_put_into_every_container_and_survive_the_kubelet(engine: str) -> None:
    given = template(
        "tensorflow", args=["--word=$(params.word)", "$$(params.word)", "$(TUNER_EXP_ID)"]
    )
    given["spec"]["containers"][0]["env"] = [{"name": "LR", "value": "$(params.lr)"}]
    given["spec"]["initContainers"] = [
        {"name": "first", "image": "x:1", "command": ["fetch", "$(params.lr)"]}
    ]
    before = copy.deepcopy(given)
    parameters = {"lr": 1e-05, "word": "$(HOME) costs 5$"}
    trial = launch("tensorflow", Task("worker", 1, given), parameters=parameters)
    built = json.dumps(build(trial, engine)[0])
    assert "--word=$$(HOME) costs 5$$" in built  # the kubelet makes one $ of two
    assert '"$$(params.word)", "$(TUNER_EXP_ID)"' in built
    assert '{"name": "LR", "value": "1e-05"}' in built
    assert '["fetch", "1e-05"]' in built
    assert given == before

"""Whole experiments on a real API server, with each engine, framework and number of replicas."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments.loop.reconcile import reconcile
from experiments.models import Experiment, Trial
from experiments.states import TrialState
from experiments.training.base import Launch, Task
from experiments.training.kubernetes.backend import KubernetesBackend
from experiments.training.kubernetes.discovery import Served
from experiments.training.kubernetes.jobs import build
from experiments.trials import changes
from experiments.trials.backends import backend
from experiments.trials.launching import launch_of, sample_launch
from tests.kube.control_plane import ControlPlane
from tests.kube.driving import drive, experiment, tasks
from tests.kube.installed import install_base
from tests.kube.kubelet import Kubelet

pytestmark = pytest.mark.usefixtures("kubelet", "trial_url")

ENGINES = ("trainer", "tensorstack", "kubeflow", "jobset", "batch")
MIXES: dict[tuple[str, int], dict[str, int]] = {
    ("tensorflow", 1): {"worker": 1},
    ("tensorflow", 3): {"worker": 3},
    ("pytorch", 1): {"worker": 1},
    ("pytorch", 3): {"worker": 3},
    ("xgboost", 1): {"master": 1},
    ("xgboost", 3): {"master": 1, "worker": 2},
}


def logs_of(row: Experiment, number: int = 0) -> dict[str, str]:
    handle = row.trials.get(number=number).handle
    return {
        log.name: backend().read_log(handle, log.name, 0, 1 << 20).decode()
        for log in backend().logs(handle)
    }


@pytest.mark.parametrize("engine", ENGINES)
def test_every_framework_runs_with_one_and_with_three_replicas(
    engine: str, namespace: str, use_engine: Any, control_plane: ControlPlane
):
    use_engine(engine)
    rows = {  # long enough for helpers to start: what has not when rank 0 ends never will
        key: experiment(namespace, key[0], tasks(key[0], types, 2 if key[1] > 1 else 0))
        for key, types in MIXES.items()
    }
    drive(rows.values(), what=f"six experiments with {engine}")
    for (framework, count), row in rows.items():
        trials = [(t.state, t.reason, t.value) for t in row.trials.all()]
        assert row.phase == "DONE", (framework, count, row.message, trials)
        assert [state for state, _, _ in trials] == ["SUCCEEDED", "SUCCEEDED"], trials
        assert all(value is not None for _, _, value in trials)
        logs = logs_of(row)
        assert len(logs) == count, (framework, logs)
        first = next(iter(logs.values()))
        assert first.endswith("done\n"), "the deciding replica's log comes first, and is whole"
        given = [json.loads(text.splitlines()[0]) for text in logs.values()]
        if framework == "tensorflow":
            configs = [json.loads(each["TF_CONFIG"]) for each in given]
            assert sorted(config["task"]["index"] for config in configs) == list(range(count))
            assert len(configs[0]["cluster"]["worker"]) == count
        else:
            assert sorted(int(each["RANK"]) for each in given) == list(range(count))
            assert {each["WORLD_SIZE"] for each in given} == {str(count)}
            assert all(each["MASTER_ADDR"] for each in given)
        assert all("127.0.0.1" in each["NO_PROXY"] for each in given)
    created = [
        (event["objectRef"]["resource"], event["objectRef"]["name"])
        for event in control_plane.audit()
        if event["verb"] == "create"
        and event["objectRef"].get("namespace") == namespace
        and event["responseStatus"]["code"] == 201
        and event["objectRef"].get("name", "").startswith("at-")
        and event["objectRef"]["resource"] not in ("pods", "events", "endpointslices", "endpoints")
        and "subresource" not in event["objectRef"]
    ]
    assert len(created) == len(set(created)), "a job was made twice"


@pytest.mark.parametrize("engine", ENGINES[1:])  # a TrainJob's nodes are all alike
def test_parameter_servers_go_when_the_chief_has_ended(
    engine: str, namespace: str, use_engine: Any, kubelet: Kubelet, control_plane: ControlPlane
):
    use_engine(engine)
    types = {"chief": 1, "worker": 1, "ps": 1, "evaluator": 1}
    row = experiment(namespace, "tensorflow", tasks("tensorflow", types, 1, "chief"), maxTrialNum=1)
    drive(row)
    assert row.phase == "DONE", (row.message, list(row.trials.values_list("state", "reason")))
    assert row.trials.get().state == "SUCCEEDED"

    def left() -> bool:
        pods = json.loads(control_plane.kubectl("get", "pods", "-n", namespace, "-o", "json"))
        phases = [pod["status"].get("phase") for pod in pods["items"]]
        return "Running" not in phases and "Pending" not in phases

    drive(row, left, "the end of ps and evaluator")
    logs = logs_of(row)
    assert next(iter(logs)) == "chief-0.log"
    assert "waiting for ever" in logs["ps-0.log"]


def test_auto_takes_the_best_that_the_cluster_serves(
    namespace: str, use_engine: Any, control_plane: ControlPlane
):
    row = experiment(namespace, "pytorch", tasks("pytorch", {"worker": 1}), maxTrialNum=1)
    use_engine("auto")
    drive(row)
    assert row.phase == "DONE", row.message
    assert row.trials.get().handle["kind"] == "TrainJob"
    found = control_plane.kubectl("get", "trainjobs", "-n", namespace, "-o", "name")
    assert row.trials.get().handle["name"] in found
    # and another where the best cannot say it
    servers = tasks("tensorflow", {"chief": 1, "ps": 1})
    assert made(experiment(namespace, "tensorflow", servers)) == ["TensorFlowTrainingJob"]
    alike = tasks("pytorch", {"worker": 1})
    launch = sample_launch(experiment(namespace, "pytorch", alike).spec, namespace=namespace)
    queued = replace(launch, scheduler={"t9kScheduler": {"queue": "q"}})
    (job,) = backend().documents(queued)
    assert job["kind"] == "PyTorchTrainingJob", "T9k's scheduler knows T9k's jobs"


def test_what_no_train_job_can_say_is_a_job_set(
    namespace: str, use_engine: Any, monkeypatch: pytest.MonkeyPatch
):
    """Nor what can, where Trainer is not there; and elsewhere it is plain Jobs."""
    here = {"trainer.kubeflow.org", "jobset.x-k8s.io", "batch"}
    monkeypatch.setattr(
        Served, "has_all", lambda _, kinds: kinds[0].group_version.split("/")[0] in here
    )
    use_engine("auto")
    alike = experiment(namespace, "pytorch", tasks("pytorch", {"worker": 2}))
    mixed = tasks("tensorflow", {"worker": 2, "ps": 1}, 1, "worker")
    row = experiment(namespace, "tensorflow", mixed, maxTrialNum=1)
    assert made(alike) == ["TrainingRuntime", "TrainJob"]
    assert made(row) == ["JobSet"]
    drive(row)
    assert row.phase == "DONE", (row.message, list(row.trials.values_list("state", "reason")))
    logs = logs_of(row)
    assert list(logs) == ["worker-0.log", "worker-1.log", "ps-0.log"]
    told = [json.loads(log.splitlines()[0]) for log in logs.values()]
    assert [each["RANK"] for each in told] == ["0", "1", "2"]
    places = [json.loads(each["TF_CONFIG"])["task"] for each in told]
    assert [(each["type"], each["index"]) for each in places] == [
        ("worker", 0), ("worker", 1), ("ps", 0),
    ]  # fmt: skip
    here.discard("trainer.kubeflow.org")
    assert made(alike) == ["JobSet"]
    here.discard("jobset.x-k8s.io")
    assert made(alike) == ["Job", "Service"]


def made(row: Experiment) -> list[str]:
    """The kinds of the objects that a trial of it would be."""
    found = backend().documents(sample_launch(row.spec, namespace=row.project.namespace))
    return [thing["kind"] for thing in found]


def test_a_train_job_carries_the_whole_template(
    namespace: str, use_engine: Any, control_plane: ControlPlane
):
    use_engine("trainer")
    helper = {"name": "helper", "image": "registry.local/helper:1", "command": ["true"]}
    rows = tasks("pytorch", {"worker": 2}, 1, restart="ExitCode")
    pod = rows[0]["template"]["spec"]
    pod["containers"].insert(0, helper)
    pod["terminationGracePeriodSeconds"] = 7
    row = experiment(namespace, "pytorch", rows, maxTrialNum=1)
    assert made(row) == ["TrainingRuntime", "TrainJob"], "in the order of kubectl apply"
    drive(row)
    assert row.phase == "DONE", (row.message, list(row.trials.values_list("state", "reason")))
    (job,) = json.loads(control_plane.kubectl("get", "jobs", "-n", namespace, "-o", "json"))[
        "items"
    ]
    template = job["spec"]["template"]["spec"]
    assert [each["name"] for each in template["containers"]] == ["helper", "node"]
    assert template["terminationGracePeriodSeconds"] == 7
    codes = job["spec"]["podFailurePolicy"]["rules"][1]["onExitCodes"]
    assert codes["containerName"] == "node"
    given = [json.loads(log.splitlines()[0]) for log in logs_of(row).values()]
    assert {each["PET_NNODES"] for each in given} == {"2"}, "what torchrun reads"
    runtimes = json.loads(
        control_plane.kubectl("get", "trainingruntimes", "-n", namespace, "-o", "json")
    )
    (owner,) = runtimes["items"][0]["metadata"]["ownerReferences"]
    assert owner["kind"] == "TrainJob", "it goes with its trial"


@pytest.mark.parametrize("engine", ENGINES)
def test_deleting_an_experiment_leaves_nothing(
    engine: str, namespace: str, use_engine: Any, kubelet: Kubelet, control_plane: ControlPlane
):
    found: KubernetesBackend = use_engine(engine)
    row = experiment(namespace, "pytorch", tasks("pytorch", {"worker": 3}, 600))
    drive(
        row,
        lambda: all(t.n_reports for t in row.trials.all()) and row.trials.count() == 2,
        "two trials that report",
    )
    handles = [trial.handle for trial in row.trials.all()]
    Experiment.objects.filter(pk=row.pk).update(deleting=True)
    drive(row, lambda: not Experiment.objects.filter(pk=row.pk).exists(), "the deletion")
    kinds = "trainjobs,trainingruntimes,jobsets,jobs,services,pytorchjobs,pytorchtrainingjobs,pods"

    def nothing_left() -> bool:
        return control_plane.kubectl("get", kinds, "-n", namespace, "-o", "name") == ""

    drive([], nothing_left, "the end of all objects and pods", timeout_s=90)
    assert all(found.logs(handle) == [] for handle in handles)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_job_whose_launch_nobody_wrote_down_is_found_and_stopped_with_its_trial(
    engine: str,
    namespace: str,
    use_engine: Any,
    control_plane: ControlPlane,
    monkeypatch: pytest.MonkeyPatch,
):
    use_engine(engine)
    rows = tasks("pytorch", {"worker": 3}, 600)
    row = experiment(namespace, "pytorch", rows, maxTrialNum=1, trialConcurrency=1)

    def die(*_: Any, **__: Any) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(Trial, "move", die)
        with pytest.raises(SystemExit):
            reconcile(row.pk)
    trial = row.trials.get()
    assert (trial.state, trial.handle) == ("WAITING", None)
    kinds = "trainjobs,trainingruntimes,jobsets,jobs,services,pytorchjobs,pytorchtrainingjobs,pods"

    def there_are() -> str:
        return control_plane.kubectl("get", kinds, "-n", namespace, "-o", "name")

    assert there_are()
    launch = launch_of(row, row.spec, trial)
    found = backend().find(launch)
    assert found is not None
    assert found == backend().launch(launch), "the handle that launching it gave"
    assert backend().find(replace(launch, attempt=2)) is None
    changes.request_stop(trial, TrialState.CANCELED, "Killed.")
    drive(row, lambda: row.trials.get().state == "CANCELED", "the cancellation")
    drive([], lambda: not there_are(), "the end of all objects and pods", timeout_s=90)


@pytest.mark.parametrize(("engine", "kind"), [("trainer", "trainjobs"), ("jobset", "jobsets")])
def test_what_a_controller_makes_is_held_to_the_policy_of_its_namespace(
    engine: str, kind: str, namespace: str, control_plane: ControlPlane, tmp_path: Path
):
    """Past us: whoever may create TrainJobs or JobSets where trials run."""
    install_base(control_plane, namespace, tmp_path)
    given = launch_of_tasks(tasks("pytorch", {"worker": 1}, hostNetwork=True))
    objects, _ = build(replace(given, namespace=namespace), engine)
    for thing in objects[::-1]:
        control_plane.kubectl("create", "-f", "-", text=json.dumps(thing))

    def refused() -> bool:
        return any(
            event["verb"] == "create"
            and event["objectRef"]["resource"] == "jobs"
            and event["objectRef"].get("namespace") == namespace
            and event["responseStatus"]["code"] in (403, 422)
            and "hostNetwork" in event["responseStatus"].get("message", "")
            for event in control_plane.audit()
        )

    drive([], refused, "the refusal")
    assert control_plane.kubectl("get", "jobs,pods", "-n", namespace, "-o", "name") == ""
    control_plane.kubectl("delete", kind, "--all", "-n", namespace)


def launch_of_tasks(rows: list[dict[str, Any]]) -> Launch:
    """A launch of these tasks, as if nobody had looked at them."""
    (row,) = rows
    task = Task(row["type"], row["replicas"], row["template"])
    return Launch(
        experiment_id="attack00",
        experiment_name="attack",
        trial_key="00000",
        trial_number=0,
        attempt=1,
        framework="pytorch",
        tasks=(task,),
        parameters={},
        server_url="http://127.0.0.1:1",
        token="t",
    )

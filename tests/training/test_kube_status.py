"""What cluster objects mean for a trial: each engine's rules, and the ways a pod does not run."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from experiments.training.base import JobState, JobStatus
from experiments.training.kubernetes.backend import KubernetesBackend
from experiments.training.kubernetes.jobs import REPLICA_LABEL
from experiments.training.kubernetes.status import (
    by_rank,
    is_ended,
    longer,
    pod_trouble,
    replica_name,
    status_of,
)

INDEX = "batch.kubernetes.io/job-completion-index"


def job(kind: str, **status: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": "at-x-1-1"}, "status": status}


def condition(type_: str, status: str = "True", **more: Any) -> dict[str, Any]:
    return {"type": type_, "status": status, **more}


def pod(name: str, labels: dict[str, str], hostname: str = "", **status: Any) -> dict[str, Any]:
    spec = {"containers": [{"name": "sidecar"}, {"name": "pytorch"}]}
    if hostname:
        spec["hostname"] = hostname  # type: ignore[assignment]
    meta = {"name": name, "labels": labels, "creationTimestamp": status.pop("made", "1")}
    return {"metadata": meta, "spec": spec, "status": status}


def in_job_set(type_: str, replicated_job: str, index: int, in_job: int = 0) -> dict[str, str]:
    prefix = "jobset.sigs.k8s.io"
    found = {f"{prefix}/replicatedjob-name": replicated_job, f"{prefix}/job-index": str(index)}
    return {**found, REPLICA_LABEL: type_, INDEX: str(in_job)}


def container(name: str = "pytorch", **state: Any) -> dict[str, Any]:
    return {"name": name, "restartCount": 0, "state": state}


@pytest.mark.parametrize(
    ("phase", "state"),
    [
        (None, JobState.PENDING),
        ("Pending", JobState.PENDING),
        ("Running", JobState.RUNNING),
        ("Paused", JobState.PENDING),
        ("Resuming", JobState.PENDING),
        ("Unknown", JobState.RUNNING),
        ("Succeeded", JobState.SUCCEEDED),
        ("Failed", JobState.FAILED),
    ],
)
def test_a_training_job_says_its_phase(phase: str | None, state: JobState):
    found = job("PyTorchTrainingJob", **({"phase": phase} if phase else {}))
    assert status_of(found, []).state is state
    assert is_ended(found) == (state in (JobState.SUCCEEDED, JobState.FAILED))


@pytest.mark.parametrize("kind", ["TFJob", "Job"])
@pytest.mark.parametrize(
    ("conditions", "state"),
    [
        ([], JobState.PENDING),
        ([condition("Created")], JobState.PENDING),
        ([condition("Created"), condition("Running")], JobState.RUNNING),
        ([condition("Running", "False"), condition("Succeeded")], JobState.SUCCEEDED),
        ([condition("Running", "False"), condition("Complete")], JobState.SUCCEEDED),
        ([condition("Running", "False"), condition("Failed")], JobState.FAILED),
        ([condition("Failed", "False"), condition("Running")], JobState.RUNNING),
        ([condition("FailureTarget")], JobState.PENDING),
        ([condition("SuccessCriteriaMet")], JobState.PENDING),
        ([condition("Suspended")], JobState.PENDING),
    ],
)
def test_other_jobs_say_it_with_a_condition_that_is_true(
    kind: str, conditions: list[dict[str, Any]], state: JobState
):
    assert status_of(job(kind, conditions=conditions), []).state is state


def test_a_plain_job_runs_when_a_pod_does():
    found = job("Job", active=1)
    assert status_of(found, [pod("p", {}, phase="Pending")]).state is JobState.PENDING
    assert status_of(found, [pod("p", {}, phase="Running")]).state is JobState.RUNNING


@pytest.mark.parametrize(
    ("name", "labels", "hostname", "expected"),
    [
        ("at-x-1-1-worker-2-abcde", {REPLICA_LABEL: "worker", INDEX: "2"}, "", "worker-2"),
        ("at-x-1-1-ps-1-abcde", {REPLICA_LABEL: "ps"}, "ps-1", "ps-1"),
        ("at-x-1-1-ps-1-0-abcde", in_job_set("ps", "ps", 1), "", "ps-1"),
        ("at-x-1-1-ps-rest-1-0-abcde", in_job_set("ps", "ps-rest", 1), "", "ps-2"),
        ("at-x-1-1-node-0-2-abcde", in_job_set("worker", "node", 0, 2), "", "worker-2"),
        ("at-x-1-1-0f3ab-worker-1", {REPLICA_LABEL: "worker"}, "", "worker-1"),
        (
            "at-x-1-1-master-0",
            {
                REPLICA_LABEL: "worker",
                "training.kubeflow.org/replica-type": "master",
                "training.kubeflow.org/replica-index": "0",
            },
            "",
            "master-0",
        ),
    ],
)
def test_pods_of_every_engine_are_told_apart(
    name: str, labels: dict[str, str], hostname: str, expected: str
):
    assert replica_name(pod(name, labels, hostname)) == expected


def test_the_deciding_replica_comes_first_and_the_newest_of_its_pods():
    labels = {REPLICA_LABEL: "worker"}
    pods = [
        pod("a", labels, "worker-1"),
        pod("b", labels, "worker-0", made="1"),
        pod("c", labels, "worker-0", made="2"),
    ]
    found = by_rank(pods, ["worker-0", "worker-1"])
    assert [each["metadata"]["name"] for each in found] == ["c", "b", "a"]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (
            {
                "phase": "Pending",
                "conditions": [
                    condition(
                        "PodScheduled",
                        "False",
                        reason="Unschedulable",
                        message="0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
                    )
                ],
            },
            "Unschedulable: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
        ),
        (
            {
                "containerStatuses": [
                    container(waiting={"reason": "ImagePullBackOff", "message": "Back-off"})
                ]
            },
            "ImagePullBackOff: Back-off",
        ),
        ({"containerStatuses": [container(waiting={"reason": "ContainerCreating"})]}, ""),
        (
            {
                "phase": "Failed",
                "containerStatuses": [
                    container(terminated={"exitCode": 137, "reason": "OOMKilled"})
                ],
            },
            "OOMKilled: container 'pytorch' ended with exit code 137",
        ),
        (
            {"initContainerStatuses": [container("fetch", terminated={"exitCode": 2})]},
            "container 'fetch' ended with exit code 2",
        ),
        (
            {"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory."},
            "Evicted: The node was low on memory.",
        ),
        ({"phase": "Running", "containerStatuses": [container(running={})]}, ""),
    ],
)
def test_a_pod_in_trouble_says_why(status: dict[str, Any], said: str):
    assert pod_trouble(pod("p", {}, **status)) == said


def test_a_failed_job_shows_what_its_pods_know_and_the_deciding_exit_code():
    ended = container(terminated={"exitCode": 3})
    failed = condition("Failed", reason="BackoffLimitExceeded", message="limit reached")
    status = status_of(
        job("Job", conditions=[{**failed, "lastTransitionTime": "2026-01-01T00:00:10Z"}]),
        [
            pod(
                "p",
                {REPLICA_LABEL: "worker"},
                "worker-0",
                phase="Failed",
                containerStatuses=[ended],
            )
        ],
    )
    assert status.exit_code == 3
    assert "worker-0: container 'pytorch' ended with exit code 3" in status.message
    assert "BackoffLimitExceeded" in status.message
    assert status.finished_at == 1767225610.0


def test_a_warning_shows_while_nothing_runs_and_no_longer():
    remarks = ["FailedCreate: exceeded quota"]
    assert status_of(job("Job"), [], remarks).message == "FailedCreate: exceeded quota"
    running = pod("p", {}, phase="Running", containerStatuses=[container(running={})])
    assert status_of(job("Job"), [running], remarks).message == ""


def test_an_exit_code_is_taken_from_what_t9k_copied_where_the_pod_is_gone():
    tasks = [{"type": "master", "replicas": [{"containers": [{"exitCode": 9}]}]}]
    found = job("XGBoostTrainingJob", phase="Failed", tasks=tasks)
    assert status_of(found, []).exit_code == 9


# ---------------------------------------------------------------- deadlines


def a_job(allowed: int | None, **status: Any) -> dict[str, Any]:
    spec = {} if allowed is None else {"activeDeadlineSeconds": allowed}
    meta = {"name": "j", "creationTimestamp": "2026-01-01T00:00:00Z"}
    return {"kind": "Job", "metadata": meta, "spec": spec, "status": status}


NOON = "2026-01-01T12:00:00Z"
MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("job", "until", "seconds"),
    [
        (a_job(100), 100, None),  # it may already
        (a_job(100), 101, 101 + 300),
        (a_job(None), 9999, None),  # nothing ends it
        (a_job(100, startTime="2026-01-01T00:00:50Z"), 150, None),
        (a_job(100, startTime="2026-01-01T00:00:50Z"), 151, 101 + 300),
        (a_job(100, conditions=[{"type": "Complete", "status": "True"}]), 9999, None),
    ],
)
def test_a_job_gets_a_longer_deadline_only_where_it_needs_one(
    job: dict[str, Any], until: float, seconds: int | None
) -> None:
    wanted = None if seconds is None else {"spec": {"activeDeadlineSeconds": seconds}}
    assert longer(job, MIDNIGHT + until) == wanted
    of_another_kind = {**job, "kind": "TFJob", "spec": {"runPolicy": job["spec"]}}
    wanted = (
        None if seconds is None else {"spec": {"runPolicy": {"activeDeadlineSeconds": seconds}}}
    )
    assert longer(of_another_kind, MIDNIGHT + until) == wanted


def test_a_failure_is_told_with_the_exception_in_the_deciding_replica_s_log(tmp_path: Path) -> None:
    backend = KubernetesBackend("batch", tmp_path)
    handle = {"name": "at-x-0-1", "replicas": ["worker-0", "worker-1"]}
    folder = tmp_path / "at-x-0-1"
    folder.mkdir()
    (folder / "worker-0.log").write_text("  File 'x'\nValueError: lr is 3\nok\n")
    (folder / "worker-1.log").write_text("KeyError: 'of another'\n")
    long = JobStatus(
        JobState.FAILED, 1, "worker-0: container 'c' ended with exit code 1" + "!" * 2000
    )
    told = backend._with_error(long, handle).message
    assert told.startswith("worker-0: container 'c' ended with exit code 1")
    assert told.endswith("; ValueError: lr is 3")
    assert len(told) <= 1000
    done = JobStatus(JobState.SUCCEEDED, 0)
    assert backend._with_error(done, handle) == done
    backend.close()


def test_logs_of_a_job_that_is_known_by_its_name_alone_are_removed(tmp_path: Path) -> None:
    """Of an attempt before the last, whose object went with it: the cluster is not asked."""

    def connect() -> Any:
        raise AssertionError("nothing of it is in the cluster")

    (tmp_path / "at-x-1-1").mkdir()
    backend = KubernetesBackend("batch", tmp_path, connect=connect)
    backend.forget({"name": "at-x-1-1"})
    backend.close()
    assert not (tmp_path / "at-x-1-1").exists()


TAKEN = condition("DisruptionTarget", reason="PreemptionByScheduler", message="room for another")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({"phase": "Failed", "conditions": [TAKEN]}, "PreemptionByScheduler: room for another"),
        ({"phase": "Running", "conditions": [TAKEN]}, "PreemptionByScheduler: room for another"),
        ({"phase": "Failed", "reason": "Evicted", "message": "low on memory"}, "Evicted: low on"),
        ({"phase": "Failed", "reason": "NodeLost"}, "NodeLost"),
    ],
)
def test_what_was_taken_away_is_lost_not_failed(status: dict[str, Any], words: str):
    """Whichever replica it was: the others fail for want of it."""
    died = {"terminated": {"exitCode": 1, "reason": "Error"}}
    pods = [
        pod("a", {REPLICA_LABEL: "worker"}, "worker-0", phase="Failed",
            containerStatuses=[container(**died)]),
        pod("b", {REPLICA_LABEL: "worker"}, "worker-1", **status),
    ]  # fmt: skip
    found = status_of(job("Job", conditions=[condition("Failed")]), pods)
    assert (found.state, found.disrupted) == (JobState.LOST, True)
    assert found.message.startswith(f"Disrupted. worker-1: {words}")


def test_a_helper_with_a_job_of_its_own_is_missed():
    """The deciding Job would go on; one whose own pod went fails by itself, or begins another."""
    deciding = job("Job")
    deciding["metadata"]["uid"] = "j-1"
    deciding["status"] = {"conditions": [condition("Created")]}
    taken = pod("b", {REPLICA_LABEL: "ps"}, "ps-0", phase="Failed", conditions=[TAKEN])
    taken["spec"]["restartPolicy"] = "Never"
    taken["metadata"]["ownerReferences"] = [{"uid": "j-2"}]
    goes = pod("a", {REPLICA_LABEL: "worker"}, "worker-0", phase="Running")
    assert status_of(deciding, [goes, taken]).disrupted
    taken["metadata"]["ownerReferences"] = [{"uid": "j-1"}]
    assert status_of(deciding, [goes, taken]).state is JobState.RUNNING
    taken["metadata"]["ownerReferences"] = [{"uid": "j-2"}]
    taken["spec"]["restartPolicy"] = "OnFailure"  # another one takes its place
    assert status_of(deciding, [goes, taken]).state is JobState.RUNNING


def test_a_job_set_says_its_end():
    ended = job("JobSet", conditions=[condition("Completed", lastTransitionTime=NOON)])
    assert is_ended(ended)
    assert status_of(ended, []).state is JobState.SUCCEEDED
    assert status_of(ended, []).finished_at == MIDNIGHT + 12 * 3600


@pytest.mark.parametrize(
    "status",
    [
        {"phase": "Failed", "reason": "DeadlineExceeded"},
        {"phase": "Failed", "conditions": [{**TAKEN, "status": "False"}]},
        {"phase": "Succeeded"},
    ],
)
def test_what_fails_by_itself_is_a_failure(status: dict[str, Any]):
    pods = [pod("a", {REPLICA_LABEL: "worker"}, "worker-0", **status)]
    found = status_of(job("Job", conditions=[condition("Failed")]), pods)
    assert (found.state, found.disrupted) == (JobState.FAILED, False)

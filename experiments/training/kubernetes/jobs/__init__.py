"""From a Launch to the Kubernetes objects of its trial, for each training engine. Pure.

Called by ``training.kubernetes``, which only sends what comes out of here. The first object is the
trial's *deciding* one: its end is the trial's end, and the others belong to it (``owned_by``), so
deleting it deletes them all. What is of a kind in ``BEFORE`` must be there before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from experiments.training.base import Launch, LaunchError
from experiments.training.kubernetes.jobs import (
    batch,
    jobset,
    kubeflow,
    runtimes,
    tensorstack,
    trainer,
)
from experiments.training.kubernetes.jobs.common import (
    JOB_LABEL,
    MANAGED_BY,
    REPLICA_LABEL,
    Kind,
    Options,
)

__all__ = ["ENGINES", "JOB_LABEL", "KINDS", "MANAGED_BY", "REPLICA_LABEL", "Kind", "Options"]
__all__ += ["BEFORE", "WITH_RUNTIMES", "build", "owned_by", "owner_reference"]

Built = tuple[list[dict[str, Any]], list[str]]


@dataclass(frozen=True)
class Engine:
    """One way to say a trial to a cluster."""

    build: Callable[[Launch, Options], Built]
    kinds: tuple[Kind, ...]  # of its deciding objects


# In this order ``auto`` looks for what a cluster serves.
ENGINES = {
    "trainer": Engine(trainer.build, trainer.KINDS),
    "tensorstack": Engine(tensorstack.build, tensorstack.KINDS),
    "kubeflow": Engine(kubeflow.build, kubeflow.KINDS),
    "jobset": Engine(jobset.build, jobset.KINDS),
    "batch": Engine(batch.build, batch.KINDS),
}
KINDS = {kind.name: kind for engine in ENGINES.values() for kind in engine.kinds}
WITH_RUNTIMES = "trainer"
BEFORE = (runtimes.RUNTIME.name,)
DEFAULTS = Options()


def build(launch: Launch, engine: str, options: Options = DEFAULTS) -> Built:
    """Return the trial's objects, the deciding one first, and the names of its replicas by rank.

    Raises:
        LaunchError: this engine cannot run it; one problem a line, each with its path.
    """
    if not launch.tasks:
        raise LaunchError("spec.trainingConfig.tasks: at least one replica is needed")
    if launch.runtime and engine != WITH_RUNTIMES:
        raise LaunchError(
            f"{runtimes.PATH}: only Kubeflow's Trainer 2 knows runtimes "
            "(AUTOTUNE_TRAINING_ENGINE=trainer, or auto where the cluster has it)"
        )
    return ENGINES[engine].build(launch, options)


def owned_by(owner: Mapping[str, Any], thing: dict[str, Any]) -> dict[str, Any]:
    """Return ``thing`` as a dependent of ``owner``, an object the API server has accepted."""
    reference = owner_reference(owner)
    return {**thing, "metadata": {**thing["metadata"], "ownerReferences": [reference]}}


def owner_reference(owner: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
    }

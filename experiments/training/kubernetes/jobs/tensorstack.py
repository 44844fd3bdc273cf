"""T9k's TrainingJobs (batch.tensorstack.dev/v1beta1): one object per trial. Pure.

Their controller gives the pods TF_CONFIG, or MASTER_ADDR, MASTER_PORT, RANK and WORLD_SIZE.
"""

from __future__ import annotations

from typing import Any

from experiments.manifest.fields import REPLICA_TYPES
from experiments.manifest.training_spec import MAIN_CONTAINER
from experiments.training.base import Launch, LaunchError
from experiments.training.environment import replicas_by_rank
from experiments.training.kubernetes.jobs.common import (
    RESTARTS,
    Kind,
    Options,
    deadline,
    metadata,
    pod_template,
    require_container,
    require_types,
    restart_policy,
)

GROUP_VERSION = "batch.tensorstack.dev/v1beta1"
KIND_OF = {
    "tensorflow": Kind("TensorFlowTrainingJob", GROUP_VERSION, "tensorflowtrainingjobs"),
    "pytorch": Kind("PyTorchTrainingJob", GROUP_VERSION, "pytorchtrainingjobs"),
    "xgboost": Kind("XGBoostTrainingJob", GROUP_VERSION, "xgboosttrainingjobs"),
}
KINDS = tuple(KIND_OF.values())


def build(launch: Launch, options: Options) -> tuple[list[dict[str, Any]], list[str]]:
    """See ``jobs.build``."""
    kind = KIND_OF[launch.framework]
    if launch.framework in REPLICA_TYPES:
        known = dict.fromkeys(REPLICA_TYPES[launch.framework])
        require_types(launch, known, kind.name)
        require_container(launch, MAIN_CONTAINER[launch.framework])
    if launch.framework == "xgboost" and not any(t.type == "master" for t in launch.tasks):
        raise LaunchError(
            "spec.trainingConfig.tasks: an XGBoostTrainingJob needs a task of type 'master', "
            f"but got {[task.type for task in launch.tasks]}"
        )
    policy: dict[str, Any] = {"cleanUpPolicy": options.clean_up, **deadline(launch)}
    if any(restart_policy(task) != "Never" for task in launch.tasks):
        policy["backoffLimit"] = RESTARTS
    spec: dict[str, Any] = {
        "replicaSpecs": [
            {
                "type": task.type.lower(),
                "replicas": task.replicas,
                "restartPolicy": restart_policy(task),
                "template": pod_template(launch, task),
            }
            for task in launch.tasks
        ],
        "runPolicy": policy,
    }
    if launch.scheduler:
        spec["scheduler"] = dict(launch.scheduler)
    job = {
        "apiVersion": kind.group_version,
        "kind": kind.name,
        "metadata": metadata(launch, launch.name),
        "spec": spec,
    }
    return [job], [replica.name for replica in replicas_by_rank(launch)]

"""What every process of a trial is given: variables, ranks and expanded commands. Pure.

Used by each backend. ``server_environment`` and ``rank_environment`` are the contract with trial
programs (the T9k SDK, NNI, TensorFlow, PyTorch, XGBoost and our own client); ``environment_for``
puts them together for a process on this machine.
"""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from experiments.manifest.placeholders import parameter_text, replaced
from experiments.manifest.training_spec import containers_of, main_container_index
from experiments.training.base import Launch, Task, tasks_in_order

# The name under which NNI knows us. Not "local": that one takes sys.stdout away from the trial.
NNI_PLATFORM = "autotune"

# Settings and secrets of the server, and what an outer job may have left in its environment.
WITHHELD_NAMES = frozenset(
    {
        "SECRET_KEY", "DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "ALLOWED_HOSTS",
        "AISTORE_HOST", "NOTIFY_SOCKET", "TF_CONFIG", "MASTER_ADDR", "MASTER_PORT", "RANK",
        "WORLD_SIZE", "MULTI_PHASE", "REUSE_MODE", "AUTO_TUNE_SERVER_ADDR", "PYTHONHOME",
        "PYTHONSTARTUP", "PYTHONSAFEPATH",
    }
)  # fmt: skip
# What is the user's own tracker's, if one is named, and of no use to ours: else withheld.
_OF_TRACKER = ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID")
# A file that is on every Linux, in every container: KubeflowCallback reports only where one holds
# a token, and the token that counts is in the address.
_ANY_FILE = "/proc/sys/kernel/ostype"
WITHHELD_PREFIXES = ("AUTOTUNE_", "EMAIL_HOST", "AISTORE_", "DJANGO_", "CELERY_", "NNI_", "TUNER_")


@dataclass(frozen=True)
class Replica:
    """One process of a trial, with its place among the others."""

    rank: int
    type: str
    index: int
    task: Task
    task_number: int  # position in trainingConfig.tasks, for error paths

    @property
    def name(self) -> str:
        """``worker-0``: names its log, unique in its trial."""
        return f"{self.type}-{self.index}"


def replicas_by_rank(launch: Launch) -> list[Replica]:
    """Return all replicas; rank 0 is the one that decides and whose address is MASTER_ADDR.

    The deciding replica is TensorFlow's chief (or master, else worker 0), XGBoost's master, and
    otherwise the first; the others keep the order of the manifest.
    """
    ordered = list(tasks_in_order(launch.tasks))
    preferred = {"tensorflow": ("chief", "master", "worker"), "xgboost": ("master",)}
    first = 0
    types = [type_.lower() for type_, _index, _task in ordered]
    for wanted in preferred.get(launch.framework, ()):
        if wanted in types:
            first = types.index(wanted)
            break
    if ordered:
        ordered.insert(0, ordered.pop(first))
    numbers = {id(task): number for number, task in enumerate(launch.tasks)}
    return [
        Replica(rank, type_.lower(), index, task, numbers[id(task)])
        for rank, (type_, index, task) in enumerate(ordered)
    ]


def main_container(framework: str, template: Mapping[str, Any]) -> tuple[int, Mapping[str, Any]]:
    """Return the container that trains, with its position.

    Raises:
        LookupError: the template has no container.
    """
    containers = containers_of(template)
    if not containers:
        raise LookupError("a template needs at least one container")
    position = main_container_index(template, framework)
    return position, containers[position]


def server_environment(launch: Launch, output_dir: str, code_dir: str = "") -> dict[str, str]:
    """Return how a trial's processes reach the trial API, in both protocols.

    Args:
        output_dir: a directory the trial may write to; NNI puts files there.
        code_dir: what NNI scripts take for the directory of their code.
    """
    return {
        "AUTO_TUNE_SERVER_ADDR": f"{launch.server_url}/t/{launch.token}",
        "TUNER_EXP_ID": launch.experiment_id,
        "TUNER_TRIAL_JOB_ID": launch.trial_key,
        "TUNER_TRIAL_SEQ_ID": str(launch.trial_number),
        "NNI_TRIAL_COMMAND_CHANNEL": f"{launch.server_url}/n/{launch.token}",
        "NNI_TRIAL_JOB_ID": launch.trial_key,
        "NNI_EXP_ID": launch.experiment_id,
        "NNI_TRIAL_SEQ_ID": str(launch.trial_number),
        "NNI_PLATFORM": NNI_PLATFORM,
        "REUSE_MODE": "true",  # with it `import nni` neither makes a trial.log nor takes stdout
        "NNI_OUTPUT_DIR": output_dir,
        "NNI_SYS_DIR": output_dir,
        "NNI_CODE_DIR": code_dir or output_dir,
    }


def tracker_environment(launch: Launch, named: Container[str]) -> dict[str, str]:
    """Return where trackers' clients find the trial API, but for those that are told already.

    ``MLFLOW_TRACKING_URI`` is for MLflow's clients, the others for what reports to Kubeflow's
    Trainer, as transformers' callback does by itself.

    Args:
        named: variables that the manifest, or who started the server, has set.
    """
    server = f"{launch.server_url}/t/{launch.token}"
    found: dict[str, str] = {}
    if "MLFLOW_TRACKING_URI" not in named:
        found["MLFLOW_TRACKING_URI"] = f"{server}/mlflow"
    if "KUBEFLOW_TRAINER_SERVER_URL" not in named:
        found["KUBEFLOW_TRAINER_SERVER_URL"] = f"{server}/trainer"
        found["KUBEFLOW_TRAINER_SERVER_TOKEN"] = _ANY_FILE
    return found


def rank_environment(launch: Launch, addresses: Sequence[str], rank: int) -> dict[str, str]:
    """Return what a replica needs to find the others.

    Args:
        addresses: ``host:port`` of each replica, in the order of ``replicas_by_rank``.
    """
    host, _colon, port = addresses[0].rpartition(":")
    environment = {
        "MASTER_ADDR": host,
        "MASTER_PORT": port,
        "RANK": str(rank),
        "WORLD_SIZE": str(len(addresses)),
    }
    if launch.framework == "tensorflow":
        replicas = replicas_by_rank(launch)
        cluster: dict[str, list[str]] = {}
        for replica in sorted(replicas, key=lambda each: each.index):
            if replica.type != "evaluator":  # it watches the cluster, it is no part of it
                cluster.setdefault(replica.type, []).append(addresses[replica.rank])
        me = replicas[rank]
        environment["TF_CONFIG"] = json.dumps(
            {
                "cluster": cluster,
                "task": {"type": me.type, "index": me.index},
                "environment": "cloud",
            }
        )
    return environment


def extended_no_proxy(server_url: str, *lists: str) -> str:
    """Return the ``NO_PROXY`` lists as one, with the server's host added."""
    host = urlsplit(server_url).hostname or ""
    entries = [entry.strip() for text in lists for entry in text.split(",")]
    if "*" in entries:
        return "*"  # it only counts when it stands alone
    return ",".join(dict.fromkeys(entry for entry in [*entries, host] if entry))


def expand(
    text: str, values: Mapping[str, str], parameters: Mapping[str, Any] | None = None
) -> str:
    """Replace ``$(NAME)`` as Kubernetes does: ``$$`` stands for ``$``, unknown names stay.

    With the parameters of a trial ``$(params.NAME)`` is one of them.
    """

    def value_of(name: str) -> str | None:
        if name == "$":
            return "$"
        found = None if parameters is None else parameter_text(name, parameters)
        return values.get(name) if found is None else found

    return replaced(text, value_of)


def inheritable(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the part of the server's own environment that a trial on this machine may see."""
    return {
        name: value
        for name, value in environment.items()
        if name not in WITHHELD_NAMES and not name.startswith(WITHHELD_PREFIXES)
    }


def environment_for(
    launch: Launch,
    given: Sequence[Mapping[str, Any]],
    *,
    ours: Mapping[str, str],
    inherited: Mapping[str, str],
    search_path: str,
    client_dir: str,
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the environment of a process on this machine, and the names ``$(NAME)`` may use.

    Later ones win: what the server's process passes on, the manifest's ``env``, ours. A manifest
    entry may refer to ours, to the entries before it, to PATH, and to what the variable that it
    sets itself had before (``LD_LIBRARY_PATH: /x:$(LD_LIBRARY_PATH)``), as in an image; all else
    stays as it is written, as with Kubernetes. ``$(params.NAME)`` is the trial's parameter.

    Args:
        given: the container's ``env``, entries with ``name`` and ``value``.
        ours: ``server_environment`` and ``rank_environment``.
        inherited: the server's own environment.
        search_path: directories put first on PATH, unless the manifest sets PATH itself.
        client_dir: directory put first on PYTHONPATH, for ``import autotune_trial``.
    """
    environment = inheritable(inherited)
    if "MLFLOW_TRACKING_URI" in ours:
        for name in _OF_TRACKER:  # of a run in another tracker
            environment.pop(name, None)
    path = environment.get("PATH", "/usr/local/bin:/usr/bin:/bin")
    environment["PATH"] = f"{search_path}:{path}" if search_path else path
    known = dict(ours)
    for entry in given:
        name = str(entry["name"])
        if name not in ours:
            before = {n: environment[n] for n in ("PATH", name) if n in environment}
            value = str(entry.get("value") or "")
            known[name] = expand(value, {**before, **known}, launch.parameters)
    environment.setdefault("PYTHONUNBUFFERED", "1")  # a log that follows needs it
    proxies = [
        source.get(name, "") for source in (environment, known) for name in ("no_proxy", "NO_PROXY")
    ]
    environment.update(known)
    no_proxy = extended_no_proxy(launch.server_url, *proxies)
    environment["NO_PROXY"] = environment["no_proxy"] = no_proxy
    python_path = [client_dir, environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = ":".join(part for part in python_path if part)
    return environment, known

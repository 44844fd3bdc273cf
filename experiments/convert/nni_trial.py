"""What an NNI trial runs: command, directory, GPUs and roles, for every training service of NNI's.

Called by ``nni``. The platform itself (machines, accounts, storage) is not carried over.
"""

from __future__ import annotations

import re
from typing import Any

from experiments.convert.draft import Draft, Section, shell_line
from experiments.convert.nni_framework import template_roles
from experiments.convert.nni_space import ReadFile
from experiments.manifest.names import slug
from experiments.manifest.training_spec import MAIN_CONTAINER

GPU = "nvidia.com/gpu"
_ROLES = ("chief", "master", "worker", "ps", "evaluator")
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?\s*\Z", re.IGNORECASE)
_PER_GPU = (
    ("trialsPerGpu", ("maxTrialNumPerGpu", "maxTrialNumberPerGpu")),
    ("useActiveGpu", ("useActiveGpu",)),
    ("gpuIndices", ("gpuIndices",)),
)


def put_training(draft: Draft, top: Section, read: ReadFile) -> None:
    """Set ``spec.trainingConfig``, and say what of the training service is left."""
    trial = top.section("trial")
    command = top.text("trialCommand") or trial.text("command")
    source = top.where("trialCommand") if "trialCommand" in top else trial.where("command")
    directory = top.text("trialCodeDirectory") or trial.text("codeDir") or "."
    gpus = top.whole("trialGpuNumber")
    gpus = trial.whole("gpuNum") if gpus is None else gpus
    service = _service(draft, top)
    roles = [] if command else _roles(draft, trial, service)
    roles = roles or ([] if command else _of_template(draft, top, service, read))
    framework = _framework(top, service, [role for role, _ in roles])
    tasks: list[dict[str, Any]] = []
    if command:
        given = _container(
            framework,
            command,
            directory,
            _resources(draft, gpus, trial, service),
            _image(trial, service),
        )
        tasks.append(_task("worker", 1, given))
        draft.note(source, command, "spec.trainingConfig", given["command"])
    for role, section in roles:
        line = section.text("command")
        if not line:
            draft.refuse(section.path, f"The role '{role}' has no command.")
            continue
        where = section.text("codeDirectory") or directory
        own = section.whole("gpuNum", "gpuNumber")
        given = _container(
            framework, line, where, _resources(draft, own, section), _image(section, service)
        )
        tasks.append(_task(role, section.whole("replicas", "taskNum", "taskNumber") or 1, given))
        draft.note(
            section.where("command"), line, f"spec.trainingConfig ({role})", given["command"]
        )
        section.leave_rest()
    if not tasks and not draft.problems:
        draft.refuse("", "There is no trial command.", "Give trialCommand (trial.command in v1).")
    draft.put("spec.trainingConfig", {"type": framework, "tasks": tasks})
    trial.leave_rest("belongs to NNI's training service and is not carried over.")
    _leave_service(draft, top, service)


def _service(draft: Draft, top: Section) -> Section:
    """The training service; of several the first counts."""
    given = top.data.get(top.where("trainingService")) if "trainingService" in top else None
    if isinstance(given, list):
        top.take("trainingService")
        path = top.where("trainingService")
        draft.leave(path, "Several training services: trials run in one place here.")
        return Section(draft, given[0] if given else None, f"{path}[0]", loose=True)
    return top.section("trainingService")


def _roles(draft: Draft, trial: Section, service: Section) -> list[tuple[str, Section]]:
    for place in (trial, service):
        found = [(role, place.section(role)) for role in _ROLES if role in place]
        if found:
            return found
        rows = place.take("taskRoles")
        if isinstance(rows, list):
            path = place.where("taskRoles")
            sections = [
                Section(draft, row, f"{path}[{i}]", loose=True) for i, row in enumerate(rows)
            ]
            return [(slug(s.text("name")) or f"role-{i}", s) for i, s in enumerate(sections)]
    return []


def _of_template(
    draft: Draft, top: Section, service: Section, read: ReadFile
) -> list[tuple[str, Section]]:
    own = top.section("frameworkcontrollerConfig")
    found = template_roles(draft, own if "configPath" in own else service, read)
    return [(slug(name) or f"role-{i}", section) for i, (name, section) in enumerate(found)]


def _framework(top: Section, service: Section, roles: list[str]) -> str:
    config = top.data.get("kubeflowConfig")
    operator = config.get("operator") if isinstance(config, dict) else service.take("operator")
    known = set(roles) <= {"chief", "worker", "ps", "evaluator"}
    return "tensorflow" if operator == "tf-operator" and roles and known else "pytorch"


def _image(*places: Section) -> str:
    return next((image for place in places if (image := place.text("image", "dockerImage"))), "")


def _resources(draft: Draft, gpus: int | None, *places: Section) -> dict[str, Any]:
    """What a container may have, of the first place that says it."""
    found: dict[str, Any] = {}
    for place in places:
        if cpus := place.text("cpuNum", "cpuNumber", "trialCpuNumber"):
            found.setdefault("cpu", cpus)
        names = ("memoryMB", "memorySize", "trialMemorySize")
        memory, where = place.text(*names), place.where(place.named(*names))
        if not memory:
            continue
        if size := _SIZE.match(memory):
            found.setdefault("memory", f"{size[1]}{size[2].upper() or 'M'}i")
        else:
            draft.leave(where, f"'{memory}' is no size that is known here.", "E.g. 8gb.")
    if gpus:
        found[GPU] = gpus
    return found


def _container(
    framework: str, line: str, directory: str, resources: dict[str, Any], image: str
) -> dict[str, Any]:
    container: dict[str, Any] = {"name": MAIN_CONTAINER[framework], "command": shell_line(line)}
    if image:
        container["image"] = image
    container["workingDir"] = directory
    if resources:
        container["resources"] = {"limits": resources}
    return container


def _task(role: str, replicas: int, container: dict[str, Any]) -> dict[str, Any]:
    return {"type": role, "replicas": replicas, "template": {"spec": {"containers": [container]}}}


def _leave_service(draft: Draft, top: Section, service: Section) -> None:
    platform = top.text("trainingServicePlatform") or service.text("platform") or "local"
    local = top.section("localConfig")
    _per_gpu(draft, local if local.data else service)
    for key in ("remoteConfig", "machineList", "paiConfig", "kubeflowConfig", "dltsConfig",
                "frameworkcontrollerConfig", "amlConfig", "hybridConfig", "adlConfig",
                "sharedStorage"):  # fmt: skip
        if key in top:
            top.leave(
                key, f"belongs to NNI's training service '{platform}' and is not carried over."
            )
    if platform != "local":
        name = "trainingServicePlatform" if "trainingServicePlatform" in top else "trainingService"
        top.leave(
            name,
            f"NNI's training service '{platform}' is not carried over: trials run on the machine "
            "or the cluster that AutoTune runs on.",
            "On a cluster the container needs an image, and the code in it or on a volume.",
        )
        for key, _ in list(service.rest()):
            service.take(key)
    service.leave_rest()
    local.leave_rest()


def _per_gpu(draft: Draft, section: Section) -> None:
    """NNI's sharing of GPUs, where a manifest of this version can say it."""
    found: dict[str, Any] = {}
    for ours, theirs in _PER_GPU:
        path = section.where(section.named(*theirs))
        value = section.take(*theirs)
        if value is None or value is False:
            continue
        if not draft.knows("local"):
            draft.leave(path, "says how trials share GPUs, which is not chosen here.")
            continue
        if ours == "gpuIndices" and isinstance(value, int | str):
            value = [int(part) for part in str(value).split(",") if part.strip().isdecimal()]
        found[ours] = value
        draft.note(path, value, f"spec.local.{ours}", value)
    if found:
        draft.put("spec.local", found)

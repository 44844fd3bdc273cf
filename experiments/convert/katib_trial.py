"""Katib's trial template as ``trainingConfig``: a Job, Kubeflow's training jobs, a TrainJob.

Called by ``katib``. ``${trialParameters.NAME}`` becomes ``$(params.NAME)`` in a container's words;
anywhere else nothing would replace it, so it is refused there.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

from experiments.convert.draft import Draft, Section
from experiments.manifest.reading import at
from experiments.manifest.training_spec import MAIN_CONTAINER

BUDGET = "TRIAL_BUDGET"  # what our advisors call a trial's resource
_PLACEHOLDER = re.compile(r"\$\{trialParameters\.([^}]*)\}")
_META = re.compile(r"\$\{trialSpec\.(\w+)(?:\[([^\]]*)\])?\}\Z")
_JOBS = {
    "PyTorchJob": ("pytorch", "pytorchReplicaSpecs"),
    "TFJob": ("tensorflow", "tfReplicaSpecs"),
    "XGBoostJob": ("xgboost", "xgbReplicaSpecs"),
}
_OTHERS = {
    "MPIJob": "An MPIJob needs mpirun's launcher, which no engine here starts.",
    "Workflow": "An Argo Workflow is no training job.",
    "PipelineRun": "A Tekton PipelineRun is no training job.",
}


_OF_THE_JOB = "belongs to the job itself, which engines here make."


def put_template(draft: Draft, template: Section, resource: str) -> None:
    """Set ``spec.trainingConfig``. ``resource``: the parameter that an advisor gives as budget."""
    if template.take("configMap") is not None:
        draft.refuse(
            template.where("configMap"),
            "The trial's template is in a ConfigMap of the cluster.",
            "Paste it as trialTemplate.trialSpec.",
        )
        return
    raw = template.take("trialSpec")
    if isinstance(raw, str):
        draft.refuse(template.where("trialSpec"), "must be an object, but is text.")
        return
    spec = Section(draft, raw, template.where("trialSpec"))
    stands_for = _stands_for(draft, template, spec, resource)
    main = template.text("primaryContainerName")
    framework, tasks = _tasks(draft, spec)
    spec.take("apiVersion")
    metadata = spec.section("metadata")
    for key in ("labels", "annotations"):
        if metadata.take(key):
            draft.leave(metadata.where(key), f"A trial's job has no {key} of its own here.",
                        "Those of a task's template are kept.")  # fmt: skip
    spec.leave_rest()
    for task, path in tasks:
        _main_first(task, main, framework)
        _replace(draft, task["template"], path, stands_for)
    if tasks:
        config = {"type": framework, "tasks": [task for task, _ in tasks]}
        draft.put("spec.trainingConfig", config, spec.path, spec.text("kind"))
    for key in ("successCondition", "failureCondition", "retain", "primaryPodLabels"):
        if template.take(key) is not None:
            draft.leave(template.where(key), "Not needed: engines here know when a job has ended.")
    template.leave_rest()


def _stands_for(draft: Draft, template: Section, spec: Section, resource: str) -> dict[str, str]:
    """What each trial parameter is in a container's words."""
    found: dict[str, str] = {}
    rows = template.take("trialParameters") or []
    for number, row in enumerate(rows if isinstance(rows, list) else []):
        parameter = Section(draft, row, at(template.where("trialParameters"), number))
        name, reference = parameter.text("name"), parameter.text("reference")
        if meta := _META.match(reference):
            text = _meta(draft, spec, meta[1], meta[2] or "")
            if text is None:
                draft.refuse(parameter.where("reference"), f"'{reference}' is not known here.")
                continue
            found[name] = text
        elif resource and reference == resource:
            found[name] = f"$(params.{BUDGET})"
        else:
            found[name] = f"$(params.{reference})"
    return found


def _meta(draft: Draft, spec: Section, field: str, key: str) -> str | None:
    metadata = spec.data.get("metadata") if isinstance(spec.data.get("metadata"), Mapping) else {}
    assert isinstance(metadata, Mapping)
    if field == "Name":
        return "$(TUNER_TRIAL_JOB_ID)"
    if field == "Namespace":
        return str(draft.metadata.get("namespace") or "default")
    if field in ("Kind", "APIVersion"):
        return str(spec.data.get("kind" if field == "Kind" else "apiVersion") or "")
    if field in ("Labels", "Annotations"):
        values = metadata.get(field.lower())
        return str(values[key]) if isinstance(values, Mapping) and key in values else None
    return None


def _tasks(draft: Draft, spec: Section) -> tuple[str, list[tuple[dict[str, Any], str]]]:
    kind = spec.text("kind")
    body = spec.section("spec")
    if kind == "Job":
        rows = {"worker": {"template": body.take("template")}}
        _time_limit(draft, body)
        body.leave_rest(_OF_THE_JOB)
        return "pytorch", _replicas(draft, rows, body.path, keep_path=True)
    if kind in _JOBS:
        framework, field = _JOBS[kind]
        given = body.take(field)
        policy = body.section("runPolicy")
        _time_limit(draft, policy)
        policy.leave_rest(_OF_THE_JOB)
        body.leave_rest(_OF_THE_JOB)
        if isinstance(given, Mapping) and given:
            return framework, _replicas(draft, given, body.where(field))
        draft.refuse(body.where(field), "must name the replicas.")
    elif kind == "TrainJob":
        return "pytorch", _train_job(draft, body)
    else:
        message = _OTHERS.get(kind, f"A {kind or 'template without a kind'} is no training job.")
        hint = "Job, PyTorchJob, TFJob, XGBoostJob and TrainJob can be converted."
        draft.refuse(spec.where("kind"), message, hint)
    return "pytorch", []


def _replicas(
    draft: Draft, given: Mapping[str, Any], path: str, *, keep_path: bool = False
) -> list[tuple[dict[str, Any], str]]:
    found = []
    for role, row in given.items():
        where = path if keep_path else at(path, role)
        section = Section(draft, row, where)
        template = section.take("template")
        pod = template.get("spec") if isinstance(template, dict) else None
        containers = pod.get("containers") if isinstance(pod, dict) else None
        if not containers or not all(isinstance(c, dict) for c in _listed(containers)):
            draft.refuse(section.where("template"), "must be a pod template with containers.")
            continue
        replicas = section.whole("replicas")
        if replicas == 0:
            draft.leave(section.where("replicas"), f"No {role} is started: it is left out.")
            continue
        template = copy.deepcopy(template)
        template["spec"].pop("restartPolicy", None)  # the task's, and its default is the same
        task: dict[str, Any] = {"type": role.lower(), "replicas": replicas or 1}
        if policy := section.text("restartPolicy"):
            task["restartPolicy"] = policy
        section.leave_rest()
        found.append(({**task, "template": template}, section.where("template")))
    return found


def _time_limit(draft: Draft, section: Section) -> None:
    """``activeDeadlineSeconds`` of a job is a trial's time limit."""
    seconds = section.whole("activeDeadlineSeconds", low=1)
    if seconds is not None:
        path = section.where("activeDeadlineSeconds")
        draft.put("spec.maxTrialSeconds", seconds, path, seconds)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [None]


def _train_job(draft: Draft, body: Section) -> list[tuple[dict[str, Any], str]]:
    trainer = body.section("trainer")
    if body.take("runtimeRef") is not None:
        draft.leave(
            body.where("runtimeRef"),
            "A TrainJob's runtime is not carried over: its image and launcher are not here.",
            "Write a command that starts the training, e.g. torchrun …, and the image.",
        )
    container = {"name": "pytorch"}
    for key in ("image", "command", "args", "env"):
        if value := trainer.take(key):
            container[key] = value
    if resources := trainer.take("resourcesPerNode"):
        container["resources"] = resources
    if "command" not in container and "args" not in container:
        message = "The command is the runtime's own, which is in the cluster."
        draft.refuse(trainer.where("command"), message, "Write trainer.command.")
        return []
    nodes = trainer.whole("numNodes") or 1
    trainer.leave_rest()
    body.leave_rest()
    template = {"spec": {"containers": [container]}}
    return [({"type": "worker", "replicas": nodes, "template": template}, trainer.path)]


def _main_first(task: dict[str, Any], main: str, framework: str) -> None:
    """Give the container that trains the name by which engines find it."""
    containers = task["template"]["spec"]["containers"]
    ours = MAIN_CONTAINER[framework]
    if any(isinstance(c, dict) and c.get("name") == ours for c in containers):
        return
    for container in containers:
        if (isinstance(container, dict) and container.get("name") in (main, None)) or len(
            containers
        ) == 1:
            container["name"] = ours
            return


def _replace(draft: Draft, template: dict[str, Any], path: str, stands_for: dict[str, str]) -> None:
    def replaced(text: str, where: str) -> str:
        def one(match: re.Match[str]) -> str:
            if match[1] in stands_for:
                return stands_for[match[1]]
            draft.refuse(where, f"'{match[0]}' is none of trialParameters.")
            return match[0]

        return _PLACEHOLDER.sub(one, text)

    pod = template["spec"]
    for kind in ("containers", "initContainers"):
        for container in _listed(pod.get(kind) or []):
            if not isinstance(container, dict):
                draft.refuse(at(path, f"spec.{kind}"), "must be a list of containers.")
                break
            for key in ("command", "args"):
                if isinstance(container.get(key), list):
                    container[key] = [replaced(str(word), path) for word in container[key]]
            for entry in _listed(container.get("env") or []):
                if isinstance(entry, dict) and isinstance(entry.get("value"), str):
                    entry["value"] = replaced(entry["value"], path)
    if found := _PLACEHOLDER.search(str(template)):
        message = f"'{found[0]}' stands outside command, args and env, where nothing replaces it."
        draft.refuse(path, message)

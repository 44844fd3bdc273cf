"""AutoTuneExperiment objects and experiments' rows: what each is to the other.

Called by ``operator`` (an object is new, was edited, is to go) and by ``sync`` (a row
changed). Knows no API server: objects come and go as plain data. Limits and suspension may be
edited on both sides; ``ClusterObject.agreed`` holds what both had last, so that it is plain who
was edited, and an edit is never sent back to where it came from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction

from experiments.manifest.fields import API_GROUP, API_VERSION, KIND
from experiments.manifest.spec import lacks_limits, parse_manifest, to_manifest
from experiments.models import ClusterObject, Experiment, Project
from experiments.problems import Problem, ProblemsError
from experiments.selectors.manifest import current_manifest
from experiments.services import actions
from experiments.services.intake import take_in

# The specification's fields are fixed, and none of them suspends: annotations do not disturb it.
SUSPEND = f"{API_GROUP}/suspend"  # "true": start no further trials
EXPERIMENT = f"{API_GROUP}/experiment"  # id of the experiment that the object was made from

_ABOUT_THE_OBJECT = ("kubectl.kubernetes.io/", f"{API_GROUP}/")  # annotations, not the manifest's


@dataclass(frozen=True)
class ObjectKey:
    """Where an object is, and which one it is."""

    namespace: str
    name: str
    uid: str

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> ObjectKey:
        metadata = body["metadata"]
        return cls(metadata["namespace"], metadata["name"], metadata["uid"])


def link_of(body: Mapping[str, Any]) -> ClusterObject | None:
    """The row that stands for this object; finds those that we were creating when we died."""
    key = ObjectKey.of(body)
    links = ClusterObject.objects.select_related("experiment")
    found = links.filter(uid=key.uid).first()
    if found is not None:
        return found
    made_from = (body["metadata"].get("annotations") or {}).get(EXPERIMENT)
    intended = links.filter(
        uid=None, namespace=key.namespace, name=key.name, experiment_id=made_from
    ).first()
    if made_from and intended is not None:
        claim(intended, key.uid)
        return intended
    return None


def claim(link: ClusterObject, uid: str) -> None:
    """Note that the object we were creating exists."""
    ClusterObject.objects.filter(pk=link.pk, uid=None).update(uid=uid, trouble="")
    link.uid, link.trouble = uid, ""
    if link.experiment is not None:
        link.experiment.announce()


# ---------------------------------------------------------------- an object becomes a row


def manifest_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """What the user wrote: without status, and without what tools note on objects."""
    metadata = dict(body["metadata"])
    metadata.pop("generateName", None)
    annotations = {
        key: value
        for key, value in (metadata.pop("annotations", None) or {}).items()
        if not key.startswith(_ABOUT_THE_OBJECT)
    }
    if annotations:
        metadata["annotations"] = annotations
    spec = dict(body.get("spec") or {})
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec}


_NOT_HERE = (
    "is not for a cluster's objects: nothing would run in the cluster, as programs elsewhere ask "
    "for the trials."
)
_MAKE_IT_THERE = "Make it by REST or autotune_client, or write trainingConfig instead."


def create_from(body: Mapping[str, Any]) -> None:
    """Make the experiment of a new object; where another process did so already, do nothing.

    Raises:
        ProblemsError: with everything that keeps it from running.
    """
    key = ObjectKey.of(body)
    intake = take_in(manifest_of(body), key.namespace)
    if intake.parsed is None:
        raise ProblemsError(intake.problems)
    if intake.parsed.spec.elsewhere is not None:
        raise ProblemsError([Problem("spec.elsewhere", _NOT_HERE, _MAKE_IT_THERE)])
    # The API server refuses it too, unless it was given another schema than ours.
    if problems := (*lacks_limits(intake.parsed.spec), *intake.problems):
        raise ProblemsError(problems)
    try:
        with transaction.atomic():
            experiment = actions.create_experiment(
                intake.parsed,
                origin=Experiment.Origin.KUBERNETES,
                project=Project.of_namespace(key.namespace),
            )
            wanted = object_values(body)
            ClusterObject.objects.create(
                experiment=experiment,
                namespace=key.namespace,
                name=key.name,
                uid=key.uid,
                agreed=wanted,
            )
            if wanted["suspended"]:
                actions.suspend(experiment)
    except IntegrityError:
        if not ClusterObject.objects.filter(uid=key.uid).exists():
            raise


# ---------------------------------------------------------------- edits, both ways


def row_values(experiment: Experiment) -> dict[str, Any]:
    """What may be edited on both sides, as the row has it."""
    limits = {name: getattr(experiment, name) for name in actions.LIMITS}
    return {**limits, "suspended": experiment.suspended}


def object_values(body: Mapping[str, Any]) -> dict[str, Any]:
    """The same, as the object has it."""
    spec, annotations = body.get("spec") or {}, body["metadata"].get("annotations") or {}
    limits = {name: spec.get(path.removeprefix("spec.")) for name, path in actions.LIMITS.items()}
    return {**limits, "suspended": annotations.get(SUSPEND, "").lower() == "true"}


def object_changes(values: Mapping[str, Any]) -> dict[str, Any]:
    """A merge patch that gives an object these values."""
    spec = {
        path.removeprefix("spec."): values[name]
        for name, path in actions.LIMITS.items()
        if name in values
    }
    changes: dict[str, Any] = {"spec": spec} if spec else {}
    if "suspended" in values:
        changes["metadata"] = {"annotations": {SUSPEND: "true" if values["suspended"] else None}}
    return changes


def edits(
    agreed: Mapping[str, Any], there: Mapping[str, Any], here: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What was edited: (in the object, in the row alone). Where both were, the object wins."""
    from_object = {name: value for name, value in there.items() if value != agreed.get(name)}
    from_row = {
        name: value
        for name, value in here.items()
        if name not in from_object and value != agreed.get(name)
    }
    return {name: v for name, v in from_object.items() if v != here[name]}, from_row


def agreement(link: ClusterObject, body: Mapping[str, Any]) -> dict[str, Any]:
    """What object and row have alike now; of what they have not (an edit was refused), the old."""
    assert link.experiment is not None
    link.experiment.refresh_from_db()
    there, here = object_values(body), row_values(link.experiment)
    return {name: here[name] if there[name] == here[name] else link.agreed[name] for name in here}


def carry_out(experiment: Experiment, changes: Mapping[str, Any]) -> str:
    """Do to the row what was done to the object; returns why that could not be, or ""."""
    refused = []
    limits = {name: value for name, value in changes.items() if name in actions.LIMITS}
    try:
        if limits:
            actions.change_limits(experiment, limits)
    except (ProblemsError, actions.Refused) as error:
        refused.append(str(error))
    if "suspended" in changes:
        act = actions.suspend if changes["suspended"] else actions.resume
        try:
            act(experiment)
        except actions.Refused as error:
            refused.append(str(error))
    return " ".join(refused)


def not_editable(experiment: Experiment, body: Mapping[str, Any]) -> str:
    """Words for edits of an object that cannot be carried out, or ""."""
    try:
        now = to_manifest(parse_manifest(manifest_of(body)).spec)["spec"]
        before = to_manifest(experiment.spec)["spec"]
    except ProblemsError as error:
        return f"The edited manifest is not valid, and the experiment goes on without it: {error}"
    limits = {path.removeprefix("spec.") for path in actions.LIMITS.values()}
    names = sorted(
        name for name in {*now, *before} - limits if now.get(name) != before.get(name)
    )  # fmt: skip
    if not names:
        return ""
    return (
        f"Only limits ({', '.join(sorted(limits))}) may be edited once it is created; "
        f"the experiment goes on without the edit of {', '.join(names)}."
    )


# ---------------------------------------------------------------- going


def release(uid: str) -> bool:
    """Delete the experiment of an object that is to go; True once nothing of it is left here."""
    link = ClusterObject.objects.select_related("experiment").filter(uid=uid).first()
    if link is None:
        return True
    if link.experiment is None:
        link.delete()
        return True
    if not link.experiment.deleting:
        actions.delete(link.experiment)
    return False


# ---------------------------------------------------------------- rows that go to the cluster


def to_send() -> list[Experiment]:
    """Experiments made elsewhere that the cluster does not show yet; objects have both limits."""
    both = {f"{name}__isnull": False for name in actions.MAY_LACK}
    return list(
        Experiment.objects.filter(cluster_object=None, deleting=False, finished_at=None, **both)
        .exclude(origin=Experiment.Origin.KUBERNETES)
        .exclude(manifest__spec__has_key="elsewhere")  # see ``create_from``
        .select_related("project")
        .order_by("created_at")
    )


def intend(experiment: Experiment, namespace: str) -> ClusterObject:
    """Note, before it is done, that an object is made for this experiment."""
    return ClusterObject.objects.get_or_create(
        experiment=experiment,
        defaults={
            "namespace": namespace,
            "name": experiment.manifest["metadata"]["name"],
            "agreed": row_values(experiment),
            # what happened before is the cluster's no more
            "announced_seq": experiment.last_seq,
        },
    )[0]


def manifest_to_send(link: ClusterObject) -> dict[str, Any]:
    """The object of an experiment that was made here."""
    experiment = link.experiment
    assert experiment is not None
    manifest = current_manifest(experiment)
    annotations = {**manifest["metadata"].get("annotations", {}), EXPERIMENT: experiment.pk}
    if experiment.suspended:
        annotations[SUSPEND] = "true"
    manifest["metadata"] = {
        **manifest["metadata"],
        "name": link.name,
        "namespace": link.namespace,
        "annotations": annotations,
    }
    return manifest

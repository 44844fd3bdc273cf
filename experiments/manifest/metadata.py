"""The manifest's ``metadata``: its name, namespace, labels and annotations, as Kubernetes has them.

Called by ``spec``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.manifest import reading
from experiments.manifest.names import LABEL, LABEL_KEY, LABEL_VALUE, MAX_NAME, SUBDOMAIN, slug
from experiments.manifest.reading import Notes, at

_METADATA_KEYS = ("name", "generateName", "namespace", "labels", "annotations")
# Set by a Kubernetes server; a manifest copied from `kubectl get -o yaml` carries them.
_SERVER_METADATA = frozenset(
    {
        "uid", "resourceVersion", "creationTimestamp", "managedFields", "generation", "selfLink",
        "ownerReferences", "finalizers", "deletionTimestamp", "deletionGracePeriodSeconds",
    }
)  # fmt: skip


def parse_metadata(notes: Notes, raw: Any) -> dict[str, Any]:
    metadata = reading.mapping(notes, raw, "metadata")
    if raw is not None and not isinstance(raw, Mapping):
        return {}
    kept = {key: value for key, value in metadata.items() if key not in _SERVER_METADATA}
    reading.check_keys(notes, kept, "metadata", _METADATA_KEYS)
    return {
        "name": _name(notes, metadata),
        "namespace": _namespace(notes, metadata.get("namespace")),
        "labels": _labels(notes, metadata.get("labels")),
        "annotations": _text_pairs(notes, metadata.get("annotations"), "metadata.annotations"),
    }


def without_status(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest without what a Kubernetes server adds to it."""
    kept = {key: value for key, value in manifest.items() if key != "status"}
    metadata = {k: v for k, v in kept["metadata"].items() if k not in _SERVER_METADATA}
    return {**kept, "metadata": metadata}


def _name(notes: Notes, metadata: Mapping[str, Any]) -> str:
    path = "metadata.name"
    if metadata.get("name") is None and metadata.get("generateName") is not None:
        prefix = reading.text(notes, metadata["generateName"], "metadata.generateName")
        name = prefix.rstrip("-.")
        path = "metadata.generateName"
        if prefix:
            notes.warn(path, f"The name becomes '{name}': no letters are added; ids differ anyway.")
    else:
        name = reading.text(
            notes, metadata.get("name"), path, required=True, hint="E.g. 'name: my-experiment'."
        )
    if name and (len(name) > MAX_NAME or not SUBDOMAIN.match(name)):
        close = slug(name)
        notes.error(
            path,
            f"must be at most {MAX_NAME} small letters, digits, '-' and '.', with a letter or "
            f"digit at both ends (it becomes a Kubernetes name and label), but got '{name[:80]}'.",
            f"Try '{close}'." if close else "E.g. 'my-experiment'.",
        )
    return name


def _namespace(notes: Notes, raw: Any) -> str:
    name = reading.text(notes, raw, "metadata.namespace")
    if name and not LABEL.match(name):
        notes.error(
            "metadata.namespace",
            f"must be at most {MAX_NAME} small letters, digits and '-', but got '{name[:80]}'.",
        )
    return name


def _text_pairs(notes: Notes, raw: Any, path: str) -> dict[str, str]:
    pairs = reading.mapping(notes, raw, path)
    for key, value in pairs.items():
        if not LABEL_KEY.match(key):
            notes.error(at(path, key), f"'{key[:80]}' is not a Kubernetes label or annotation key.")
        if value is None:
            notes.error(at(path, key), "must be text, but got nothing.", 'Write "".')
        reading.text(notes, value, at(path, key), max_length=262_144)
    return pairs


def _labels(notes: Notes, raw: Any) -> dict[str, str]:
    pairs = _text_pairs(notes, raw, "metadata.labels")
    for key, value in pairs.items():
        if isinstance(value, str) and not LABEL_VALUE.match(value):
            notes.error(
                at("metadata.labels", key),
                "must be at most 63 letters, digits, '-', '_' and '.', with a letter or digit at "
                f"both ends, but got '{value[:80]}'.",
            )
    return pairs

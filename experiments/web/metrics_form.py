"""Where metrics come from, as the new-experiment form shows it: ``spec.metrics``.

Called by ``manifest_form``, in both directions, with whatever stands in a manifest: only what
differs from its own form is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.web.form_values import as_dict, as_text

# Field of the manifest -> field of the form, for problems.
METRICS_FIELDS = {
    **{name: name for name in ("objective", "file", "tensorboard")},
    "stdout": "pattern",
}


def metrics_form(raw: Any) -> dict[str, str]:
    """The form of a ``spec.metrics``, right or wrong."""
    section = as_dict(raw)
    return {
        "objective": as_text(section.get("objective")),
        "pattern": as_text(as_dict(section.get("stdout")).get("pattern")),
        "file": as_text(section.get("file")),
        "tensorboard": as_text(section.get("tensorboard")),
    }


def merge_metrics(spec: dict[str, Any], old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Write what was edited into ``spec``."""
    section = as_dict(spec.get("metrics"))
    stdout = as_dict(section.get("stdout"))

    def put(name: str, target: dict[str, Any], key: str) -> None:
        value = as_text(new.get(name, old[name])).strip()
        if value == old[name]:
            return
        if value:
            target[key] = value
        else:
            target.pop(key, None)

    put("objective", section, "objective")
    put("file", section, "file")
    put("tensorboard", section, "tensorboard")
    put("pattern", stdout, "pattern")
    if stdout:
        section["stdout"] = stdout
    elif old["pattern"]:
        section.pop("stdout", None)
    if section:
        spec["metrics"] = section
    else:
        spec.pop("metrics", None)

"""How trials share this machine, as the new-experiment form shows it: ``spec.local`` and GPUs.

Called by ``manifest_form``, in both directions, with whatever stands in a manifest: only what
differs from its own form is written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from experiments.manifest.local_spec import MEASURED
from experiments.manifest.quantity import GPU_RESOURCE
from experiments.web.form_values import as_dict, as_text, as_value

_TEXTS = {"python": "python", "trials_per_gpu": "trialsPerGpu"}
_LISTS = {"gpu_indices": "gpuIndices", "preload": "preload"}
# Field of the manifest -> field of the form, for problems.
LOCAL_FIELDS = {
    **{key: name for name, key in {**_TEXTS, **_LISTS}.items()},
    "gpuMemory": "measured",
    "useActiveGpu": "use_active_gpu",
}


def local_form(raw: Any) -> dict[str, Any]:
    """The form of a ``spec.local``, right or wrong."""
    section = as_dict(raw)
    return {
        **{name: as_text(section.get(key)) for name, key in _TEXTS.items()},
        **{name: _joined(section.get(key)) for name, key in _LISTS.items()},
        "measured": section.get("gpuMemory") == MEASURED,
        "use_active_gpu": section.get("useActiveGpu") is True,
    }


def merge_local(spec: dict[str, Any], old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Write what was edited into ``spec``."""
    section = as_dict(spec.get("local"))

    def put(name: str, key: str, value: Any) -> None:
        if new.get(name, old[name]) == old[name]:
            return
        if value in ("", None, [], False):
            section.pop(key, None)
        else:
            section[key] = value

    put("python", "python", as_text(new.get("python")).strip())
    put("trials_per_gpu", "trialsPerGpu", as_value(new.get("trials_per_gpu")))
    for name, key in _LISTS.items():
        put(name, key, [as_value(word) for word in _words(new.get(name))])
    put("measured", "gpuMemory", MEASURED if new.get("measured") else None)
    put("use_active_gpu", "useActiveGpu", new.get("use_active_gpu") is True)
    if section:
        spec["local"] = section
    else:
        spec.pop("local", None)


def gpus_form(container: Mapping[str, Any]) -> str:
    """How many GPUs a container asks for."""
    return as_text(as_dict(as_dict(container.get("resources")).get("limits")).get(GPU_RESOURCE))


def merge_gpus(container: dict[str, Any], text: Any) -> None:
    """Write how many GPUs a container asks for; all else of its resources stays."""
    resources = as_dict(container.get("resources"))
    limits = as_dict(resources.get("limits"))
    if as_text(text).strip():
        limits[GPU_RESOURCE] = as_value(text)
    else:
        limits.pop(GPU_RESOURCE, None)
    for name, section, holder in (
        ("limits", limits, resources),
        ("resources", resources, container),
    ):
        if section:
            holder[name] = section
        else:
            holder.pop(name, None)


def _joined(raw: Any) -> str:
    return ", ".join(map(as_text, raw)) if isinstance(raw, list) else as_text(raw)


def _words(text: Any) -> list[str]:
    return [word for word in re.split(r"[\s,]+", as_text(text)) if word]

"""A manifest as an experiment's row holds it, read again: for the rules, and for the eye.

Called by ``models``. Rows hold what ``spec.to_manifest`` gives, with ``searchSpace`` and
``classArgs`` as JSON *text*: a ``jsonb`` column keeps neither the order of names (it is the order
of the parameters) nor how a number was written (1e3 comes back as 1000, a whole number), so data
in their place would change what is proposed. Rows of any age may hold either.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from experiments.manifest.fields import NAME_FIELDS
from experiments.manifest.spec import ExperimentSpec, parse_manifest


@lru_cache(maxsize=256)
def _parsed(manifest: str) -> ExperimentSpec:
    return parse_manifest(json.loads(manifest)).spec


def stored_spec(manifest: Mapping[str, Any]) -> ExperimentSpec:
    """The parsed manifest, parsed once in a process.

    Raises:
        ProblemsError: this version does not take it any more.
    """
    return _parsed(json.dumps(manifest))


def configuration(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest's ``spec`` with all of it as data; what cannot be read is empty, never refused.

    For pages, which show what was once accepted, whatever is accepted today.
    """
    spec = dict(_mapping(manifest.get("spec")))
    spec["searchSpace"] = _mapping(spec.get("searchSpace"))
    for kind in NAME_FIELDS:
        if section := spec.get(kind):
            spec[kind] = {**section, "classArgs": _mapping(section.get("classArgs"))}
    return spec


def _mapping(raw: Any) -> dict[str, Any]:
    if isinstance(raw, str):
        try:
            raw = json.loads(raw)
        except ValueError:
            return {}
    return dict(raw) if isinstance(raw, Mapping) else {}

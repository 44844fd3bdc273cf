"""The manifest of an experiment as it stands today: as data, and as its author wrote it.

Read by export, REST, pages and cluster.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from experiments.manifest.json_text import is_json
from experiments.manifest.spec import parse_manifest, to_manifest, without_status
from experiments.manifest.text_edit import edit_text
from experiments.manifest.yaml_text import dump_yaml, load_yaml
from experiments.models import Experiment
from experiments.problems import ProblemsError


def current_manifest(experiment: Experiment) -> dict[str, Any]:
    """The manifest with today's limits in it."""
    return _with_limits(experiment.manifest, experiment)


def manifest_text(
    experiment: Experiment, *, name: str = "", warm_start: Mapping[str, Any] | None = None
) -> str:
    """The manifest as YAML with today's limits, and with another ``name`` where one is given.

    ``warm_start``: another ``spec.warmStart``.

    Where it came as YAML it is the author's own text, comments and all; else it is written anew.
    """
    text, manifest = "", experiment.manifest
    with suppress(ProblemsError):
        given = load_yaml(experiment.source).data
        # An old row's text, or one that somebody changed by hand, may mean another experiment.
        if to_manifest(parse_manifest(given).spec) == to_manifest(experiment.spec):
            text, manifest = experiment.source, given
    manifest = _with_limits(without_status(manifest), experiment)
    if name:
        manifest["metadata"] = {**manifest["metadata"], "name": name}
        manifest["metadata"].pop("generateName", None)
    if warm_start is not None:
        manifest["spec"] = {**manifest["spec"], "warmStart": dict(warm_start)}
    return edit_text(text, manifest) if text and not is_json(text) else dump_yaml(manifest)


def _with_limits(manifest: Mapping[str, Any], experiment: Experiment) -> dict[str, Any]:
    limits = {
        "maxExecSeconds": experiment.max_exec_seconds,
        "maxTrialNum": experiment.max_trials,
        "trialConcurrency": experiment.concurrency,
    }
    spec = {**manifest["spec"], **limits}
    return {**manifest, "spec": {k: v for k, v in spec.items() if v is not None or k not in limits}}

"""An experiment as one node of type AutoTune, the way the platform's own AutoTune kept it.

Pure; used where AUTOTUNE_AISTORE_ORIGINAL_NODE is set. The names of the objects are documented, the
fields inside them are not published anywhere: these are our reading of the console's pages.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from experiments.aistore.run_files import ExperimentFacts, RunFacts, timestamp, to_yaml

PRIMARY = "default"  # the metric whose series is kept


def profile(facts: ExperimentFacts, manifest: Mapping[str, Any]) -> tuple[str, bytes]:
    """(key, content) of profile.json: the experiment and its configuration."""
    spec = manifest["spec"]
    chosen = ("tuner", "assessor", "advisor")
    data = {
        "id": facts.id,
        "name": facts.name,
        "status": facts.phase,
        "startTime": timestamp(facts.started_at),
        **{name: spec[name] for name in ("maxExecSeconds", "maxTrialNum") if name in spec},
        "trialConcurrency": spec["trialConcurrency"],
        "optimizeMode": facts.optimize_mode,
        "searchSpace": _unpacked(spec["searchSpace"]),
        "trainingConfig": spec.get("trainingConfig") or {},  # programs elsewhere run the trials
        **{name: spec[name] for name in chosen if name in spec},
    }
    return "profile.json", _json(data)


def trial_files(facts: RunFacts) -> Iterator[tuple[str, bytes]]:
    """Yield (key, content) of one trial's metadata.json and metrics.yaml."""
    data = {
        "id": facts.key,
        "sequence": facts.number,
        "status": facts.state,
        "startTime": timestamp(facts.started_at),
        "endTime": timestamp(facts.finished_at),
        "parameters": {
            "parameter_id": facts.number,
            "parameter_source": "algorithm",
            "parameters": dict(facts.parameters),
        },
    }
    yield f"{facts.key}/metadata.json", _json(data)
    series = [("PERIODICAL", report) for report in facts.intermediate]
    series += [("FINAL", report) for report in facts.final]
    rows = [
        {
            "type": kind,
            "sequence": report.sequence,
            "step": 0 if kind == "FINAL" else report.step,
            "value": float(report.value),  # NaN and Infinity have their own words in YAML
            "timestamp": timestamp(report.time),
        }
        for kind, report in series
        if report.name == PRIMARY
    ]
    yield f"{facts.key}/metrics.yaml", to_yaml(rows)


def _unpacked(space: Any) -> Any:
    return json.loads(space) if isinstance(space, str) else space


def _json(data: Any) -> bytes:
    return json.dumps(data, ensure_ascii=False, indent=1).encode("utf-8", "replace")

"""An ended trial as a Run that T9k's ``em`` SDK loads back, and the folder around the Runs.

Pure: facts in, names, labels and bytes out; called by ``uploader``. The same facts always give the
same bytes and the same ``alternativeName``, so a repeated upload meets its own node. The reader is
PyYAML (YAML 1.1): every text is quoted, floats are written so that they stay floats.
"""

from __future__ import annotations

import hashlib
import math
import re
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import yaml

MAX_NAME = 40  # of a node
MAX_FOLDER_STEM = 29  # leaves room for "_" and a unix time
MAX_DESCRIPTION = 2000
METADATA = "metadata.yaml"
LABEL = "autotune"
BEST = "best"

_ALPHANUMERIC = string.digits + string.ascii_lowercase
_NO_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_Base: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # libyaml's, ten times faster


@dataclass(frozen=True)
class Report:
    """One number of one report; ``value`` is a float, or the name of one that is not finite."""

    name: str
    value: float | str
    sequence: int
    step: float | None
    time: datetime

    @property
    def is_finite(self) -> bool:
        return not isinstance(self.value, str) and math.isfinite(self.value)


@dataclass(frozen=True)
class ExperimentFacts:
    id: str
    name: str
    phase: str
    started_at: datetime
    optimize_mode: str = "maximize"
    best: str = ""  # what the description says of the best trial; "" while there is none
    counts: Mapping[str, int] = field(default_factory=dict)  # trials by state


@dataclass(frozen=True)
class RunFacts:
    """Everything that goes into the Run of one trial."""

    experiment_id: str
    experiment_name: str
    key: str
    number: int
    state: str
    reason: str
    parameters: Mapping[str, Any]
    started_at: datetime
    finished_at: datetime
    intermediate: Sequence[Report] = ()  # by sequence
    final: Sequence[Report] = ()
    log: bytes = b""
    attempt: int = 1
    framework: str = ""
    command: str = ""
    hostname: str = ""
    os: str = ""


# ---------------------------------------------------------------- names, labels, descriptions


def _stem(name: str, longest: int) -> str:
    """The longest allowed beginning of a node's name."""
    return _NO_NAME.sub("-", name)[:longest].strip("-_") or "experiment"


def folder_name(facts: ExperimentFacts) -> str:
    return f"{_stem(facts.name, MAX_FOLDER_STEM)}_{unix(facts.started_at)}"


def other_folder_name(facts: ExperimentFacts) -> str:
    """For the second of two experiments that started in the same second under the same name."""
    end = f"_{unix(facts.started_at)}_{facts.id}"
    return _stem(facts.name, MAX_NAME - len(end)) + end


def folder_labels(facts: ExperimentFacts) -> list[str]:
    return [LABEL, f"id:{facts.id}", f"name:{facts.name}"]


def folder_extra(facts: ExperimentFacts) -> dict[str, Any]:
    return {
        "createdTimestamp": timestamp(facts.started_at),
        "experiment": {"id": facts.id, "name": facts.name, "optimizeMode": facts.optimize_mode},
    }


def folder_description(facts: ExperimentFacts) -> str:
    """Phase, best trial and how the trials ended."""
    counted = ", ".join(f"{n} {state}" for state, n in facts.counts.items() if n)
    parts = [f"{facts.phase}.", facts.best, f"Trials: {counted}." if counted else ""]
    return " ".join(part for part in parts if part)[:MAX_DESCRIPTION]


def run_name(facts: RunFacts) -> str:
    return f"trial-{facts.number:04d}-{facts.key}"


def run_labels(facts: RunFacts, *, is_best: bool = False) -> list[str]:
    labels = [
        LABEL,
        f"experiment:{facts.experiment_name}",
        f"trial:{facts.key}",
        f"status:{facts.state}",
    ]
    return [*labels, BEST] if is_best else labels


def alternative_name(facts: RunFacts) -> str:
    """``<name>_<yymmdd>_<HHMMSS>_<6 of a-z0-9>``: names the reader's directory, tells it is us."""
    told = f"{facts.experiment_id}/{facts.key}/{facts.attempt}"
    number = int.from_bytes(hashlib.sha256(told.encode()).digest()[:8], "big")
    end = ""
    for _ in range(6):
        number, digit = divmod(number, len(_ALPHANUMERIC))
        end += _ALPHANUMERIC[digit]
    return f"{run_name(facts)}_{facts.started_at.astimezone(UTC):%y%m%d_%H%M%S}_{end}"


def run_description(facts: RunFacts) -> str:
    text = f"{facts.state}: trial {facts.number} of the experiment {facts.experiment_name}."
    if facts.reason:
        text += f" {facts.reason}"
    odd: dict[str, str] = {}
    for report in (*facts.intermediate, *facts.final):
        if not report.is_finite:
            odd.setdefault(report.name, str(report.value))
    if odd:
        named = ", ".join(f"{name} ({value})" for name, value in odd.items())
        text += f" Left out, not finite: {named}."
    return text[:MAX_DESCRIPTION]


def timestamp(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="microseconds")


def unix(time: datetime) -> int:
    return int(time.timestamp())


# ---------------------------------------------------------------- objects


def run_files(facts: RunFacts) -> Iterator[tuple[str, bytes]]:
    """Yield (object key, content) of everything in the Run; metadata.yaml, last, completes it."""
    metrics = {"val": _intermediate(facts), "test": _final(facts)}
    kept = {kind: points for kind, points in metrics.items() if points}
    for kind, points in kept.items():
        yield f"metrics/{kind}.yaml", to_yaml(points)
    yield "hyperparameters.yaml", to_yaml(dict(facts.parameters))
    yield "platform.yaml", to_yaml(_platform(facts))
    yield "git.yaml", to_yaml(_git(facts))
    yield "stdout.log", facts.log
    yield (
        "index.yaml",
        to_yaml(
            {
                "hyperparameters": "hyperparameters.yaml",
                "metrics": {kind: f"metrics/{kind}.yaml" for kind in kept},
                "platform": "platform.yaml",
                "git": "git.yaml",
                "log": "stdout.log",
            }
        ),
    )
    yield METADATA, to_yaml(_metadata(facts))


def _metadata(facts: RunFacts) -> dict[str, Any]:
    return {
        "kind": "Run",
        "name": run_name(facts),
        "labels": run_labels(facts),
        "description": run_description(facts),
        "startTimestamp": timestamp(facts.started_at),
        "endTimestamp": timestamp(facts.finished_at),
        "status": "Complete" if facts.state == "SUCCEEDED" else "Error",
        "alternativeName": alternative_name(facts),
        # The reader looks for what is named here in its own directories: nothing is.
        "associations": {"input": [], "output": []},
        "remote": [],
    }


def _platform(facts: RunFacts) -> dict[str, Any]:
    return {
        "hostname": facts.hostname or None,
        "os": facts.os or None,
        "python": None,
        "pypkgs": {},
        "framework": facts.framework or None,
    }


def _git(facts: RunFacts) -> dict[str, Any]:
    nothing = dict.fromkeys(("repo_path", "remote_url", "branch", "commit"))
    return {**nothing, "is_dirty": None, "entrypoint": facts.command or None}


def _step_of(facts: RunFacts) -> dict[int, int]:
    """The step of each sequence: as reported where all are whole numbers, else the sequence."""
    steps: dict[int, int] = {}
    for report in facts.intermediate:
        if report.step is None or not float(report.step).is_integer():
            return {r.sequence: r.sequence for r in facts.intermediate}
        steps[report.sequence] = int(report.step)
    return steps


def _intermediate(facts: RunFacts) -> list[dict[str, Any]]:
    """Points of metrics/val.yaml: the finite numbers of each report, together."""
    steps = _step_of(facts)
    points: dict[int, dict[str, Any]] = {}
    for report in facts.intermediate:
        if report.is_finite:
            new = _point(steps[report.sequence], report.time)
            points.setdefault(report.sequence, new)["value"][report.name] = report.value
    return list(points.values())


def _final(facts: RunFacts) -> list[dict[str, Any]]:
    """The one point of metrics/test.yaml, at the last step there was."""
    finite = [report for report in facts.final if report.is_finite]
    if not finite:
        return []
    point = _point(max(_step_of(facts).values(), default=0), finite[0].time)
    point["value"] = {report.name: report.value for report in finite}
    return [point]


def _point(step: int, time: datetime) -> dict[str, Any]:
    return {
        "value": {},
        "sequence": {"epoch": None, "step": step, "timestamp": timestamp(time)},
    }


# ---------------------------------------------------------------- YAML


class _Dumper(_Base):  # type: ignore[misc]
    """Block style, every text in double quotes, no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _quoted(dumper: Any, text: str) -> Any:
    clean = text.encode("utf-8", "replace").decode()  # half a character cannot be written
    return dumper.represent_scalar("tag:yaml.org,2002:str", clean, style='"')


_Dumper.add_representer(str, _quoted)


def to_yaml(data: Any) -> bytes:
    """YAML that PyYAML's safe loader reads back as equal data, floats as floats."""
    text: str = yaml.dump(
        data, Dumper=_Dumper, sort_keys=False, default_flow_style=False, width=1_000_000
    )
    return text.encode()

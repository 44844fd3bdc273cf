"""NNI's results: the ``nni.sqlite`` of an experiment, and what ``nnictl experiment export`` writes.

The database has every trial with its states and reports, and the configuration. An export has
parameters and results of those that succeeded, and (with ``--intermediate``) their reports.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from experiments.earlier import reasons
from experiments.earlier.beside import Beside, of_configuration
from experiments.earlier.space import read_from_values
from experiments.earlier.study import (
    DEFAULT,
    PastReport,
    PastStudy,
    PastTrial,
    Wanted,
    check_size,
    mode_of,
    refused,
)
from experiments.earlier.values import loosely, moment, number, table
from experiments.problems import Problem
from experiments.states import TrialState
from experiments.strict_json import JsonRefused, read_json

Query = Callable[[str, tuple[Any, ...]], Iterable[tuple[Any, ...]]]
TABLES = frozenset({"TrialJobEvent", "MetricData", "ExperimentProfile"})
_STATES = {
    "SUCCEEDED": (TrialState.SUCCEEDED, ""),
    "FAILED": (TrialState.FAILED, reasons.FAILED),
    "EARLY_STOPPED": (TrialState.EARLY_STOPPED, reasons.STOPPED),
    "USER_CANCELED": (TrialState.CANCELED, reasons.CANCELED),
    "SYS_CANCELED": (TrialState.CANCELED, reasons.CANCELED),
}
_STARTED = "RUNNING"
_FINAL, _PERIODICAL = "FINAL", "PERIODICAL"


def read_database(query: Query, whence: str, wanted: Wanted) -> PastStudy:
    """The experiment of a database. Raises ProblemsError."""
    rows = list(
        query("SELECT params, id FROM ExperimentProfile ORDER BY revision DESC LIMIT 1", ())
    )
    if not rows:
        raise refused("NNI's database holds no experiment.")
    params, key = str(rows[0][0]), str(rows[0][1])
    found = of_configuration(params, "nni.json", {})
    profile = _json(params)
    name = str(profile.get("experimentName") or f"nni-{key}") if profile else f"nni-{key}"
    left = list(found.left)
    jobs: dict[str, dict[str, Any]] = {}
    for time, job, event, data, sequence in query(
        "SELECT timestamp, trialJobId, event, data, sequenceId FROM TrialJobEvent "
        "ORDER BY timestamp, rowid", (),
    ):  # fmt: skip
        if str(event) not in (*_STATES, _STARTED, "WAITING", "UNKNOWN"):
            continue  # of no trial: an imported point, a changed search space
        seen = jobs.setdefault(str(job), {"number": sequence, "reports": [], "state": ""})
        check_size(len(jobs))
        if data:
            seen["data"] = data
        if event == _STARTED and "start" not in seen:
            seen["start"] = time
        if str(event) in _STATES:
            seen["state"], seen["end"] = str(event), time
    n_reports = 0
    for time, job, kind, sequence, data in query(
        "SELECT timestamp, trialJobId, type, sequence, data FROM MetricData "
        "ORDER BY sequence, timestamp", (),
    ):  # fmt: skip
        n_reports += 1
        check_size(0, n_reports)
        if str(job) not in jobs:
            continue
        numbers = _numbers(data)
        if str(kind) == _FINAL:
            jobs[str(job)]["final"] = numbers
        elif str(kind) == _PERIODICAL:
            jobs[str(job)]["reports"].append((int(sequence), time, numbers))
    trials = [_job(n, job) for n, job in enumerate(_in_order(jobs))]
    return _study(name, whence, trials, found, wanted, left)


def _in_order(jobs: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """By NNI's own numbers, where these are there and differ."""
    numbers = [job["number"] for job in jobs.values()]
    if all(isinstance(n, int) for n in numbers) and len(set(numbers)) == len(numbers):
        return sorted(jobs.values(), key=lambda job: int(job["number"]))
    return list(jobs.values())


def _job(place: int, job: Mapping[str, Any]) -> PastTrial:
    data = _json(job.get("data"))
    parameters = data.get("parameters", data) if isinstance(data, Mapping) else {}
    state, reason = _STATES.get(job["state"], (TrialState.CANCELED, reasons.UNFINISHED))
    reports = []
    for sequence, time, numbers in job["reports"]:
        at = moment(time)
        reports += [PastReport(sequence, v, name, None, at) for name, v in numbers.items()]
    finals = dict(job.get("final", {}))
    own = job["number"]
    return _trial(
        own if isinstance(own, int) and own >= 0 else place,
        parameters if isinstance(parameters, Mapping) else {},
        state, reason, finals, reports,
        started_at=moment(job.get("start")), finished_at=moment(job.get("end")),
    )  # fmt: skip


def _trial(
    place: int,
    parameters: Mapping[str, Any],
    state: TrialState,
    reason: str,
    finals: dict[str, float],
    reports: Sequence[PastReport],
    **times: Any,
) -> PastTrial:
    value = finals.get(DEFAULT)
    if state == TrialState.SUCCEEDED and value is None:
        state, reason = TrialState.FAILED, reasons.NO_RESULT
    elif state == TrialState.SUCCEEDED and not abs(value or 0.0) < float("inf"):
        state, reason, value = TrialState.FAILED, reasons.not_finite(f"{value}"), None
    elif state == TrialState.EARLY_STOPPED:
        seen = [r.value for r in reports if r.name == DEFAULT and abs(r.value) < float("inf")]
        value = seen[-1] if seen else value
    elif state != TrialState.SUCCEEDED:
        value = None
    return PastTrial(place, dict(parameters), state, value, finals, tuple(reports),
                     reason=reason, **times)  # fmt: skip


def _numbers(data: Any) -> dict[str, float]:
    """What a report says: a number, or several by name; NNI writes it as JSON within JSON."""
    found = _json(data)
    if isinstance(found, Mapping):
        named = {str(name)[:200]: number(value) for name, value in found.items()}
        return {name: value for name, value in named.items() if value is not None}
    value = number(found)
    return {} if value is None else {DEFAULT: value}


def _json(text: Any) -> Any:
    """JSON, also where it is text within JSON; None for what is neither."""
    found = text
    for _ in range(3):
        if not isinstance(found, str):
            return found
        try:
            found = read_json(found, nan=True, huge=True)
        except JsonRefused:
            return None
    return found


# ---- exports


def is_export(data: Any) -> bool:
    """Whether JSON is what ``nnictl experiment export`` writes."""
    return isinstance(data, list) and bool(data) and all(
        isinstance(row, Mapping) and "parameter" in row and "value" in row for row in data[:100]
    )  # fmt: skip


def is_export_table(names: Sequence[str]) -> bool:
    return "trialJobId" in names


def read_export(
    data: Sequence[Any], whence: str, name: str, wanted: Wanted, found: Beside
) -> PastStudy:
    """Raises ProblemsError."""
    check_size(len(data))
    trials = []
    for place, row in enumerate(data):
        if not isinstance(row, Mapping) or not isinstance(row.get("parameter"), Mapping):
            raise refused(f"Entry {place} of NNI's export has no parameters.")
        reports = [
            PastReport(sequence, value, named)
            for sequence, given in enumerate(row.get("intermediate") or [])
            for named, value in _numbers(given).items()
        ]
        finals = _numbers(row.get("value"))
        trials.append(
            _trial(place, row["parameter"], TrialState.SUCCEEDED, "", finals, reports)
        )  # fmt: skip
    return _study(name, whence, trials, found, wanted, [])


def read_export_table(
    text: str, whence: str, name: str, wanted: Wanted, found: Beside
) -> PastStudy:
    """The same as CSV: parameters, results and the trial's key side by side."""
    names, rows = table(text)
    known = set(found.space or ()) | set(wanted.parameters)
    results = {"reward", "trialJobId", "intermediate"}
    if "reward" not in names:
        results |= {DEFAULT} | ({n for n in names if n not in known} if known else set())
    data = []
    for row in rows:
        value: Any = row.get("reward")
        if value is None:
            value = {name: loosely(row[name]) for name in results & set(row) - {"trialJobId"}}
        reports = row.get("intermediate", "")
        data.append(
            {
                "parameter": {n: loosely(c) for n, c in row.items() if n not in results},
                "value": value,
                "intermediate": _json(reports.replace("'", '"')) if reports else [],
            }
        )
    return read_export(data, whence, name, wanted, found)


def _study(
    name: str, whence: str, trials: Sequence[PastTrial], found: Beside, wanted: Wanted,
    left: list[Problem],
) -> PastStudy:  # fmt: skip
    space = found.space
    if space is None:
        hint = "Give NNI's config.yml, or the search space, beside it."
        space = read_from_values(trials, left, hint)
    return PastStudy(
        product="NNI",
        whence=whence,
        name=name,
        optimize_mode=wanted.mode or found.mode or mode_of(wanted, left),
        space=space,
        trials=tuple(trials),
        left=tuple(left),
        manifest=found.manifest,
    )

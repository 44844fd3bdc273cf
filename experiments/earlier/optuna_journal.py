"""Optuna's journal file: one JSON object a line, each an operation on studies and trials.

Replayed as Optuna 3, 4 and 5 replay it. A last line that breaks off (the study may be running) is
left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from experiments.earlier.optuna import MAXIMIZE, MINIMIZE, RawStudy, RawTrial
from experiments.earlier.study import MOST_TRIALS, check_size, refused
from experiments.strict_json import JsonRefused, read_json

MOST_LINES = 5_000_000
LONGEST_LINE = 4 * 1024 * 1024
_STATES = ("RUNNING", "COMPLETE", "PRUNED", "FAIL", "WAITING")
_OPEN = ("RUNNING", "WAITING")


def is_journal(first_line: bytes) -> bool:
    """Whether a file that begins so is one."""
    try:
        data = read_json(first_line, nan=True)
    except JsonRefused:
        return False
    return isinstance(data, dict) and "op_code" in data and "worker_id" in data


def read_journal(lines: Iterable[bytes]) -> list[RawStudy]:
    """Raises ProblemsError where a line is no operation that is known."""
    replay = _Replay()
    broken = 0
    for number, line in enumerate(lines, 1):
        if number > MOST_LINES or len(line) > LONGEST_LINE:
            raise refused(f"Line {number}: the journal is too long.")
        if not line.strip():
            continue
        if broken:
            raise refused(f"Line {broken} of the journal is not JSON.")
        try:
            log = read_json(line, nan=True, huge=True)
        except JsonRefused:
            broken = number
            continue
        try:
            replay.apply(log)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError):
            raise refused(
                f"Line {number} of the journal is no operation of Optuna's that is known here.",
                "Is it of a later version of Optuna?",
            ) from None
    return list(replay.studies.values())


class _Replay:
    def __init__(self) -> None:
        self.studies: dict[int, RawStudy] = {}
        self._trials: list[RawTrial] = []  # by trial id
        self._n_studies = 0
        self._do: dict[int, Callable[[Mapping[str, Any]], None]] = {
            0: self._create_study, 1: self._delete_study, 2: self._study_user,
            3: self._study_system, 4: self._create_trial, 5: self._param, 6: self._state,
            7: self._intermediate, 8: self._trial_user, 9: self._trial_system,
            10: lambda log: None,  # Optuna 5 passes it over, too
        }  # fmt: skip

    def apply(self, log: Any) -> None:
        self._do[log["op_code"]](log)

    def _create_study(self, log: Mapping[str, Any]) -> None:
        if any(study.name == log["study_name"] for study in self.studies.values()):
            return
        directions = [(MINIMIZE, MAXIMIZE)[int(d) - 1] for d in log["directions"]]
        self.studies[self._n_studies] = RawStudy(str(log["study_name"]), directions)
        self._n_studies += 1

    def _delete_study(self, log: Mapping[str, Any]) -> None:
        self.studies.pop(log["study_id"], None)

    def _study_user(self, log: Mapping[str, Any]) -> None:
        if study := self.studies.get(log["study_id"]):
            study.user_attrs.update(log["user_attr"])

    def _study_system(self, log: Mapping[str, Any]) -> None:
        if study := self.studies.get(log["study_id"]):
            study.system_attrs.update(log["system_attr"])

    def _create_trial(self, log: Mapping[str, Any]) -> None:
        study = self.studies.get(log["study_id"])
        if study is None:
            return
        check_size(len(self._trials) + 1 if len(self._trials) >= MOST_TRIALS else 0)
        values = log.get("values")
        if values is None and log.get("value") is not None:
            values = [log["value"]]
        trial = RawTrial(
            number=len(study.trials),
            state=_STATES[log.get("state", 0)],
            values=values,
            started_at=_time(log.get("datetime_start")),
            finished_at=_time(log.get("datetime_complete")),
            user_attrs=dict(log.get("user_attrs", {})),
            system_attrs=dict(log.get("system_attrs", {})),
            intermediate={int(k): float(v) for k, v in log.get("intermediate_values", {}).items()},
        )
        distributions = log.get("distributions", {})
        for name, value in log.get("params", {}).items():
            trial.params[name] = float(value), distribution_of(distributions[name])
        study.trials.append(trial)
        self._trials.append(trial)

    def _open(self, log: Mapping[str, Any]) -> RawTrial | None:
        """The trial, where it can still change."""
        trial = self._trials[log["trial_id"]]
        return trial if trial.state in _OPEN else None

    def _param(self, log: Mapping[str, Any]) -> None:
        if trial := self._open(log):
            value = float(log["param_value_internal"])
            trial.params[str(log["param_name"])] = value, distribution_of(log["distribution"])

    def _state(self, log: Mapping[str, Any]) -> None:
        trial = self._open(log)
        state = _STATES[log["state"]]
        if trial is None or (state == trial.state == "RUNNING"):
            return
        if state == "RUNNING":
            trial.started_at = _time(log["datetime_start"])
        elif state not in _OPEN:
            trial.finished_at = _time(log["datetime_complete"])
        trial.state = state
        if log["values"] is not None:
            trial.values = [float(v) for v in log["values"]]

    def _intermediate(self, log: Mapping[str, Any]) -> None:
        if trial := self._open(log):
            trial.intermediate[int(log["step"])] = float(log["intermediate_value"])

    def _trial_user(self, log: Mapping[str, Any]) -> None:
        if trial := self._open(log):
            trial.user_attrs.update(log["user_attr"])

    def _trial_system(self, log: Mapping[str, Any]) -> None:
        if trial := self._open(log):
            trial.system_attrs.update(log["system_attr"])


def distribution_of(text: Any) -> Mapping[str, Any]:
    """A distribution as Optuna writes it. Raises ValueError."""
    found = read_json(text, nan=True, huge=True) if isinstance(text, str) else text
    if not isinstance(found, Mapping) or not isinstance(found.get("attributes"), Mapping):
        raise ValueError("no distribution")
    return found


def _time(text: Any) -> datetime | None:
    """Optuna 3 and 4 write local time without saying so, Optuna 5 says that it is UTC."""
    return None if text is None else datetime.fromisoformat(str(text)).astimezone()

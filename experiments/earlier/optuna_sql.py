"""Optuna's tables in SQLite or PostgreSQL, read by plain SELECTs of ours.

Read by columns, so that every schema of Optuna 3 to 5 (and what ``optuna storage upgrade`` makes of
older ones) is one case. Nothing is written, and no column holds a pickle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from experiments.earlier.optuna import RawStudy, RawTrial, chosen_names
from experiments.earlier.optuna_journal import distribution_of
from experiments.earlier.study import Wanted, check_size, refused
from experiments.strict_json import JsonRefused, read_json

Query = Callable[[str, tuple[Any, ...]], Iterable[tuple[Any, ...]]]  # marks are ?
NEWEST_SCHEMA = 12
OLDEST_SCHEMA = 12
FIRST_IN_UTC = 5
TABLES = frozenset({"studies", "study_directions", "trials", "trial_params", "trial_values"})
_NOT_FINITE = {"INF_POS": float("inf"), "INF_NEG": float("-inf"), "NAN": float("nan")}


def read_studies(query: Query, wanted: Wanted) -> tuple[list[RawStudy], str]:
    """The chosen studies, and in words which Optuna wrote the storage. Raises ProblemsError."""
    version, is_utc = _version(query)
    found = {str(name): key for key, name in query("SELECT study_id, study_name FROM studies", ())}
    names = chosen_names(list(found), wanted)
    return [_study(query, found[name], name, is_utc=is_utc) for name in names], version


def _version(query: Query) -> tuple[str, bool]:
    """In words, and whether it stores times in UTC: Optuna 5 does, in the same schema."""
    rows = list(query("SELECT schema_version, library_version FROM version_info", ()))
    if len(rows) != 1:
        raise refused("The Optuna storage does not say of which version it is.")
    schema, library = int(rows[0][0]), str(rows[0][1])
    if schema > NEWEST_SCHEMA:
        raise refused(
            f"The storage has schema {schema} of Optuna {library[:40]}; known here is "
            f"{NEWEST_SCHEMA}, of Optuna 3 to 5.",
            "Export its trials as a journal file with that Optuna, or update AutoTune.",
        )
    if schema < OLDEST_SCHEMA:
        raise refused(
            f"The storage has schema {schema} of Optuna {library[:40]}, from before Optuna 3.",
            "Upgrade it first: optuna storage upgrade --storage URL.",
        )
    major = library.partition(".")[0]
    is_utc = major.isdigit() and int(major) >= FIRST_IN_UTC
    return f"Optuna {library[:40]}, schema {schema}", is_utc


def _study(query: Query, key: int, name: str, *, is_utc: bool) -> RawStudy:
    rows = query("SELECT direction FROM study_directions WHERE study_id = ? ORDER BY objective",
                 (key,))  # fmt: skip
    study = RawStudy(name, [str(direction) for (direction,) in rows])
    study.system_attrs = dict(
        _attributes(query, "SELECT study_id, key, value_json FROM study_system_attributes "
                    "WHERE study_id = ?", key).get(key, {})
    )  # fmt: skip
    trials: dict[int, RawTrial] = {}
    ((n_trials,),) = query("SELECT COUNT(*) FROM trials WHERE study_id = ?", (key,))
    check_size(int(n_trials))
    for trial_id, number, state, start, end in query(
        "SELECT trial_id, number, state, datetime_start, datetime_complete FROM trials "
        "WHERE study_id = ? ORDER BY trial_id", (key,),
    ):  # fmt: skip
        times = _time(start, is_utc=is_utc), _time(end, is_utc=is_utc)
        trials[trial_id] = RawTrial(int(number), str(state), None, *times)
    try:
        _fill(query, key, trials)
    except (KeyError, TypeError, ValueError) as error:
        raise refused(f"The storage holds a row that Optuna does not write: {error!r}.") from None
    study.trials = sorted(trials.values(), key=lambda trial: trial.number)
    return study


def _fill(query: Query, key: int, trials: dict[int, RawTrial]) -> None:
    of_study = "WHERE trial_id IN (SELECT trial_id FROM trials WHERE study_id = ?)"
    known: dict[str, Any] = {}  # distributions are few, and each stands in every row
    for trial_id, name, value, text in query(
        f"SELECT trial_id, param_name, param_value, distribution_json FROM trial_params {of_study} "
        "ORDER BY param_id", (key,),
    ):  # fmt: skip
        if text not in known:
            known[text] = distribution_of(text)
        trials[trial_id].params[str(name)] = float(value), known[text]
    for trial_id, value, kind in query(
        f"SELECT trial_id, value, value_type FROM trial_values {of_study} "
        "ORDER BY trial_id, objective", (key,),
    ):  # fmt: skip
        trial = trials[trial_id]
        trial.values = [*(trial.values or []), _number(value, kind)]
    reports = query(
        "SELECT trial_id, step, intermediate_value, intermediate_value_type "
        f"FROM trial_intermediate_values {of_study}", (key,),
    )  # fmt: skip
    for n_before, (trial_id, step, value, kind) in enumerate(reports):
        check_size(0, n_before)
        trials[trial_id].intermediate[int(step)] = _number(value, kind)
    for table, name in (
        ("trial_user_attributes", "user_attrs"), ("trial_system_attributes", "system_attrs"),
    ):  # fmt: skip
        wanted = "" if name == "user_attrs" else " AND key = 'constraints'"
        sql = f"SELECT trial_id, key, value_json FROM {table} {of_study}{wanted}"
        for trial_id, found in _attributes(query, sql, key).items():
            getattr(trials[trial_id], name).update(found)


def _attributes(query: Query, sql: str, key: int) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for owner, name, text in query(sql, (key,)):
        try:
            value = read_json(str(text), nan=True, huge=True)
        except JsonRefused:
            continue  # an attribute is a remark: nothing depends on it
        found.setdefault(owner, {})[str(name)] = value
    return found


def _number(value: Any, kind: Any) -> float:
    return float(value) if kind == "FINITE" else _NOT_FINITE[str(kind)]


def _time(given: Any, *, is_utc: bool) -> datetime | None:
    """A moment without a zone, as the column has it; SQLite gives it as text."""
    if given is None:
        return None
    found = given if isinstance(given, datetime) else datetime.fromisoformat(str(given))
    return found.replace(tzinfo=UTC) if is_utc else found.astimezone()

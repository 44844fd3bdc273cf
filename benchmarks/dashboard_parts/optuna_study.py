"""Write an exported experiment as a study into Optuna's SQLite storage.

    python optuna_study.py EXPORTED.json STUDY.sqlite3

Run by the interpreter of Optuna's environment. The tables are Optuna's; rows are written as they
are, as its own interface takes minutes for a million reports.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)

STATES = {"SUCCEEDED": "COMPLETE", "EARLY_STOPPED": "PRUNED"}  # all others: FAIL


def distribution(node: dict[str, Any]) -> BaseDistribution:
    """Of a parameter of the search space."""
    kind, value = node["_type"], node["_value"]
    if kind == "choice":
        return CategoricalDistribution(value)
    if kind == "randint":
        return IntDistribution(value[0], value[1] - 1)
    if kind == "quniform":
        return FloatDistribution(value[0], value[1], step=value[2])
    return FloatDistribution(value[0], value[1], log=kind == "loguniform")


def moment(iso: str | None) -> str | None:
    return None if iso is None else iso.replace("T", " ")[:26]


def main(exported: str, database: str) -> None:
    with open(exported, encoding="utf-8") as file:
        given = json.load(file)
    space = given["experiment"]["manifest"]["spec"]["searchSpace"]
    space = json.loads(space) if isinstance(space, str) else space
    known = {name: distribution(node) for name, node in space.items()}
    as_json = {name: distribution_to_json(found) for name, found in known.items()}
    storage = optuna.storages.RDBStorage(f"sqlite:///{database}")
    optuna.create_study(storage=storage, study_name="the same", direction="maximize")
    rows: dict[str, list[tuple[Any, ...]]] = {
        "trials(trial_id, number, study_id, state, datetime_start, datetime_complete)": [],
        "trial_params(trial_id, param_name, param_value, distribution_json)": [],
        "trial_values(trial_id, objective, value, value_type)": [],
        "trial_intermediate_values"
        "(trial_id, step, intermediate_value, intermediate_value_type)": [],
    }  # fmt: skip
    trials, params, values, reports = rows.values()
    for trial in given["trials"]:
        pk = trial["number"] + 1
        start, end = moment(trial["started_at"]), moment(trial["finished_at"])
        trials.append((pk, trial["number"], 1, STATES.get(trial["state"], "FAIL"), start, end))
        for name, value in trial["parameters"].items():
            params.append((pk, name, known[name].to_internal_repr(value), as_json[name]))
        if trial["value"] is not None:
            values.append((pk, 0, trial["value"], "FINITE"))
        reports += [
            (pk, r["sequence"], r["value"], "FINITE")
            for r in trial["intermediate"]
            if r["name"] == "default" and isinstance(r["value"], float)
        ]
    with sqlite3.connect(database) as connection:
        for table, found in rows.items():
            marks = ", ".join("?" * len(found[0]))
            connection.executemany(f"INSERT INTO {table} VALUES ({marks})", found)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""All trials of an experiment as charts see them, made once and kept: records, and arrays of them.

Called by ``chart_data``, ``curve_data``, ``pace`` and ``triage``. After news only the trials that
changed are made anew (see ``trial_columns``). Nobody may change what is found.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import compress
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from experiments.charts.base import TrialRecord
from experiments.charts.columns import Kept
from experiments.models import Experiment
from experiments.selectors import selection, trial_columns
from experiments.selectors.trial_columns import TrialColumns

_COLUMNS = ("n_reports", *TrialRecord._fields)


@dataclass(frozen=True, eq=False)
class Rows:
    """The same place in each is the same trial's."""

    pks: NDArray[np.int64]
    n_reports: NDArray[np.int64]
    trials: tuple[TrialRecord, ...]
    kept: Kept


def of(experiment: Experiment, chosen: Collection[int] | None = None) -> Rows:
    """As of ``experiment.last_seq`` or later; ``chosen``: keys of the selected trials."""
    rows, _ = with_columns(experiment, ())
    return _among(rows, chosen)


def with_columns(experiment: Experiment, names: Collection[str]) -> tuple[Rows, TrialColumns]:
    """All trials, and more columns of the same ones."""
    found = trial_columns.of(experiment, {*_COLUMNS, *names})
    return found.once("rows", partial(_made, found), partial(_made_again, found)), found


def _made(found: TrialColumns) -> Rows:
    trials = tuple(_records(found))
    return Rows(*_numbers(found), trials, Kept.of(trials))


def _made_again(found: TrialColumns, before: Rows, places: list[int]) -> Rows:
    """Of what was made before the trials at these places changed, or were added last."""
    trials: list[Any] = [*before.trials, *[None] * (len(found) - len(before.trials))]
    for place, trial in zip(places, _records(found, places), strict=True):
        trials[place] = trial
    kept = before.kept.with_changed(trials, np.array(places, dtype=np.intp))
    return Rows(*_numbers(found), tuple(trials), kept)


def _numbers(found: TrialColumns) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.array(found["id"], dtype=np.int64), np.array(found["n_reports"], dtype=np.int64)


def _records(found: TrialColumns, places: Sequence[int] | None = None) -> Iterator[TrialRecord]:
    """Of the trials at these places, or of all."""
    read = [found[name] for name in TrialRecord._fields]
    if places is not None:
        read = [[column[place] for place in places] for column in read]
    make = partial(tuple.__new__, TrialRecord)  # a third of the time that TrialRecord() takes
    return cast(Iterator[TrialRecord], map(make, zip(*read, strict=True)))


def _among(rows: Rows, chosen: Collection[int] | None) -> Rows:
    if chosen is None or len(chosen) == len(rows.pks):
        return rows
    keep = list(map(selection.is_in(chosen), rows.pks.tolist()))
    places = np.flatnonzero(keep)
    trials = tuple(compress(rows.trials, keep))
    return Rows(rows.pks[places], rows.n_reports[places], trials, rows.kept.among(places))

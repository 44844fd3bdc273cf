"""The trials of an experiment column by column, read once however many charts and filters ask.

Called by ``chart_data``, ``selection``, ``pace`` and ``triage``. What a process has read of a large
experiment it keeps, and reads after news only the trials that have changed: those whose ``seq`` is
newer, and those that still run, whose newest values have none. Nobody may change what is found.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from threading import Lock, RLock
from typing import Any, TypeVar, cast

from django.db.models import Q, QuerySet

from experiments.algorithms.space.flat import flat
from experiments.models import Experiment, Trial
from experiments.selectors import fast_rows
from experiments.states import FINISHED

V = TypeVar("V")

FLAT = "flat"  # a column of its own: the parameters side by side, by their dotted names
LEAST_KEPT = 500  # trials; fewer are read anew as quickly
MOST_KEPT = 200_000  # trials of all that is kept, some hundred bytes each


class TrialColumns:
    """Every trial, in order of numbers; the same place in each column is the same trial's."""

    def __init__(self, seq: int, columns: Mapping[str, Sequence[Any]]) -> None:
        self.seq = seq  # of the experiment when it was read
        self.columns = dict(columns)
        self._made: dict[str, Any] = {}

    def __len__(self) -> int:
        return len(self.columns["id"])

    def __getitem__(self, name: str) -> Sequence[Any]:
        return self.columns[name]

    def once(self, name: str, make: Callable[[], V]) -> V:
        """What is made of these columns, kept as long as they are."""
        if name not in self._made:
            self._made[name] = make()
        return cast(V, self._made[name])


class _Store:
    """What is kept of one experiment, and the lock under which it is brought up to date."""

    def __init__(self) -> None:
        self.lock = RLock()
        self.found: TrialColumns | None = None


_stores: OrderedDict[str, _Store] = OrderedDict()
_lock = Lock()


def of(experiment: Experiment, names: Collection[str]) -> TrialColumns:
    """The trials with at least these columns beside ``id``, as of ``experiment.last_seq`` or later.

    Columns are named as the fields of ``Trial``, and FLAT.
    """
    with _lock:
        store = _stores.setdefault(experiment.pk, _Store())
        _stores.move_to_end(experiment.pk)
    with store.lock:
        found = store.found
        if found is None:
            found = _whole(experiment, names)
        elif found.seq < experiment.last_seq or not found.columns.keys() >= set(names):
            found = _brought_up(experiment, found, names)
        store.found = found if len(found) >= LEAST_KEPT else None
    _make_room()
    return found


def forget() -> None:
    """For tests: keep nothing."""
    with _lock:
        _stores.clear()


def _make_room() -> None:
    with _lock:
        sizes = {pk: len(store.found) if store.found else 0 for pk, store in _stores.items()}
        for pk in list(_stores)[:-1]:  # the oldest first, the newest never
            if sizes[pk] and sum(sizes.values()) <= MOST_KEPT:
                continue
            sizes.pop(pk)
            del _stores[pk]


def _whole(experiment: Experiment, names: Collection[str]) -> TrialColumns:
    trials = Trial.objects.filter(experiment_id=experiment.pk).order_by("number")
    return TrialColumns(experiment.last_seq, _read(trials, {"id", *names}))


def _brought_up(
    experiment: Experiment, known: TrialColumns, names: Collection[str]
) -> TrialColumns:
    columns = dict(known.columns)
    trials = Trial.objects.filter(experiment_id=experiment.pk).order_by("number")
    if known.seq < experiment.last_seq:  # else who asks has but read it a little earlier
        changed = trials.filter(Q(seq__gt=known.seq) | ~Q(state__in=FINISHED))
        columns = _with(columns, _read(changed, columns))
    missing = set(names) - columns.keys()
    if missing:
        more = _read(trials, {"id", *missing})
        if list(more["id"]) != list(columns["id"]):  # there is a trial more by now
            return _whole(experiment, {*columns, *missing})
        columns |= more
    return TrialColumns(max(known.seq, experiment.last_seq), columns)


def _with(
    known: dict[str, Sequence[Any]], fresh: dict[str, Sequence[Any]]
) -> dict[str, Sequence[Any]]:
    """The columns with these trials as they are now; new ones come last."""
    place_of = {pk: place for place, pk in enumerate(known["id"])}
    n = len(place_of)
    places = [place_of.get(pk, -1) for pk in fresh["id"]]
    found: dict[str, Sequence[Any]] = {}
    for name, column in known.items():
        values = list(column)
        for place, value in zip(places, fresh[name], strict=True):
            if place >= 0:
                values[place] = value
            else:
                values.append(value)
        found[name] = values
    assert all(len(column) == n + places.count(-1) for column in found.values())
    return found


def _read(trials: QuerySet[Trial], names: Collection[str]) -> dict[str, Sequence[Any]]:
    columns = sorted({"parameters" if name == FLAT else name for name in names})
    found = dict(zip(columns, fast_rows.columns(trials, columns), strict=True))
    if FLAT in names:
        found[FLAT] = [flat(parameters) for parameters in found["parameters"]]
    return found

"""The trials of an experiment column by column, read once however many charts and filters ask.

Called by ``chart_data``, ``selection``, ``pace`` and ``triage``. What a process has read of a large
experiment it keeps, and reads after news only the trials that have changed: those whose ``seq`` is
newer, and those that still run, whose newest values have none. Nobody may change what is found.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from threading import Lock, RLock
from typing import Any, NamedTuple, TypeVar, cast

from django.db.models import Q, QuerySet

from experiments.algorithms.space.flat import flat
from experiments.models import Experiment, Trial
from experiments.selectors import fast_rows
from experiments.states import FINISHED, TrialState

V = TypeVar("V")

FLAT = "flat"  # a column of its own: the parameters side by side, by their dotted names
LEAST_KEPT = 500  # trials; fewer are read anew as quickly
MOST_CHANGED = 5000  # trials; what was made before more of them changed is made anew
MOST_NAMED = 500  # keys in a query
GOING_ON = frozenset(TrialState) - FINISHED
MOST_KEPT = 200_000  # trials of all that is kept, some hundred bytes each


class _Made(NamedTuple):
    what: Any
    changed: frozenset[int] = frozenset()  # places of the trials that changed since


class TrialColumns:
    """Every trial, in order of numbers; the same place in each column is the same trial's."""

    def __init__(
        self,
        seq: int,
        columns: Mapping[str, Sequence[Any]],
        made: Mapping[str, _Made] | None = None,
    ) -> None:
        self.seq = seq  # of the experiment when it was read
        self.columns = dict(columns)
        self._made: dict[str, _Made] = dict(made or {})

    def __len__(self) -> int:
        return len(self.columns["id"])

    def __getitem__(self, name: str) -> Sequence[Any]:
        return self.columns[name]

    def once(
        self, name: str, make: Callable[[], V], again: Callable[[V, list[int]], V] | None = None
    ) -> V:
        """What is made of these columns, kept as long as they are.

        ``again`` makes it of what was made before some trials changed, and the places of those.
        """
        made = self._made.get(name)
        if made is None or (made.changed and again is None):
            made = _Made(make())
        elif made.changed and again is not None:
            made = _Made(again(made.what, sorted(made.changed)))
        self._made[name] = made
        return cast(V, made.what)

    def made_before(self, changed: Collection[int]) -> dict[str, _Made]:
        """What was made of these columns, for those in which the trials at these places differ."""
        found = {n: _Made(m.what, m.changed.union(changed)) for n, m in self._made.items()}
        return {n: m for n, m in found.items() if len(m.changed) <= MOST_CHANGED}


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
    made = known.made_before(())
    trials = Trial.objects.filter(experiment_id=experiment.pk).order_by("number")
    if known.seq < experiment.last_seq:  # else who asks has but read it a little earlier
        changed = _changed(trials, known.seq)
        columns, places = _with(columns, _read(changed, columns))
        made = known.made_before(places)
    missing = set(names) - columns.keys()
    if missing:
        more = _read(trials, {"id", *missing})
        if list(more["id"]) != list(columns["id"]):  # there is a trial more by now
            return _whole(experiment, {*columns, *missing})
        columns |= more
    return TrialColumns(max(known.seq, experiment.last_seq), columns, made)


def _changed(trials: QuerySet[Trial], seq: int) -> QuerySet[Trial]:
    """Those with news since, and those that still run.

    The latter first: one that ends between the two queries is among either.
    """
    running = trials.filter(state__in=GOING_ON).order_by()
    pks = set(running.values_list("pk", flat=True)[: MOST_NAMED + 1])
    newer = trials.filter(seq__gt=seq).order_by()
    pks.update(newer.values_list("pk", flat=True)[: MOST_NAMED + 1])
    if len(pks) <= MOST_NAMED:
        return trials.filter(pk__in=pks)
    return trials.filter(Q(seq__gt=seq) | Q(state__in=GOING_ON))  # reads all of them


def _with(
    known: dict[str, Sequence[Any]], fresh: dict[str, Sequence[Any]]
) -> tuple[dict[str, Sequence[Any]], list[int]]:
    """The columns with these trials as they are now, new ones last; and the places of these."""
    n = len(known["id"])
    wanted = set(fresh["id"])
    place_of = {pk: place for place, pk in enumerate(known["id"]) if pk in wanted}
    places = [place_of.get(pk, -1) for pk in fresh["id"]]
    n_new = places.count(-1)
    found: dict[str, Sequence[Any]] = {}
    for name, column in known.items():
        values = list(column)
        for place, value in zip(places, fresh[name], strict=True):
            if place >= 0:
                values[place] = value
            else:
                values.append(value)
        found[name] = values
    assert all(len(column) == n + n_new for column in found.values())
    return found, [place for place in places if place >= 0] + list(range(n, n + n_new))


def _read(trials: QuerySet[Trial], names: Collection[str]) -> dict[str, Sequence[Any]]:
    columns = sorted({"parameters" if name == FLAT else name for name in names})
    found = dict(zip(columns, fast_rows.columns(trials, columns), strict=True))
    if FLAT in names:
        found[FLAT] = [flat(parameters) for parameters in found["parameters"]]
    return found

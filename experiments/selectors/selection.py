"""Which trials of an experiment are looked at: the one selection of table, charts and exports.

Called by REST with what stands in a query: ``state``, ``where`` (``trial_filter``) and ``ticked``
(``3-9,12``); a trial is selected that all three let through. The answer of an unchanged experiment
is kept for a while: the page asks for table and charts with the same words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _
from numpy.typing import NDArray

from experiments.algorithms.space.flat import flat_names
from experiments.models import Experiment, Trial
from experiments.problems import Problem, ProblemsError
from experiments.selectors import trial_columns
from experiments.selectors.kept import Kept
from experiments.selectors.listing import columns
from experiments.selectors.trial_columns import FLAT
from experiments.selectors.trial_facts import METRICS, PARAMETERS, Facts, Names, read_facts
from experiments.selectors.trial_filter import parse_orders, parse_where, sort_facts

PARAMS = ("state", "where", "ticked")  # of a query; no chart's option has such a name
MOST_SPANS = 500  # of ``ticked``
KEEP_S = 5.0  # seconds; durations of running trials grow without any news
MOST_KEPT = 16
FEW = 500  # trials that the database is asked for one by one

# Sorted by the database; everything else is sorted here, by what the trials hold.
_COLUMN_ORDERS = frozenset(
    {"number", "value", "state", "origin", "started_at", "finished_at", "created_at"}
)
_SPAN = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?")

_picked: Kept[tuple[Any, ...], tuple[int, ...]] = Kept(MOST_KEPT)
_names: Kept[tuple[str, int, str], frozenset[str]] = Kept(MOST_KEPT)


@dataclass(frozen=True)
class Selection:
    """What was asked for; an empty one lets every trial through."""

    states: tuple[str, ...] = ()
    where: str = ""
    ticked: tuple[tuple[int, int], ...] | None = None  # first and last; None: not asked for

    @property
    def is_whole(self) -> bool:
        return not self.states and not self.where and self.ticked is None


WHOLE = Selection()


def of(states: Sequence[str] = (), where: str = "", ticked: str = "") -> Selection:
    """The selection of a query. Raises ProblemsError where ``ticked`` makes no sense."""
    spans: list[tuple[int, int]] = []
    for word in (word.strip() for word in ticked.split(",")):
        if not word:
            continue
        found = _SPAN.fullmatch(word)
        if found is None:
            message = _("must be numbers of trials such as 3-9,12, but got %(word)r.")
            raise ProblemsError([Problem("ticked", message % {"word": word[:60]})])
        spans.append((int(found[1]), int(found[2] or found[1])))
    if len(spans) > MOST_SPANS:
        message = _("must be at most %(most)d numbers or ranges, but got %(n)d.")
        values = {"most": MOST_SPANS, "n": len(spans)}
        raise ProblemsError([Problem("ticked", message % values)])
    return Selection(tuple(states), where.strip(), tuple(spans) if spans else None)


def picked(
    experiment: Experiment, selection: Selection, orders: Sequence[str] = ("number",)
) -> QuerySet[Trial, int] | Sequence[int]:
    """Primary keys in order. Raises ProblemsError for a condition or order that makes no sense."""
    if not selection.where and all(order.removeprefix("-") in _COLUMN_ORDERS for order in orders):
        trials = _coarse(experiment, selection)
        return trials.order_by(*columns(orders), "number").values_list("pk", flat=True)
    key = (experiment.pk, experiment.last_seq, selection, tuple(orders))
    if (found := _picked.get(key, for_s=KEEP_S)) is not None:
        return found
    names = names_of(experiment)
    names.uses.add("state")
    test = parse_where(selection.where, names)
    by = parse_orders(orders, names)
    facts = read_facts(experiment, names.uses)
    flags = test(facts) & _roughly(facts, selection)
    places = np.flatnonzero(flags).tolist()
    chosen = tuple(facts.pks[place] for place in sort_facts(facts, places, by))
    _picked.put(key, chosen)
    return chosen


def keys(experiment: Experiment, selection: Selection) -> tuple[int, ...] | None:
    """Primary keys by trial number; None where every trial is selected."""
    return None if selection.is_whole else tuple(picked(experiment, selection))


def rows(experiment: Experiment, chosen: Collection[int] | None) -> QuerySet[Trial]:
    """The trials with these keys, where they are few; else all: ``is_in`` picks from them."""
    trials = Trial.objects.filter(experiment_id=experiment.pk)
    return trials if chosen is None or len(chosen) > FEW else trials.filter(pk__in=chosen)


def is_in(chosen: Collection[int] | None) -> Callable[[int], bool]:
    """Whether a key is among these."""
    if chosen is None:
        return lambda _pk: True
    among = frozenset(chosen)
    return lambda pk: pk in among


def _coarse(experiment: Experiment, selection: Selection) -> QuerySet[Trial]:
    trials = experiment.trials.all()
    if selection.states:
        trials = trials.filter(state__in=selection.states)
    if selection.ticked is not None:
        spans = Q()
        for first, last in selection.ticked:
            spans |= Q(number__range=(first, last))
        trials = trials.filter(spans)
    return trials


def _roughly(facts: Facts, selection: Selection) -> NDArray[np.bool_]:
    """As ``_coarse``."""
    found = np.ones(len(facts), dtype=bool)
    if selection.states:
        found &= np.array([state in selection.states for state in facts.fields["state"]], bool)
    if selection.ticked is not None:
        numbers = np.array(facts.fields["number"], dtype=np.int64)
        ticked = np.zeros(len(facts), dtype=bool)
        for first, last in selection.ticked:
            ticked |= (numbers >= first) & (numbers <= last)
        found &= ticked
    return found


def names_of(experiment: Experiment) -> Names:
    """What conditions may name: of the manifest and of all trials, selected or not."""
    return Names(
        flat_names(experiment.spec.space.parameters),
        parameters=lambda: _seen(experiment, PARAMETERS),
        metrics=lambda: _seen(experiment, METRICS),
    )


def _seen(experiment: Experiment, column: str) -> frozenset[str]:
    key = (experiment.pk, experiment.last_seq, column)
    if (found := _names.get(key)) is not None:
        return found
    column = FLAT if column == PARAMETERS else column
    names = frozenset(
        name for found in trial_columns.of(experiment, [column])[column] for name in found
    )
    _names.put(key, names)
    return names


def forget() -> None:
    """For tests: keep nothing."""
    _picked.clear()
    _names.clear()
    trial_columns.forget()

"""What conditions and orders may ask of a trial, and the names by which they ask.

Of ten thousand trials at once, so they stand in columns, and only what is asked for is read: names
say what they need (``Names.uses``) while an expression is parsed, and ``read_facts`` reads that.
Called by ``trial_filter`` and ``selection``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from django.utils import timezone

from experiments.models import Experiment
from experiments.problems import Problem, ProblemsError, nearest
from experiments.selectors import trial_columns
from experiments.selectors.trial_columns import FLAT, TrialColumns

TIME_FIELDS = ("started_at", "finished_at", "created_at")
FIELDS = (
    "number", "id", "state", "origin", "reason", "value", "latest_value", "n_reports", "exit_code",
    "attempt", "excluded", "retried", "duration", *TIME_FIELDS,
)  # fmt: skip
ORDER_FIELDS = FIELDS
PARAMETERS, METRICS = "parameters", "metrics"
# Fields that are no columns of the same name.
_MADE_OF = {
    "id": ("key",),
    "duration": ("started_at", "finished_at"),
    PARAMETERS: (FLAT,),
}


class Facts:
    """What comparisons may ask of trials: columns in which each trial has the same place."""

    def __init__(
        self,
        pks: Sequence[int],
        fields: Mapping[str, Sequence[Any]],
        parameters: Sequence[Mapping[str, Any]] = (),
        metrics: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.pks = pks
        self.fields = fields
        self.parameters = parameters  # flat
        self.metrics = metrics

    def __len__(self) -> int:
        return len(self.pks)


Getter = Callable[[Facts], Sequence[Any]]
NameSource = Callable[[], Collection[str]]


def read_facts(experiment: Experiment, uses: Collection[str]) -> Facts:
    """Of each trial the number and what ``uses`` names: fields, PARAMETERS, METRICS."""
    wanted = {"number", *uses}
    columns = {column for name in wanted for column in _MADE_OF.get(name, (name,))}
    found = trial_columns.of(experiment, columns)
    fields = {name: _field(name, found) for name in wanted if name in FIELDS}
    return Facts(
        found["id"],
        fields,
        found[FLAT] if PARAMETERS in wanted else (),
        found[METRICS] if METRICS in wanted else (),
    )


def _field(name: str, values: TrialColumns) -> Sequence[Any]:
    if name == "id":
        return values["key"]
    if name == "reason":
        return [reason or None for reason in values["reason"]]
    if name != "duration":
        return values[name]
    now = timezone.now()
    return [
        ((ended or now) - started).total_seconds() if started else None
        for started, ended in zip(values["started_at"], values["finished_at"], strict=True)
    ]


class Names:
    """Parameter and metric names that an experiment knows, to read them or to explain a wrong one.

    Those that trials have beyond the search space are only looked up where somebody asks for a name
    that is not known without. ``uses`` gathers what was asked for, as ``read_facts`` takes it.
    """

    def __init__(
        self, declared: Iterable[str], *, parameters: NameSource, metrics: NameSource
    ) -> None:
        self._declared = frozenset(declared)
        self._parameters = parameters
        self._metrics = metrics
        self.uses: set[str] = set()

    @classmethod
    def of(cls, facts: Facts, declared: Iterable[str] = ()) -> Names:
        """The names that these trials have; ``declared`` are the search space's."""
        parameters = {name for each in facts.parameters for name in each}
        metrics = {name for each in facts.metrics for name in each}
        return cls(declared, parameters=lambda: parameters, metrics=lambda: metrics)

    def getter(self, name: str, path: str, fields: Sequence[str] = FIELDS) -> Getter:
        """Return what reads ``name`` from trials. Raises ProblemsError for an unknown name."""
        kind, colon, rest = name.partition(":")
        if colon and kind == "param":
            if not self._is_parameter(rest):
                raise self._no("parameter", rest, path, {*self._declared, *self._parameters()})
            return self._parameter(rest)
        if colon and kind == "metric":
            if rest not in self._metrics():
                raise self._no("metric", rest, path, self._metrics())
            return self._metric(rest)
        if name in fields:
            self.uses.add(name)
            return lambda facts: facts.fields[name]
        if self._is_parameter(name):
            return self._parameter(name)
        if name in self._metrics():
            return self._metric(name)
        others = sorted({*self._declared, *self._parameters()}), sorted(self._metrics())
        known = (*fields, *others[0], *others[1])
        raise _unknown(path, f"No field, parameter or metric is named {name!r}.", name, known)

    def _is_parameter(self, name: str) -> bool:
        return name in self._declared or name in self._parameters()

    def _parameter(self, name: str) -> Getter:
        self.uses.add(PARAMETERS)
        return lambda facts: [found.get(name) for found in facts.parameters]

    def _metric(self, name: str) -> Getter:
        self.uses.add(METRICS)
        return lambda facts: [found.get(name) for found in facts.metrics]

    @staticmethod
    def _no(what: str, name: str, path: str, known: Iterable[str]) -> ProblemsError:
        if what == "metric":
            message = f"No metric is named {name!r}."
        else:
            message = f"No parameter is named {name!r}."
        return _unknown(path, message, name, sorted(known))


def _unknown(path: str, message: str, name: str, known: Sequence[str]) -> ProblemsError:
    close = nearest(name, known)
    hint = f"Did you mean {close!r}?" if close else f"Known: {', '.join(known[:30])}."
    return ProblemsError([Problem(path, message, hint)])

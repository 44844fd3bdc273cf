"""Between this project's search spaces and hyperopt's: for the tuners whose engine hyperopt is.

hyperopt sees a *latent* space: every ordered parameter is ``uniform(0, 1)``, its unit (see
``parameters``), and every choice a category. So hyperopt models log types in their logarithm and
whole numbers by their order, while bounds, clipping and grids stay exactly those of this project,
and a randint of a billion values costs what one of ten does.

``hyperopt.Trials`` is built anew from the history on every call; nothing is kept, no global state
of hyperopt or numpy is touched. Cost per call: about 6 µs a trial and parameter.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import hyperopt
from hyperopt import hp
from hyperopt.base import Domain

from experiments.algorithms.base import Observation, Outcome
from experiments.algorithms.space.choices import Branch, Choice, Product
from experiments.algorithms.space.parameters import Parameter
from experiments.algorithms.space.search_space import SearchSpace

Liar = Literal["min", "max", "mean"]
Latent = dict[str, float]  # label of a parameter in use -> its latent value

# hyperopt reports every build of its posterior at INFO
logging.getLogger("hyperopt").setLevel(logging.WARNING)


class LatentSpace:
    """A search space as hyperopt sees it, and the way there and back.

    Labels are paths of positions ("2", "2/0/1"), so that names of any shape are safe.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._product = Product(space.parameters)
        self.domain = Domain(_no_objective, _nodes(self._product, ""))
        self._labels = tuple(self.domain.params)

    def encode(self, params: Mapping[str, Any]) -> Latent | None:
        """Return the latent values of a configuration; None if it lies outside the space."""
        if not self._space.holds(params):
            return None
        latent: Latent = {}
        _encode(self._product, params, "", latent)
        return latent

    def decode(self, latent: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
        """Return the configuration of hyperopt's ``vals``: a list of one value per label in use."""
        return _decode(self._product, latent, "")

    def trials(self, history: Sequence[Observation], liar: Liar) -> hyperopt.Trials:
        """Return the history as hyperopt keeps it.

        A running trial counts with the ``liar``'s loss, once there is a loss to take it from; a
        failed one as failed, which TPE reads as bad. Trials from outside the space are left out.
        """
        inside = []
        for tid, observation in enumerate(history):
            latent = self.encode(observation.parameters)
            if latent is not None:
                inside.append((tid, latent, observation))
        lie = _lie([o.loss for _, _, o in inside if o.loss is not None], liar)
        docs = [
            self._doc(tid, latent, lie if o.outcome is Outcome.RUNNING else o.loss)
            for tid, latent, o in inside
        ]
        return hyperopt.base.trials_from_docs(docs, validate=False)

    def _doc(self, tid: int, latent: Latent, loss: float | None) -> dict[str, Any]:
        result: dict[str, Any] = {"status": hyperopt.STATUS_FAIL}
        if loss is not None:
            result = {"status": hyperopt.STATUS_OK, "loss": loss}
        return {
            "tid": tid,
            "state": hyperopt.JOB_STATE_DONE,
            "spec": None,
            "result": result,
            "exp_key": None,
            "misc": {
                "tid": tid,
                "idxs": {label: [tid] if label in latent else [] for label in self._labels},
                "vals": {
                    label: [latent[label]] if label in latent else [] for label in self._labels
                },
            },
        }


def suggested(docs: Sequence[Mapping[str, Any]]) -> Mapping[str, Sequence[Any]]:
    """Return the ``vals`` of the one document that a hyperopt algorithm answered with."""
    (doc,) = docs
    vals: Mapping[str, Sequence[Any]] = doc["misc"]["vals"]
    return vals


def _no_objective(_: object) -> float:
    return 0.0


def _lie(losses: Sequence[float], liar: Liar) -> float | None:
    if not losses:
        return None
    if liar == "mean":
        return sum(loss / len(losses) for loss in losses)  # divided first: cannot overflow
    # a hair above the smallest: a trial that has the result ranks before those that might get it
    return math.nextafter(min(losses), math.inf) if liar == "min" else max(losses)


def _nodes(product: Product, prefix: str) -> dict[str, Any]:
    return {label: _node(parameter, label) for label, _, parameter in _labelled(product, prefix)}


def _labelled(product: Product, prefix: str) -> list[tuple[str, str, Parameter]]:
    return [
        (f"{prefix}{position}", name, parameter)
        for position, (name, parameter) in enumerate(product.parameters.items())
    ]


def _node(parameter: Parameter, label: str) -> Any:
    if isinstance(parameter, Choice) and parameter.is_nested:
        return hp.choice(
            label,
            [
                _nodes(member.product, f"{label}/{position}/")
                if isinstance(member, Branch)
                else position
                for position, member in enumerate(parameter.members)
            ],
        )
    if parameter.n_categories is not None:
        return hp.randint(label, parameter.n_categories)
    return hp.uniform(label, 0.0, 1.0)


def _encode(product: Product, params: Mapping[str, Any], prefix: str, latent: Latent) -> None:
    for label, name, parameter in _labelled(product, prefix):
        value = params[name]
        if isinstance(parameter, Choice):
            position = parameter.locate(value)
            assert position is not None  # checked by encode
            latent[label] = position
            member = parameter.members[position]
            if isinstance(member, Branch):
                _encode(member.product, value, f"{label}/{position}/", latent)
        elif parameter.n_categories is not None:
            latent[label] = parameter.index_of(value)
        else:
            latent[label] = parameter.to_unit(value)


def _decode(product: Product, latent: Mapping[str, Sequence[Any]], prefix: str) -> dict[str, Any]:
    params: dict[str, Any] = {}
    for label, name, parameter in _labelled(product, prefix):
        (found,) = latent[label]
        if isinstance(parameter, Choice):
            position = int(found)
            member = parameter.members[position]
            if isinstance(member, Branch):
                below = _decode(member.product, latent, f"{label}/{position}/")
                params[name] = {"_name": member.name, **below}
            else:
                params[name] = member
        elif parameter.n_categories is not None:
            params[name] = parameter.at(int(found))
        else:
            params[name] = parameter.from_unit(float(found))
    return params

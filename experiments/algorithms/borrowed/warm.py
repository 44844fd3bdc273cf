"""A tuner that learns from earlier experiments before it has trials of its own.

Made by ``engine.session`` around whichever tuner or advisor an experiment has, where it borrows.
Every other trial, the first one first, is led by the past while the own trials are few; those
between are the tuner's own, so that what the past does not know is found, too, and a past that
misleads costs little. ``trust`` says from the own trials which sources are believed; these lead in
turns, each by what its model, corrected by the own trials, expects (``ensemble``). An average of
them was measured to be worse: data sets of one kind agree on what is bad, but each has its own
optimum, and that of one of them is often good here. A region where own trials failed is left by the
probability of running (``failures``), as the tuners leave it.

After ``LAST_LED`` own trials the tuner goes on alone, from its own history. Those that learn from
any trial (TPE, Anneal, …) see besides, until they have as many of their own, some of the trusted
sources' trials as if they were theirs: their ranks become quantiles of the own losses.

A function of the history and the sources, as every tuner: nothing is kept that is not rebuilt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import special

from experiments.algorithms import surrogate
from experiments.algorithms.base import LIKELY, Observation, Outcome, Proposal, Suggestion, Tuner
from experiments.algorithms.borrowed.ensemble import Ensemble, corrected
from experiments.algorithms.borrowed.matching import DEAF
from experiments.algorithms.borrowed.sources import Source, SourceModel, models_of
from experiments.algorithms.borrowed.trust import Trust, trust
from experiments.algorithms.failures import Failures
from experiments.algorithms.numerics.acquisition import Acquisition
from experiments.algorithms.numerics.domain import Floats
from experiments.algorithms.numerics.feasibility import Feasibility
from experiments.algorithms.numerics.search import Objective, Product, best_row, row_keys
from experiments.algorithms.numerics.threads import one_thread
from experiments.algorithms.one_by_one import derive_rng
from experiments.algorithms.space.search_space import SearchSpace
from experiments.algorithms.space.vectors import VectorSpace

# What learns from any trial in its history.
FED = frozenset({"TPE", "Anneal", "Evolution", "CMA-ES", "MetisTuner"})
# Their new configurations are drawn, and may be others.
DRAWN = ("start-up", "random")
LAST_LED = 30  # own finished trials from which the tuner goes on alone
LEADS_EVERY = 2  # trials
N_FED = 20  # borrowed trials that a tuner sees as its own
MAX_FED = 50  # own trials after which it sees none
MAX_ENUMERATED = 4096
N_POOL = 1024
N_AROUND = 256
N_STARTS = 3
N_BEST = 8
LEAST_WEIGHT = 0.1  # of the most trusted source's: who has less does not lead
SMOOTHNESS, LEAST_NOISE = 2.5, 1e-6


@dataclass(frozen=True)
class _Seen:
    """What is believed after some trials."""

    data: surrogate.Data
    trust: Trust


class WarmTuner(Tuner[Any]):
    """Leads another tuner through its first trials."""

    def __init__(
        self, inner: Tuner[Any], name: str, sources: Sequence[Source], space: SearchSpace, seed: int
    ) -> None:
        super().__init__(space, inner.args, seed)
        self._inner = inner
        self._name = name
        self._vectors = VectorSpace(space)
        self._modeller = surrogate.Modeller(self._vectors, SMOOTHNESS, LEAST_NOISE)
        self._failures = Failures(self._vectors)
        is_open = self._vectors.domain.n_columns > 0 and name not in DEAF
        self._models = models_of(sources, self._vectors) if is_open else []
        self._grid = self._vectors.domain.grid(MAX_ENUMERATED) if self._models else None

    def propose(self, history: Sequence[Observation], count: int) -> Proposal:
        seen = list(history)
        suggestions: list[Suggestion] = []
        for place in range(count):
            n_done = sum(o.outcome is not Outcome.RUNNING for o in seen)
            if not self._models or (n_done >= LAST_LED and n_done >= MAX_FED):
                rest = self._inner.propose(seen, count - place)
                return replace(rest, suggestions=(*suggestions, *rest.suggestions))
            proposal = self._one(seen, n_done)
            suggestions += proposal.suggestions
            if not proposal.suggestions or proposal.exhausted:
                return Proposal(tuple(suggestions), proposal.exhausted)
            (found,) = proposal.suggestions
            number = max((o.number for o in seen), default=-1) + 1
            seen.append(
                Observation(number, found.parameters, Outcome.RUNNING, note=found.note)
            )  # fmt: skip
        return Proposal(tuple(suggestions))

    def propose_blind(self, history: Sequence[Observation], count: int) -> Proposal:
        return self._inner.propose_blind(history, count)

    def _one(self, seen: Sequence[Observation], n_done: int) -> Proposal:
        believed = self._believed(seen)
        leads = n_done < LAST_LED and not len(seen) % LEADS_EVERY and not believed.trust.is_none
        if leads and self._is_free():
            return Proposal((self._led(Suggestion({}, origin="model"), believed, seen),))
        fed = self._fed(seen, believed.trust) if n_done < MAX_FED else []
        proposal = self._inner.propose([*fed, *seen], 1)
        if not leads or not proposal.suggestions:
            return proposal
        (inner,) = proposal.suggestions
        if inner.origin not in DRAWN:  # it goes on with a trial: with more budget, or from a parent
            return proposal
        return replace(proposal, suggestions=(self._led(inner, believed, seen),))

    def _led(self, inner: Suggestion, believed: _Seen, seen: Sequence[Observation]) -> Suggestion:
        """The inner tuner's suggestion, with parameters that the past proposes."""
        leader = self._leader(believed.trust, len(seen))
        # how likely the other parameters were to run says nothing of these
        kept = {name: value for name, value in inner.note.items() if name != LIKELY}
        with one_thread():
            known = self._failures.learn(seen)
            row = self._best(leader, believed, known, derive_rng(self.seed, len(seen)))
        if known is not None:
            kept[LIKELY] = known.likely(row)
        return Suggestion(
            {**inner.parameters, **self._vectors.decode(row)},
            {**kept, "borrowed": leader.name},
            "borrowed",
            f"Learnt from {leader.name}.",
        )

    def _is_free(self) -> bool:
        """Whether any trial is as good to the tuner as one of its own, which need no notes."""
        return self._name in FED or self._name in ("Auto", "GPTuner")

    # ---- what is believed

    def _believed(self, seen: Sequence[Observation]) -> _Seen:
        data = self._modeller.read(seen)
        rng = derive_rng(self.seed, len(data.rows), 1)
        with one_thread():
            return _Seen(data, trust(self._models, data.rows, data.targets, rng))

    def _leader(self, found: Trust, number: int) -> SourceModel:
        """The trusted sources take turns, the most trusted first."""
        order = np.argsort(-found.weights, kind="stable")
        n_trusted = int((found.weights > LEAST_WEIGHT * found.weights.max()).sum())
        return self._models[int(order[(number // LEADS_EVERY) % n_trusted])]

    def _best(
        self,
        leader: SourceModel,
        believed: _Seen,
        known: Feasibility | None,
        rng: np.random.Generator,
    ) -> Floats:
        """Where the leader, corrected by the own trials, expects most of what is likely to run."""
        data, domain = believed.data, self._vectors.domain
        members = [(1.0, leader.process)]
        tops = leader.rows[:N_BEST]
        if len(data.rows):
            ensemble, reached = corrected(
                members, data.rows, data.targets, believed.trust.misranked, domain.categorical
            )
        else:
            ensemble = Ensemble(members)
            reached = float(ensemble.predict(tops)[0].min())
        acquisition: Objective
        acquisition = Acquisition(ensemble, "ei", np.array([reached]))  # type: ignore[arg-type]
        if known is not None:
            acquisition = Product(acquisition, known)
        if self._grid is not None:
            return best_row(domain, acquisition, self._grid, data.taken, n_starts=0)
        around = tops[rng.integers(len(tops), size=N_AROUND)]
        scales = 10.0 ** rng.uniform(-2.5, -0.5, size=N_AROUND)
        pool = np.concatenate([domain.sobol(N_POOL, rng), tops, domain.around(around, scales, rng)])
        return best_row(domain, acquisition, pool, data.taken, N_STARTS)

    def _trusted(self, found: Trust) -> list[SourceModel]:
        return [m for m, w in zip(self._models, found.weights, strict=True) if w > 0.0]

    # ---- trials of others as if they were its own

    def _fed(self, seen: Sequence[Observation], found: Trust) -> list[Observation]:
        """Some of the trusted sources' trials, the best and every so many of the others."""
        if self._name not in FED:
            return []
        models = self._trusted(found)
        own = np.sort([o.loss for o in seen if o.loss is not None])
        taken = set(row_keys(self._vectors.encode_many([o.parameters for o in seen])[0]))
        rows: list[tuple[float, Floats]] = []
        for model in models:
            n_of_it = max(2, N_FED // len(models))
            places = np.unique(np.linspace(0, len(model.rows) - 1, n_of_it).astype(int))
            rows += [(float(model.scores[p]), model.rows[p]) for p in places]
        fed = []
        for number, (score, row) in enumerate(sorted(rows, key=lambda each: each[0])):
            if row_keys(row[None, :])[0] in taken:
                continue
            loss = _as_own(score, own)
            fed.append(
                Observation(number - len(rows), self._vectors.decode(row), Outcome.DONE, loss,
                            completed=True)
            )  # fmt: skip
        return fed


def _as_own(score: float, own: Floats) -> float:
    """The loss that has, among the own ones, the quantile that a score has among a source's."""
    if len(own) < 2:
        return score
    return float(np.quantile(own, float(special.ndtr(score))))

"""Hyperband: random configurations in brackets of successive halving, from hasty to patient.

Li et al., "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization", JMLR 18
(2018), Algorithm 1 and Table 1. Bracket s = s_max … 0 starts ceil((s_max + 1) eta^s / (s + 1))
configurations with the budget R / eta^s; each rung keeps one in eta and gives it eta times as much.
After the bracket s = 0 it begins again, as NNI does, until the experiment's limits end it.

Budgets are rounded down to whole numbers, as NNI does: they usually count epochs. ``exec_mode``
"serial" starts a bracket when the one before is over; "parallelism" starts the next one as soon as
running trials leave places free. Cost per proposal: one pass over the history.
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments.algorithms.advisors.brackets import BracketAdvisor, Rung, halving, n_rungs
from experiments.algorithms.arguments import HyperbandArgs


class HyperbandAdvisor(BracketAdvisor[HyperbandArgs]):
    """Goes through the brackets of the paper's table, again and again."""

    @property
    def is_serial(self) -> bool:
        return self.args.exec_mode == "serial"

    def rungs(self, bracket: int) -> Sequence[Rung]:
        eta, largest = self.args.eta, self.args.R
        s_max = n_rungs(1, largest, eta)
        s = s_max - bracket % (s_max + 1)
        return [
            Rung(n_configurations, largest // eta ** (s - rung))
            for rung, n_configurations in enumerate(halving(s, s_max, eta))
        ]

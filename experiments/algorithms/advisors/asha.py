"""ASHA: successive halving that never waits, for many trials at once.

Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020, Algorithm 2. A
configuration is promoted as soon as it is among the best 1 / reduction_factor of those that have
finished its rung; where nothing can be promoted, a new one starts on the lowest. There are no
rounds, so a slow or failed trial holds up nobody.

The highest rung has max_budget, each one below 1 / reduction_factor of that, down to min_budget.
With ``brackets`` above 1 new configurations are shared out in turn among that many ladders, of
which each starts one rung higher than the one before: less is lost where early results mislead.
Cost per proposal: one pass over the history.
"""

from __future__ import annotations

from experiments.algorithms.advisors.brackets import (
    Budget,
    DrawingAdvisor,
    Ledger,
    Slot,
    best_first,
    ladder,
)
from experiments.algorithms.arguments import ASHAArgs


class ASHAAdvisor(DrawingAdvisor[ASHAArgs]):
    """Promotes whenever it can, from the highest rung down."""

    def next_slot(self, ledger: Ledger) -> tuple[Slot, Budget] | None:
        args = self.args
        budgets = ladder(args.min_budget, args.max_budget, args.reduction_factor)
        n_brackets = min(args.brackets, len(budgets))
        for rung in range(len(budgets) - 2, -1, -1):
            for bracket in range(n_brackets):
                if bracket + rung + 1 >= len(budgets):
                    continue
                here, above = ledger.rung(bracket, rung), ledger.rung(bracket, rung + 1)
                ranked = best_first(here)
                for config in ranked[: len(ranked) // args.reduction_factor]:
                    if config not in above:
                        return Slot(bracket, rung + 1, config), budgets[bracket + rung + 1]
        started = [len(ledger.rung(bracket, 0)) for bracket in range(n_brackets)]
        bracket = started.index(min(started))
        config = max(ledger.rung(bracket, 0), default=-1) + 1
        return Slot(bracket, 0, config), budgets[bracket]

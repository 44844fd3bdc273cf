"""Auto: picks the tuner that suits the search space, the trials so far and how many run at once.

The rule, asked anew for every trial:

- **GPTuner** while each trial is worth a tenth of a second of thought: up to 300 finished trials,
  with at most 20 parameters (those of branches included) and at most 32 trials running.
- **TPE** otherwise: it scales to thousands of trials, hundreds of parameters and any number of
  trials at once.

A model that does not predict must not have its way. So a share of the trials that are GPTuner's by
this rule is TPE's all the same, whose densities ask less of the objective: one in twenty, and up to
one in three where the process predicts each trial from the others no better than a guess (the rank
correlation of its leave-one-out predictions falls from 0.4 to 0). How many trials there will be is
known (``maxTrialNum``), so that share is half as much again at the beginning and falls to half of
it, never to nothing, with the last.

With ``costAware`` GPTuner maximises what a trial promises per second, by a model of how long
finished trials took (``durations``): for spaces in which some trials take many times as long as
others. Trials that TPE proposes do not weigh seconds.

Both learn from the whole history, whoever proposed what, so changing over loses nothing. Each
trial's note names the tuner it came from. Cost per proposal: that of the tuner picked, about 0.1 s
for GPTuner and 5 ms for TPE.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from experiments.algorithms.arguments import AutoArgs
from experiments.algorithms.base import Observation, Outcome, Proposal, Suggestion, Tuner
from experiments.algorithms.one_by_one import derive_rng
from experiments.algorithms.registry import TUNERS
from experiments.algorithms.space.search_space import SearchSpace

MAX_PARAMETERS = 20
MAX_FINISHED = 300
MAX_RUNNING = 32
LEAST_EXPLORED, MOST_EXPLORED = (
    0.05,
    0.33,
)  # shares of TPE beside a model that predicts, or does not
STREAM = 77  # of random numbers, apart from those that the tuners draw from
TRUSTED = 0.4  # rank correlation of its predictions from which a model is trusted


def pick(n_parameters: int, n_finished: int, n_running: int) -> str:
    """Return the name of the tuner for the next trial."""
    suits_gp = (
        n_parameters <= MAX_PARAMETERS and n_finished <= MAX_FINISHED and n_running <= MAX_RUNNING
    )
    return "GPTuner" if suits_gp else "TPE"


def explored(trust: float, n_trials: int, budget: int | None) -> float:
    """Return which share of the process's trials is explored by TPE.

    Args:
        trust: rank correlation of the model's predictions, at most 1.
        n_trials: trials so far.
        budget: trials in all, if known.
    """
    doubt = min(max(1.0 - trust / TRUSTED, 0.0), 1.0)
    share = LEAST_EXPLORED + (MOST_EXPLORED - LEAST_EXPLORED) * doubt
    if not budget:
        return share
    return share * (1.5 - min(n_trials / budget, 1.0))


class AutoTuner(Tuner[AutoArgs]):
    """Hands each trial to the tuner that suits."""

    def __init__(self, space: SearchSpace, args: AutoArgs, seed: int) -> None:
        super().__init__(space, args, seed)
        self._n_parameters = sum(1 for _ in space.walk())
        self._tuners: dict[str, Any] = {}

    def propose(self, history: Sequence[Observation], count: int) -> Proposal:
        seen = list(history)
        suggestions: list[Suggestion] = []
        for _ in range(count):
            n_running = sum(o.outcome is Outcome.RUNNING for o in seen)
            name = pick(self._n_parameters, len(seen) - n_running, n_running)
            if name == "GPTuner" and self._explores(seen):
                name = "TPE"
            (found,) = self._tuner(name).propose(seen, 1).suggestions
            suggestion = Suggestion(found.parameters, {"tuner": name, **found.note}, found.origin)
            suggestions.append(suggestion)
            number = max((o.number for o in seen), default=-1) + 1
            running = Observation(
                number, suggestion.parameters, Outcome.RUNNING, note=suggestion.note
            )
            seen.append(running)
        return Proposal(tuple(suggestions))

    def _explores(self, seen: Sequence[Observation]) -> bool:
        """Whether TPE has the next trial although the process could."""
        trust = self._tuner("GPTuner").trust(seen)
        if trust is None:
            return False
        draw = derive_rng(self.seed, len(seen), STREAM).random()
        return bool(draw < explored(trust, len(seen), self.budget))

    def _tuner(self, name: str) -> Any:
        if name not in self._tuners:
            # by the registry: tuners do not import each other
            entry = TUNERS[name]
            self._tuners[name] = entry.load()(self.space, entry.args(), self.seed)
            self._tuners[name].budget = self.budget
            if name == "GPTuner":
                self._tuners[name].per_second = self.args.costAware
        return self._tuners[name]

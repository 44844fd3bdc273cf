"""Auto: picks the tuner that suits the search space, the trials so far and how many run at once.

The rule, asked anew for every trial:

- **GPTuner** while each trial is worth a tenth of a second of thought: up to 300 finished trials,
  with at most 20 parameters (those of branches included) and at most 32 trials running.
- **TPE** otherwise: it scales to thousands of trials, hundreds of parameters and any number of
  trials at once.

Both learn from the whole history, whoever proposed what, so changing over loses nothing. Each
trial's note names the tuner it came from. Cost per proposal: that of the tuner picked, about 0.1 s
for GPTuner and 5 ms for TPE.
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments.algorithms.arguments import AutoArgs
from experiments.algorithms.base import Observation, Outcome, Proposal, Suggestion, Tuner
from experiments.algorithms.registry import TUNERS
from experiments.algorithms.space.search_space import SearchSpace

MAX_PARAMETERS = 20
MAX_FINISHED = 300
MAX_RUNNING = 32


def pick(n_parameters: int, n_finished: int, n_running: int) -> str:
    """Return the name of the tuner for the next trial."""
    suits_gp = (
        n_parameters <= MAX_PARAMETERS and n_finished <= MAX_FINISHED and n_running <= MAX_RUNNING
    )
    return "GPTuner" if suits_gp else "TPE"


class AutoTuner(Tuner[AutoArgs]):
    """Hands each trial to the tuner that suits."""

    def __init__(self, space: SearchSpace, args: AutoArgs, seed: int) -> None:
        super().__init__(space, args, seed)
        self._n_parameters = sum(1 for _ in space.walk())
        self._tuners: dict[str, Tuner[object]] = {}

    def propose(self, history: Sequence[Observation], count: int) -> Proposal:
        seen = list(history)
        suggestions: list[Suggestion] = []
        for _ in range(count):
            n_running = sum(o.outcome is Outcome.RUNNING for o in seen)
            name = pick(self._n_parameters, len(seen) - n_running, n_running)
            (found,) = self._tuner(name).propose(seen, 1).suggestions
            suggestion = Suggestion(found.parameters, {"tuner": name, **found.note}, found.origin)
            suggestions.append(suggestion)
            number = max((o.number for o in seen), default=-1) + 1
            running = Observation(
                number, suggestion.parameters, Outcome.RUNNING, note=suggestion.note
            )
            seen.append(running)
        return Proposal(tuple(suggestions))

    def _tuner(self, name: str) -> Tuner[object]:
        if name not in self._tuners:
            # by the registry: tuners do not import each other
            entry = TUNERS[name]
            self._tuners[name] = entry.load()(self.space, entry.args(), self.seed)
        return self._tuners[name]

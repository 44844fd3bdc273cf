"""Curve fitting: ends a trial whose forecast final result will not come near the best so far.

The forecast is `numerics.curves`: a weighted ensemble of parametric curve families with its
uncertainty, after Domhan et al., "Speeding up Automatic Hyperparameter Optimization of Deep Neural
Networks by Extrapolation of Learning Curves", IJCAI 2015. From report `start_step` on, every
`gap` reports, the value at report `epoch_num` is forecast. The trial ends when the forecast has
converged and is worse than the threshold: when the chance of a final loss no worse than

    best + (1 - threshold) |best|

is below 2 %. For an accuracy that is threshold times the best, as in NNI; for a loss above 0 it is
(2 - threshold) times the best. A difference smaller than the noise of one report is no difference.
A forecast that is not sure yet never ends a trial. So small a chance because a trial is judged
again and again, and the best is unlike the others, which the forecast starts from.

The best is that of the trials that ran to their own end, with the noise of its last report taken
out by the same fit: the luckiest of many noisy results would be a bar that nobody reaches. Those
trials also tell what curves of this experiment are like, how much they change, how noisy they are
and of which families, so a trial that has not moved yet is given the time that others needed.

Differs from NNI: minimises too, values may have any sign, a verdict takes some 4 ms instead of a
second and carries its numbers. Cost per verdict: one forecast, and one more per trial that has
finished since the last (remembered).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from experiments.algorithms.arguments import CurvefittingArgs
from experiments.algorithms.base import Assessor, Curve, Observation, Verdict
from experiments.algorithms.numerics.curves import FAMILIES, Forecast, Prior, forecast

MIN_CHANCE = 0.02
N_PRIOR = 4.0  # finished trials that the families' prior weights are worth

REASON = (
    "After {n_reports} reports its result is forecast as {forecast_value:.6g}, between "
    "{best_case_value:.6g} and {worst_case_value:.6g} with 90 % probability; the chance of "
    "reaching {threshold_value:.6g}, the threshold for a best of {best_value:.6g}, is {chance:.1%}."
)


class CurvefittingAssessor(Assessor[CurvefittingArgs]):
    """Compares a forecast of the final loss with the best one."""

    def assess(self, trial: Observation, others: Sequence[Observation]) -> Verdict:
        if not trial.curve:
            return Verdict(stop=False)
        n_reports = trial.curve[-1][0] + 1
        n_steps = self.args.epoch_num
        if n_reports < self.args.start_step or n_reports >= n_steps or len(trial.curve) < 3:
            return Verdict(stop=False)
        if (n_reports - self.args.start_step) % self.args.gap:
            return Verdict(stop=False)
        finished = [other for other in others if other.completed and other.loss is not None]
        if not finished:
            return Verdict(stop=False)
        finals = [_final(other, n_steps) for other in finished]
        best, noise, best_number = min(
            (final.loss + final.sd, final.noise, other.number)
            for final, other in zip(finals, finished, strict=True)
        )
        required = best + max((1.0 - self.args.threshold) * abs(best), noise)
        prior = _usual([other.curve for other in finished if other.curve] + [trial.curve], finals)
        found = _forecast(trial.curve, n_steps, prior)
        chance = found.probability_below(required)
        data: dict[str, object] = {
            "step": trial.curve[-1][0],
            "n_reports": n_reports,
            "best_loss": best,
            "best_trial": best_number,
            "threshold_loss": required,
            "chance": chance,
        }
        if chance >= MIN_CHANCE:
            return Verdict(stop=False, data=data)
        low, high = found.quantile(0.05), found.quantile(0.95)
        data |= {
            "forecast_step": n_steps - 1,
            "forecast_loss": found.mean,
            "best_case_loss": low,
            "worst_case_loss": high,
            "families": found.families,
        }
        return Verdict(stop=True, reason=REASON, data=data)


def _usual(curves: Sequence[Curve], finals: Sequence[_Final]) -> Prior:
    """Return what curves of this experiment are like: their change, families and noise."""
    changes = np.array([curve[-1][1] - curve[0][1] for curve in curves])
    largest = max(float(np.abs(changes).max()), 1e-300)
    change = largest * float(np.mean(changes / largest))
    spread = largest * float(np.std(changes / largest))
    seen = [final for final in finals if final.families]
    total = N_PRIOR + len(seen)
    return Prior(
        change,
        max(spread, 0.5 * abs(change)),
        {
            name: (N_PRIOR * weight + sum(final.families[name] for final in seen)) / total
            for name, weight in FAMILIES.items()
        },
        tuple(final.noise for final in seen),
        N_PRIOR,
    )


@dataclass(frozen=True)
class _Final:
    """How a finished trial ended, without the noise of its last report."""

    loss: float
    sd: float = 0.0
    families: Mapping[str, float] = field(default_factory=dict)
    noise: float = 0.0


def _final(trial: Observation, n_steps: int) -> _Final:
    assert trial.loss is not None
    if len(trial.curve) < 5 or trial.curve[-1][0] + 1 < n_steps:
        return _Final(trial.loss)  # too short a curve to tell: it stands by its result
    return _smoothed(trial.curve, n_steps)


@lru_cache(maxsize=4096)
def _smoothed(curve: Curve, n_steps: int) -> _Final:
    losses = [loss for _, loss in curve]
    found = _forecast(curve, n_steps, Prior(0.0, max(losses) - min(losses)))
    return _Final(found.mean, found.sd, found.families, found.noise)


def _forecast(curve: Curve, n_steps: int, prior: Prior) -> Forecast:
    within = [(sequence + 1, loss) for sequence, loss in curve if sequence < n_steps]
    steps = np.array([step for step, _ in within], dtype=np.int64)
    return forecast(steps, np.array([loss for _, loss in within]), n_steps, prior)

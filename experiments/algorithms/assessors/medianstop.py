"""Median stop: ends a trial that is worse than finished trials were on average at the same report.

Golovin et al., "Google Vizier: A Service for Black-Box Optimization", KDD 2017, the median stopping
rule: a pending trial is stopped at step s if its best objective value by step s is strictly worse
than the median of the running averages of all completed trials' objectives reported up to step s.

A step is the number of a report (``sequence``, from 0), because what scripts send as ``step`` may
count batches, whose size differs between trials. ``start_step`` is the number of reports before a
trial is judged. Completed means: ran to its own end, and that far; stopped and failed trials do
not raise the bar for others. With fewer than N_REQUIRED such trials there is no verdict: NNI judges
by a single one, and so ends half of the second trials at their first report. Where the number of
trials is even, the median is the middle of the two (NNI takes the worse of them).

Cost per verdict: one pass over the finished trials' curves.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from statistics import fmean, median

from experiments.algorithms.arguments import MedianstopArgs
from experiments.algorithms.base import Assessor, Observation, Verdict

N_REQUIRED = 3

REASON = (
    "Its best value in {n_reports} reports, {best_value:.6g}, is worse than {median_value:.6g}, "
    "the median of what {n_completed} finished trials had on average by then."
)


class MedianstopAssessor(Assessor[MedianstopArgs]):
    """Compares a trial's best loss with the median of running averages."""

    def assess(self, trial: Observation, others: Sequence[Observation]) -> Verdict:
        if not trial.curve:
            return Verdict(stop=False)
        step = trial.curve[-1][0]
        n_reports = step + 1
        averages = _running_averages(others, step)
        if n_reports < self.args.start_step or len(averages) < N_REQUIRED:
            return Verdict(stop=False)
        best, bar = min(loss for _, loss in trial.curve), median(averages)
        data: dict[str, object] = {
            "step": step,
            "n_reports": n_reports,
            "n_completed": len(averages),
            "best_loss": best,
            "median_loss": bar,
        }
        if best <= bar:
            return Verdict(stop=False, data=data)
        # the bar at every report so far: the line that the trial stayed behind
        bars = {sequence: _running_averages(others, sequence) for sequence, _ in trial.curve}
        data["threshold_steps"] = [s for s, found in bars.items() if found]
        data["threshold_losses"] = [median(found) for found in bars.values() if found]
        return Verdict(stop=True, reason=REASON, data=data)


def _running_averages(others: Sequence[Observation], step: int) -> list[float]:
    """Return the mean loss up to ``step`` of each completed trial that got so far."""
    averages = []
    for other in others:
        if not other.completed or not other.curve or other.curve[-1][0] < step:
            continue
        n_up_to = bisect_right(other.curve, step, key=lambda point: point[0])
        if n_up_to:
            averages.append(fmean(loss for _, loss in other.curve[:n_up_to]))
    return averages

"""Medianstop against a case worked by hand.

Losses reported by three completed trials, and their running averages::

    report          0     1     2          average up to 0     1     2
    trial A        0.9   0.5   0.1                        0.9   0.7   0.5
    trial B        0.8   0.4   0.3                        0.8   0.6   0.5
    trial C        0.4   0.2   0.0                        0.4   0.3   0.2
    median                                                0.8   0.6   0.5
"""

from __future__ import annotations

import pytest

from experiments.algorithms.arguments import MedianstopArgs
from experiments.algorithms.assessors.medianstop import N_REQUIRED, MedianstopAssessor
from experiments.algorithms.base import Observation, Outcome, Verdict

A, B, C = (0.9, 0.5, 0.1), (0.8, 0.4, 0.3), (0.4, 0.2, 0.0)


def completed(number: int, losses: tuple[float, ...]) -> Observation:
    curve = tuple(enumerate(losses))
    return Observation(number, {}, Outcome.DONE, losses[-1], curve, completed=True)


FINISHED = [completed(0, A), completed(1, B), completed(2, C)]


def judge(
    losses: tuple[float, ...],
    others: list[Observation] = FINISHED,
    start_step: int = 0,
) -> Verdict:
    trial = Observation(9, {}, Outcome.RUNNING, curve=tuple(enumerate(losses)))
    return MedianstopAssessor(MedianstopArgs(start_step=start_step)).assess(trial, others)


@pytest.mark.parametrize(
    ("losses", "stops"),
    [
        ((0.81,), True),
        ((0.8,), False),  # equal is not strictly worse
        ((0.7, 0.61), True),
        ((0.7, 0.6), False),
        ((0.45, 9.0), False),  # the best so far counts, not the latest
        ((0.9, 0.9, 0.51), True),
        ((0.9, 0.9, 0.49), False),
    ],
)
def test_the_case_worked_by_hand(losses: tuple[float, ...], stops: bool) -> None:
    assert judge(losses).stop is stops


def test_a_verdict_carries_its_numbers_and_the_line_it_was_judged_by() -> None:
    verdict = judge((0.9, 0.95, 0.85))
    assert verdict.stop
    assert verdict.data == {
        "step": 2,
        "n_reports": 3,
        "n_completed": 3,
        "best_loss": 0.85,
        "median_loss": pytest.approx(0.5),
        "threshold_steps": [0, 1, 2],
        "threshold_losses": pytest.approx([0.8, 0.6, 0.5]),
    }
    # the engine fills the sentence in with the user's values
    sentence = verdict.reason.format(n_reports=3, best_value=0.15, median_value=0.5, n_completed=3)
    assert "in 3 reports, 0.15, is worse than 0.5," in sentence
    assert "{" not in sentence


def test_nobody_is_judged_before_start_step_reports() -> None:
    hopeless = (9.0, 9.0)
    assert judge(hopeless, start_step=2).stop
    assert not judge(hopeless, start_step=3).stop
    # averages still begin with the first report: 0.6, not 0.4
    assert not judge((9.0, 0.59), start_step=2).stop


def test_a_few_finished_trials_are_required() -> None:
    assert N_REQUIRED == 3
    assert not judge((9.0,), FINISHED[:2]).stop
    assert judge((9.0,), FINISHED).stop


def test_only_trials_that_got_as_far_are_compared() -> None:
    short = completed(3, (0.0,))
    others = [*FINISHED, short]
    assert judge((0.61,), others).stop  # medians of 0.9 0.8 0.4 0.0: (0.8 + 0.4) / 2 = 0.6
    assert not judge((0.59,), others).stop
    assert judge((0.9, 0.61), others).data["n_completed"] == 3
    assert not judge((9.0, 9.0, 9.0, 9.0), others).stop  # beyond everybody's last report


def test_stopped_failed_and_running_trials_do_not_raise_the_bar() -> None:
    curve = tuple(enumerate((0.0, 0.0, 0.0)))
    useless = [
        Observation(5, {}, Outcome.DONE, 0.0, curve, completed=False),
        Observation(6, {}, Outcome.FAILED, curve=curve),
        Observation(7, {}, Outcome.RUNNING, curve=curve),
    ]
    assert judge((0.79,), [*FINISHED, *useless]).data["median_loss"] == 0.8
    assert not judge((0.79,), [*FINISHED, *useless]).stop


def test_reports_that_were_no_numbers_leave_gaps_not_shifts() -> None:
    """A NaN report is absent from a curve; the others keep their sequence."""
    gap = Observation(3, {}, Outcome.DONE, 0.2, ((1, 0.2), (2, 0.4)), completed=True)
    trial = Observation(9, {}, Outcome.RUNNING, curve=((0, 9.0), (2, 9.0)))
    verdict = MedianstopAssessor(MedianstopArgs()).assess(trial, [*FINISHED, gap])
    assert verdict.data["n_completed"] == 4  # averages up to 2: 0.5 0.5 0.2 and 0.3
    assert verdict.data["median_loss"] == pytest.approx(0.4)
    assert verdict.data["threshold_losses"] == pytest.approx([0.8, 0.4])

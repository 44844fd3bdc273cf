"""What every assessor must do, run over the registry."""

from __future__ import annotations

import json

import numpy as np

from experiments.algorithms.base import Observation, Outcome
from experiments.algorithms.registry import Entry
from tests.algorithms.contract import (
    every_assessor,
)


def curve_of(final: float, n_reports: int, seed: int) -> tuple[tuple[int, float], ...]:
    rng = np.random.default_rng(seed)
    return tuple((s, final + 1 / (1 + s) + 0.01 * float(rng.random())) for s in range(n_reports))


def finished(number: int, final: float, n_reports: int = 20) -> Observation:
    curve = curve_of(final, n_reports, number)
    return Observation(number, {}, Outcome.DONE, final, curve, completed=True)


@every_assessor
def test_a_hopeless_trial_is_stopped_with_reason_and_numbers(entry: Entry) -> None:
    assessor = entry.load()(entry.args())
    others = [finished(number, 0.1 * number) for number in range(8)]
    hopeless = Observation(9, {}, Outcome.RUNNING, curve=curve_of(9.0, 12, 9))
    verdict = assessor.assess(hopeless, others)
    assert verdict.stop
    assert verdict.reason
    assert json.loads(json.dumps(verdict.data, allow_nan=False)) == verdict.data
    assert assessor.assess(hopeless, others) == verdict


@every_assessor
def test_the_best_trial_goes_on_at_every_step(entry: Entry) -> None:
    assessor = entry.load()(entry.args())
    others = [finished(number, 0.1 * number + 0.1) for number in range(8)]
    curve = curve_of(0.0, 20, 9)
    for n_reports in range(1, 21):
        trial = Observation(9, {}, Outcome.RUNNING, curve=curve[:n_reports])
        assert not assessor.assess(trial, others).stop


@every_assessor
def test_without_reports_or_rivals_nobody_is_stopped(entry: Entry) -> None:
    assessor = entry.load()(entry.args())
    bad = Observation(1, {}, Outcome.RUNNING, curve=curve_of(1e300, 5, 1))
    useless = [
        Observation(2, {}, Outcome.RUNNING, curve=curve_of(0.0, 9, 2)),
        Observation(3, {}, Outcome.FAILED, curve=curve_of(0.0, 9, 3)),
        Observation(4, {}, Outcome.DONE, 0.0),
    ]
    assert not assessor.assess(bad, []).stop
    assert not assessor.assess(bad, useless).stop
    assert not assessor.assess(Observation(5, {}, Outcome.RUNNING), useless).stop

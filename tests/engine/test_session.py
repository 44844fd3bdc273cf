from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from experiments.algorithms.base import (
    Assessor,
    Observation,
    Outcome,
    Proposal,
    Suggestion,
    Tuner,
    Verdict,
)
from experiments.algorithms.registry import TUNERS
from experiments.engine.session import (
    LARGEST,
    AlgorithmError,
    TrialSoFar,
    assess,
    observation,
    propose,
    unjudged,
)
from experiments.manifest.fields import NAME_FIELDS
from experiments.manifest.spec import AlgorithmSpec, ExperimentSpec, parse_manifest
from experiments.states import FINISHED, TrialState
from tests.manifest.manifests import small

OK, RUNNING = TrialState.SUCCEEDED, TrialState.RUNNING
LR = {"lr": 0.01}


class Fake:
    """Stands where the registry's entry stands; loads what the test wants."""

    adds = ()

    def __init__(self, made: Callable[..., Any]) -> None:
        self.made = made

    def load(self) -> Callable[..., Any]:
        return self.made


def spec_with(
    *,
    tuner: Callable[..., Any] | None = None,
    assessor: Callable[..., Any] | None = None,
    tuner_mode: str = "maximize",
    assessor_mode: str = "maximize",
) -> ExperimentSpec:
    changes = {
        "spec.tuner.classArgs": {"optimize_mode": tuner_mode},
        "spec.assessor": {
            "builtinAssessorName": "Medianstop",
            "classArgs": {"optimize_mode": assessor_mode},
        },
    }
    spec = parse_manifest(small(changes)).spec
    return replace(spec, tuner=_put(spec.tuner, tuner), assessor=_put(spec.assessor, assessor))


def _put(chosen: AlgorithmSpec | None, made: Callable[..., Any] | None) -> AlgorithmSpec | None:
    if chosen is None or made is None:
        return chosen
    return replace(chosen, entry=Fake(made))  # type: ignore[arg-type]


class Listener(Tuner[Any]):
    """Keeps what it was told and proposes one fixed trial."""

    heard: list[Observation]

    def propose(self, history: Sequence[Observation], count: int) -> Proposal:
        type(self).heard = list(history)
        return Proposal((Suggestion({"lr": 0.05}),))


def answering(proposal: Proposal) -> Callable[..., Any]:
    class Answering(Tuner[Any]):
        def propose(self, history: Sequence[Observation], count: int) -> Proposal:
            return proposal

    return Answering


def judging(verdict: Verdict) -> Callable[..., Any]:
    class Judging(Assessor[Any]):
        def assess(self, trial: Observation, others: Sequence[Observation]) -> Verdict:
            return verdict

    return Judging


@pytest.mark.parametrize(
    ("record", "outcome", "loss", "completed"),
    [
        (TrialSoFar(0, LR, OK, 0.9), Outcome.DONE, -0.9, True),
        (TrialSoFar(0, LR, OK, 0.9, curve=((0, 0.1),)), Outcome.DONE, -0.9, True),
        (TrialSoFar(0, LR, OK, None), Outcome.FAILED, None, False),
        (TrialSoFar(0, LR, OK, math.nan), Outcome.FAILED, None, False),
        (TrialSoFar(0, LR, OK, math.inf), Outcome.FAILED, None, False),
        (TrialSoFar(0, LR, OK, 0.9, excluded=True), Outcome.FAILED, None, False),
        (TrialSoFar(0, LR, TrialState.WAITING), Outcome.RUNNING, None, False),
        (TrialSoFar(0, LR, RUNNING, curve=((0, 0.5),)), Outcome.RUNNING, None, False),
        (TrialSoFar(0, LR, RUNNING, 0.5), Outcome.RUNNING, None, False),
        (TrialSoFar(0, LR, RUNNING, excluded=True), Outcome.RUNNING, None, False),
        # stopped early: its last intermediate value stands for it
        (
            TrialSoFar(0, LR, TrialState.EARLY_STOPPED, 0.9, curve=((0, 0.2), (1, 0.3))),
            Outcome.DONE, -0.3, False,
        ),
        (
            TrialSoFar(0, LR, TrialState.EARLY_STOPPED, curve=((1, 0.3), (0, 0.2), (2, math.nan))),
            Outcome.DONE, -0.3, False,
        ),
        (TrialSoFar(0, LR, TrialState.EARLY_STOPPED, 0.4), Outcome.DONE, -0.4, False),
        (TrialSoFar(0, LR, TrialState.EARLY_STOPPED), Outcome.FAILED, None, False),
        (
            TrialSoFar(0, LR, TrialState.EARLY_STOPPED, curve=((0, math.nan),)),
            Outcome.FAILED, None, False,
        ),
        # the others have no result, whatever they reported
        (TrialSoFar(0, LR, TrialState.FAILED, 0.9, ((0, 0.2),)), Outcome.FAILED, None, False),
        (TrialSoFar(0, LR, TrialState.CANCELED, 0.9, ((0, 0.2),)), Outcome.FAILED, None, False),
        (TrialSoFar(0, LR, TrialState.LOST, 0.9, ((0, 0.2),)), Outcome.FAILED, None, False),
    ],
)  # fmt: skip
def test_a_record_becomes_an_observation(
    record: TrialSoFar, outcome: Outcome, loss: float | None, completed: bool
) -> None:
    found = observation(record, maximizes=True)
    assert (found.outcome, found.loss, found.completed) == (outcome, loss, completed)


@pytest.mark.parametrize("state", list(TrialState))
def test_minimizing_keeps_every_number_as_it_is(state: TrialState) -> None:
    record = TrialSoFar(0, LR, state, 0.5, curve=((0, 2.0), (1, -1.0)))
    same, flipped = observation(record, maximizes=False), observation(record, maximizes=True)
    assert same.curve == ((0, 2.0), (1, -1.0))
    assert flipped.curve == ((0, -2.0), (1, 1.0))
    assert same.outcome == flipped.outcome
    assert (same.outcome is Outcome.RUNNING) == (state not in FINISHED)
    if same.loss is not None:
        assert same.loss == -flipped.loss  # type: ignore[operator]


def test_a_curve_is_sorted_finite_and_has_each_sequence_once() -> None:
    record = TrialSoFar(0, LR, RUNNING, curve=((2, 3.0), (0, 1.0), (1, math.inf), (2, 4.0)))
    assert observation(record, maximizes=False).curve == ((0, 1.0), (2, 4.0))


@pytest.mark.parametrize(("mode", "losses"), [("maximize", [-0.9, -0.1]), ("minimize", [0.9, 0.1])])
def test_the_tuner_minimizes_whatever_the_user_wants(mode: str, losses: list[float]) -> None:
    records = [TrialSoFar(1, LR, OK, 0.1, note={"g": 1}), TrialSoFar(0, LR, OK, 0.9)]
    propose(spec_with(tuner=Listener, tuner_mode=mode), records, 1, seed=0)
    assert [o.number for o in Listener.heard] == [0, 1]
    assert [o.loss for o in Listener.heard] == losses
    assert Listener.heard[1].note == {"g": 1}


@pytest.mark.parametrize("tuner_mode", ["maximize", "minimize"])
def test_the_assessor_follows_its_own_mode(tuner_mode: str) -> None:
    heard: list[Observation] = []

    class Hearing(Assessor[Any]):
        def assess(self, trial: Observation, others: Sequence[Observation]) -> Verdict:
            heard.extend([trial, *others])
            return Verdict(stop=False)

    spec = spec_with(assessor=Hearing, tuner_mode=tuner_mode, assessor_mode="minimize")
    others = [
        TrialSoFar(2, LR, OK, 7.0, curve=((0, 6.0),)),
        TrialSoFar(1, LR, RUNNING, curve=((0, 5.0),)),
        TrialSoFar(3, LR, OK, 1.0, curve=((0, 1.0),), excluded=True),
        TrialSoFar(0, LR, RUNNING),  # itself
    ]
    assess(spec, TrialSoFar(0, LR, RUNNING, curve=((0, 4.0),)), others)
    assert [o.curve for o in heard] == [((0, 4.0),), ((0, 5.0),), ((0, 6.0),)]


@pytest.mark.parametrize(("mode", "sign"), [("maximize", -1), ("minimize", 1)])
def test_a_verdict_speaks_the_users_numbers(mode: str, sign: int) -> None:
    told = Verdict(
        True,
        "{best_value:.2f} is worse than {median_value:.2f} after {n_reports} reports.",
        {"best_loss": 0.25, "median_loss": -0.5, "losses": [1.0, None], "n_reports": 3},
    )
    spec = spec_with(assessor=judging(told), assessor_mode=mode)
    found = assess(spec, TrialSoFar(0, LR, RUNNING, curve=((0, 1.0),)), [])
    assert found.stop
    assert found.data == {
        "best_value": sign * 0.25,
        "median_value": sign * -0.5,
        "values": [sign * 1.0, None],
        "n_reports": 3,
    }
    expected = f"{sign * 0.25:.2f} is worse than {sign * -0.5:.2f} after 3 reports."
    assert found.reason == expected


@pytest.mark.parametrize(("mode", "values"), [("maximize", (0.1, 0.9)), ("minimize", (0.9, 0.1))])
def test_medianstop_stops_the_worse_and_says_so_in_the_users_numbers(
    mode: str, values: tuple[float, float]
) -> None:
    bad, good = values
    spec = spec_with(assessor_mode=mode)
    others = [
        TrialSoFar(n, LR, OK, good, curve=((0, good), (1, good))) for n in range(1, 6)
    ]  # fmt: skip
    loser = TrialSoFar(0, LR, RUNNING, curve=((0, bad), (1, bad)))
    verdict = assess(spec, loser, others)
    assert verdict.stop
    assert verdict.data["best_value"] == bad
    assert verdict.data["median_value"] == good
    assert f"{bad}" in verdict.reason
    assert f"{good}" in verdict.reason
    winner = replace(loser, curve=((0, good), (1, good)))
    assert not assess(spec, winner, others).stop


def test_nothing_is_judged_without_a_number_to_judge_by() -> None:
    stop = judging(Verdict(True, "always"))
    spec = spec_with(assessor=stop)
    assert not assess(spec, TrialSoFar(0, LR, RUNNING), []).stop
    assert not assess(spec, TrialSoFar(0, LR, RUNNING, curve=((0, math.nan),)), []).stop
    newest_is_nan = TrialSoFar(0, LR, RUNNING, curve=((0, 1.0), (1, math.nan)))
    assert not assess(spec, newest_is_nan, []).stop
    assert assess(spec, TrialSoFar(0, LR, RUNNING, curve=((0, 1.0),)), []).stop
    without = replace(spec, assessor=None)
    assert not assess(without, TrialSoFar(0, LR, RUNNING, curve=((0, 1.0),)), []).stop


def test_unjudged_reports_come_one_by_one_oldest_first() -> None:
    record = TrialSoFar(0, LR, RUNNING, curve=((2, 3.0), (0, 1.0), (1, 2.0)))
    assert [r.curve for r in unjudged(record, 0)] == [
        ((0, 1.0), (1, 2.0)),
        ((0, 1.0), (1, 2.0), (2, 3.0)),
    ]
    assert len(list(unjudged(record, -1))) == 3
    assert list(unjudged(record, 2)) == []


@pytest.mark.parametrize("tuner", ["Random", "Anneal", "TPE"])
def test_a_proposal_depends_on_history_and_seed_alone(tuner: str) -> None:
    spec = parse_manifest(small({"spec.tuner.builtinTunerName": tuner})).spec
    records = [
        TrialSoFar(0, {"lr": 0.01}, OK, 0.5),
        TrialSoFar(1, {"lr": 0.001}, TrialState.FAILED),
        TrialSoFar(2, {"lr": 0.05}, RUNNING),
    ]
    first = propose(spec, records, 2, seed=7)
    assert propose(spec, list(reversed(records)), 2, seed=7) == first
    assert propose(spec, records, 2, seed=8) != first
    assert len(first.suggestions) == 2
    assert all(spec.space.contains(s.parameters) == [] for s in first.suggestions)


def test_grid_search_runs_dry() -> None:
    space = {"x": {"_type": "choice", "_value": [1, 2]}}
    changes = {"spec.searchSpace": space, "spec.tuner.builtinTunerName": "GridSearch"}
    spec = parse_manifest(small(changes)).spec
    tried = propose(spec, [], 5, seed=0)
    assert [s.parameters for s in tried.suggestions] == [{"x": 1}, {"x": 2}]
    records = [TrialSoFar(i, s.parameters, OK, 1.0) for i, s in enumerate(tried.suggestions)]
    assert propose(spec, records, 5, seed=0) == Proposal(exhausted=True)


def test_an_exception_in_a_tuner_names_it_and_keeps_the_traceback() -> None:
    class Broken(Tuner[Any]):
        def propose(self, history: Sequence[Observation], count: int) -> Proposal:
            raise KeyError("by hand")

    with pytest.raises(AlgorithmError) as caught:
        propose(spec_with(tuner=Broken), [], 1, seed=0)
    error = caught.value
    assert (error.kind, error.name) == ("tuner", "TPE")
    assert str(error) == "The tuner TPE failed: KeyError: 'by hand'"
    assert 'raise KeyError("by hand")' in error.detail
    assert isinstance(error.__cause__, KeyError)


def test_a_tuner_that_cannot_even_be_loaded_is_named_too() -> None:
    def made(*_: Any) -> Any:
        raise ImportError("no such library")

    with pytest.raises(AlgorithmError, match="ImportError: no such library"):
        propose(spec_with(tuner=made), [], 1, seed=0)


NUMERICAL = [
    OverflowError("intermediate overflow in fsum"),
    ZeroDivisionError("float division by zero"),
    FloatingPointError("underflow"),
    np.linalg.LinAlgError("Matrix is not positive definite"),
    ValueError("array must not contain infs or NaNs"),
    ValueError("cannot convert float NaN to integer"),
    ValueError("math domain error"),
    ValueError("Out of range float values are not JSON compliant"),
    ValueError("probabilities contain NaN"),
]
DEFECTS = [
    ValueError("not enough values to unpack (expected 2, got 1)"),
    ValueError("operands could not be broadcast together with shapes (2,) (3,)"),
    ValueError("'relu' is not in list"),
    ValueError("invalid literal for int() with base 10: 'finally'"),
    ValueError("The truth value of an array with more than one element is ambiguous."),
    ValueError(""),
    TypeError("float() argument must be a string or a real number, not 'NoneType'"),
]


@pytest.mark.parametrize("error", DEFECTS)
def test_a_defect_of_an_algorithm_is_no_trouble_with_numbers(error: Exception) -> None:
    class Broken(Tuner[Any]):
        def propose(self, history: Sequence[Observation], count: int) -> Proposal:
            raise error

    class Wrong(Assessor[Any]):
        def assess(self, trial: Observation, others: Sequence[Observation]) -> Verdict:
            raise error

    with pytest.raises(AlgorithmError, match=r"The tuner .* failed"):
        propose(spec_with(tuner=Broken), [], 1, seed=0)
    with pytest.raises(AlgorithmError, match=r"The assessor .* failed"):
        assess(spec_with(assessor=Wrong), TrialSoFar(0, LR, RUNNING, curve=((0, 1.0),)), [])


@pytest.mark.parametrize("error", NUMERICAL)
@pytest.mark.parametrize("name", ["TPE", "GPTuner", "PBTTuner", "BOHB", "Hyperband", "ASHA"])
def test_a_tuner_that_cannot_compute_draws_at_random_and_says_so(
    name: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = "tuner" if name in TUNERS else "advisor"
    changes: dict[str, Any] = {"spec.tuner": None, f"spec.{kind}": {NAME_FIELDS[kind]: name}}
    spec = parse_manifest(small(changes)).spec
    chosen = spec.tuner or spec.advisor
    assert chosen is not None
    made = chosen.entry.load()

    def fails(self: Any, *_: Any) -> Any:
        if getattr(self, "is_blind", False):
            return normal(self, *_)
        raise error

    normal = made.propose
    monkeypatch.setattr(made, "propose", fails)
    found = propose(spec, [], 2, seed=3)
    assert len(found.suggestions) == 2
    for suggestion in found.suggestions:
        searched = {k: v for k, v in suggestion.parameters.items() if k not in spec.adds}
        assert spec.space.contains(searched) == []
        assert set(spec.adds) <= set(suggestion.parameters)  # what its trials cannot do without
        assert suggestion.remark == (
            f"Drawn at random: the {kind} {name} could not compute "
            f"({type(error).__name__}: {error})."
        )
    assert propose(spec, [], 2, seed=3) == found
    assert propose(spec, [], 2, seed=4) != found


def test_a_tuner_whose_numbers_are_no_numbers_draws_at_random_too() -> None:
    class Blank(Tuner[Any]):
        def propose(self, history: Sequence[Observation], count: int) -> Proposal:
            return Proposal((Suggestion({"lr": math.nan}),))

    (found,) = propose(spec_with(tuner=Blank), [], 1, seed=0).suggestions
    assert 0.0 < found.parameters["lr"] < 1.0
    assert "could not compute (its numbers came out as NaN or infinite)" in found.remark


@pytest.mark.parametrize("error", NUMERICAL)
def test_an_assessor_that_cannot_compute_gives_no_verdict_and_says_so(error: Exception) -> None:
    class Overflowing(Assessor[Any]):
        def assess(self, trial: Observation, others: Sequence[Observation]) -> Verdict:
            raise error

    spec = spec_with(assessor=Overflowing)
    found = assess(spec, TrialSoFar(0, LR, RUNNING, curve=((0, 1.0),)), [])
    assert not found.stop
    words = f"{type(error).__name__}: {error}"
    assert found.reason == f"Not judged: the assessor Medianstop could not compute ({words})."
    blank = spec_with(assessor=judging(Verdict(True, "x", {"n": math.nan})))
    found = assess(blank, TrialSoFar(0, LR, RUNNING, curve=((0, 1.0),)), [])
    assert (found.stop, found.reason[:12]) == (False, "Not judged: ")


@pytest.mark.parametrize("mode", ["maximize", "minimize"])
def test_algorithms_never_see_a_number_that_sums_cannot_hold(mode: str) -> None:
    largest = sys.float_info.max
    record = TrialSoFar(0, LR, OK, -largest, curve=((0, largest), (1, 5e-324)))
    seen = observation(record, maximizes=mode == "maximize")
    sign = -1 if mode == "maximize" else 1
    assert seen.loss == -sign * LARGEST
    assert seen.curve == ((0, sign * LARGEST), (1, sign * 5e-324))


def test_medianstop_judges_trials_beside_the_largest_number_there_is() -> None:
    """Four of them once ended the experiment: "intermediate overflow in fsum"."""
    largest = sys.float_info.max
    spec = spec_with(assessor_mode="minimize")
    others = [TrialSoFar(n, LR, OK, 0.5, curve=((0, 0.5), (1, 0.5))) for n in range(1, 4)]
    others += [
        TrialSoFar(n, LR, OK, largest, curve=((0, largest), (1, largest))) for n in range(4, 8)
    ]
    good = TrialSoFar(0, LR, RUNNING, curve=((0, 0.4), (1, 0.4)))
    assert assess(spec, good, others).reason == ""
    spec = spec_with(assessor_mode="maximize")
    verdict = assess(spec, good, others)
    assert verdict.stop
    assert verdict.data["median_value"] == LARGEST


@pytest.mark.parametrize(
    "verdict",
    [
        Verdict(True, "{missing_value}", {}),
        Verdict(True, "x", {"n": np.float64}),
    ],
)
def test_an_assessor_that_misbehaves_is_named(verdict: Verdict) -> None:
    spec = spec_with(assessor=judging(verdict))
    with pytest.raises(AlgorithmError, match="The assessor Medianstop failed") as caught:
        assess(spec, TrialSoFar(0, LR, RUNNING, curve=((0, 1.0),)), [])
    assert "Traceback" in caught.value.detail


@pytest.mark.parametrize(
    ("suggestions", "words"),
    [
        ([Suggestion({"lr": 0.05})] * 3, "asked for 2 trials, it proposed 3"),
        ([Suggestion({"lr": 5.0})], "outside the search space: parameters.lr"),
        ([Suggestion({})], "outside the search space"),
        ([Suggestion({"lr": 0.05, "x": 1})], "outside the search space"),
        ([Suggestion({"lr": np.float64(0.05)})], "parameters that are not plain JSON"),
        ([Suggestion({"lr": 0.05}, note={"a": (1, 2)})], "notes that are not plain JSON"),
        ([Suggestion({"lr": 0.05}, note={"a": math.nan})], "notes that are not plain JSON"),
        ([Suggestion({"lr": 0.05}, note={1: 2})], "notes that are not plain JSON"),  # type: ignore[dict-item]
    ],
)
def test_what_a_tuner_must_not_propose(suggestions: list[Suggestion], words: str) -> None:
    spec = spec_with(tuner=answering(Proposal(tuple(suggestions))))
    with pytest.raises(AlgorithmError, match="The tuner TPE failed") as caught:
        propose(spec, [], 2, seed=0)
    assert words in str(caught.value)


def test_a_tuner_may_wait_only_while_something_runs() -> None:
    spec = spec_with(tuner=answering(Proposal()))
    assert propose(spec, [TrialSoFar(0, LR, RUNNING)], 1, seed=0) == Proposal()
    with pytest.raises(AlgorithmError, match="none is running"):
        propose(spec, [TrialSoFar(0, LR, OK, 1.0)], 1, seed=0)

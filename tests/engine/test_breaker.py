"""When failures alike trip the circuit breaker, and what counts as alike."""

from __future__ import annotations

import pytest

from experiments.engine.breaker import QUICK_S, Ended, look, masked
from experiments.engine.plan import Plan, plan
from experiments.engine.snapshot import Snapshot, TrialSnapshot
from experiments.states import Phase, TrialState

MISSING = "exit code 1: ModuleNotFoundError: No module named 'torch'"


def ends(words: str, *, seconds: float = 1.0, reason: str = MISSING) -> list[Ended]:
    """``ffsf``: failures and successes, in order."""
    return [
        Ended(n, word == "f", seconds, 1 if word == "f" else 0, reason if word == "f" else "")
        for n, word in enumerate(words)
    ]


@pytest.mark.parametrize(
    ("words", "seconds", "from_start", "trips"),
    [
        ("ff", 1, True, None),
        ("fff", 1, True, (0, 1, 2)),
        ("fff", 600, True, (0, 1, 2)),  # the first ones, however long they took
        ("ffffff", 600, True, (0, 1, 2)),
        ("sfff", 600, False, None),  # later on only quick ones
        ("sfff", 1, False, (1, 2, 3)),
        ("sfff", QUICK_S, False, (1, 2, 3)),
        ("sffsf", 1, False, None),
        ("fffs", 1, False, None),
    ],
)
def test_the_first_failures_or_quick_ones_in_a_row(
    words: str, seconds: float, from_start: bool, trips: tuple[int, ...] | None
) -> None:
    tripped = look(ends(words, seconds=seconds), 3, from_start=from_start)
    assert (tripped and tripped.trials) == trips


def test_zero_never_trips_and_one_trips_at_once() -> None:
    assert look(ends("f" * 50), 0, from_start=True) is None
    tripped = look(ends("f"), 1, from_start=True)
    assert tripped is not None
    assert tripped.reason == f"The first trial failed: {MISSING}."


def test_failures_of_different_kinds_do_not_trip() -> None:
    other = [Ended(2, True, 1.0, 1, "exit code 1: KeyError: 'lr'")]
    assert look(ends("ff") + other, 3, from_start=True) is None
    other = [Ended(2, True, 1.0, 2, MISSING)]
    assert look(ends("ff") + other, 3, from_start=True) is None


def test_the_reason_says_which_and_why() -> None:
    first = look(ends("fff"), 3, from_start=True)
    last = look(ends("sfff"), 3, from_start=False)
    assert first is not None
    assert last is not None
    assert first.reason == f"The first 3 trials failed alike: {MISSING}."
    assert last.reason == f"The last 3 trials failed alike: {MISSING}."


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("shape (3, 224) at 0x7f31", "shape (17, 96) at 0x7fe2", True),
        ("lr=1e-05 diverged after 3.5 s", "lr=0.1 diverged after 12 s", True),
        ("No such file: /tmp/run-1/x.npy", "No such file: /tmp/run-2/y.npy", True),
        ("No such file: 'out/k3y0a/a.pt'", "No such file: 'out/zq8ab/a.pt'", True),
        ("cannot open '/data/1.csv'", "cannot open '/data/2.csv'", True),
        ("bad value '0.1'", "bad value '0.25'", True),
        ("No module named 'torch'", "No module named 'numpy'", False),
        ('no key "lr"', 'no key "units"', False),
        ("it can't open 3, don't", "it can't open 4, don't", True),
        ("KeyError: 'lr'", "ValueError: 'lr'", False),
    ],
)
def test_alike_is_what_differs_in_numbers_and_paths_only(one: str, other: str, alike: bool) -> None:
    assert (masked(one) == masked(other)) == alike


def snapshot(**fields: object) -> Snapshot:
    failed = tuple(TrialSnapshot(n, TrialState.FAILED) for n in range(3))
    values: dict[str, object] = {
        "phase": Phase.RUNNING,
        "max_trials": 10,
        "concurrency": 2,
        "seconds_left": 100.0,
        "trials": failed,
        "ended": tuple(ends("fff")),
        "alike": 3,
        "from_start": True,
    }
    return Snapshot(**{**values, **fields})  # type: ignore[arg-type]


def test_a_tripped_experiment_plans_nothing_but_its_suspension() -> None:
    todo = plan(snapshot())
    assert todo.suspend is not None
    assert todo == Plan(suspend=todo.suspend)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"suspended": True}, Plan()),
        ({"alike": 0}, Plan(ask=2)),
        ({"max_trials": 3}, Plan(finish=Phase.DONE, reason="3 trials have finished.")),
        ({"finish_requested": True}, "DONE"),
        ({"seconds_left": 0.0}, "TIMEOUT"),
    ],
)
def test_what_comes_before_the_breaker(fields: dict[str, object], expected: Plan | str) -> None:
    todo = plan(snapshot(**fields))
    assert todo.suspend is None
    assert expected in (todo, todo.finish)

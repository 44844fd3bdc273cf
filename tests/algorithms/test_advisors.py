"""Hyperband, BOHB and ASHA against the papers' tables and cases worked by hand."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from scipy import stats

from experiments.algorithms.advisors.asha import ASHAAdvisor
from experiments.algorithms.advisors.bohb import BOHBAdvisor
from experiments.algorithms.advisors.brackets import ladder
from experiments.algorithms.advisors.hyperband import HyperbandAdvisor
from experiments.algorithms.arguments import ASHAArgs, BOHBArgs, HyperbandArgs
from experiments.algorithms.base import BUDGET_KEY, Observation, Outcome, Proposal, Tuner
from experiments.algorithms.numerics.domain import Column, Domain
from experiments.algorithms.numerics.kde import KernelDensity
from experiments.algorithms.space.search_space import SearchSpace

SPACE = SearchSpace.parse(
    {
        "x": {"_type": "uniform", "_value": [0, 1]},
        "c": {"_type": "choice", "_value": ["a", "b", "c"]},
    }
)

# Li et al., JMLR 18 (2018), Table 1: R = 81, eta = 3; (configurations, budget) of every rung
TABLE_1 = [
    [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
    [(34, 3), (11, 9), (3, 27), (1, 81)],
    [(15, 9), (5, 27), (1, 81)],
    [(8, 27), (2, 81)],
    [(5, 81)],
]


def hyperband(**args: Any) -> HyperbandAdvisor:
    return HyperbandAdvisor(SPACE, HyperbandArgs(**args), 0)


def start(history: list[Observation], advisor: Tuner[Any], count: int = 1) -> Proposal:
    """Ask for trials and add them to the history as running."""
    proposal = advisor.propose(history, count)
    for suggestion in proposal.suggestions:
        history.append(
            Observation(len(history), suggestion.parameters, Outcome.RUNNING, note=suggestion.note)
        )
    return proposal


def end(history: list[Observation], number: int, loss: float | None) -> None:
    """Let a trial finish with that loss; None: it fails."""
    running = history[number]
    outcome = Outcome.FAILED if loss is None else Outcome.DONE
    history[number] = Observation(
        number, running.parameters, outcome, loss, note=running.note, completed=loss is not None
    )


def run(advisor: Tuner[Any], n_trials: int, at_once: int = 1) -> list[Observation]:
    """Run trials to their end in the order started; the loss is x, whatever the budget."""
    history: list[Observation] = []
    n_ended = 0
    while n_ended < n_trials:
        start(history, advisor, at_once - (len(history) - n_ended))
        end(history, n_ended, history[n_ended].parameters["x"])
        n_ended += 1
    return history[:n_trials]


def places(history: list[Observation]) -> Counter[tuple[int, int, float]]:
    return Counter((o.note["bracket"], o.note["rung"], o.note["budget"]) for o in history)


def test_the_brackets_are_those_of_the_papers_table() -> None:
    advisor = hyperband(R=81, eta=3)
    for bracket, expected in enumerate(TABLE_1):
        found = [(rung.n_configurations, rung.budget) for rung in advisor.rungs(bracket)]
        assert found == expected
    assert list(advisor.rungs(5)) == list(advisor.rungs(0)), "it goes round for ever"
    assert [rung.budget for rung in hyperband(R=60).rungs(0)] == [2, 6, 20, 60], "rounded down"
    assert hyperband(R=243).rungs(0)[0].budget == 1, "no float logarithms"
    assert len(hyperband(R=1).rungs(0)) == 1


@pytest.mark.long
def test_a_whole_round_runs_the_table_one_trial_at_a_time_and_four() -> None:
    n_total = sum(n for bracket in TABLE_1 for n, _ in bracket)
    expected = {
        (bracket, rung, budget): n
        for bracket, rungs in enumerate(TABLE_1)
        for rung, (n, budget) in enumerate(rungs)
    }
    for mode in ("serial", "parallelism"):
        assert places(run(hyperband(R=81, exec_mode=mode), n_total)) == expected
    history = run(hyperband(R=81), n_total, at_once=4)
    for bracket, rungs in enumerate(TABLE_1[:4]):  # the last may still have gaps to fill
        for rung, (n, budget) in enumerate(rungs):
            assert places(history)[bracket, rung, budget] == n


def test_the_best_of_each_rung_are_promoted_and_run_again_with_more() -> None:
    history = run(hyperband(R=9, eta=3), 9 + 3 + 1)
    first, second, third = history[:9], history[9:12], history[12:]
    ranked = sorted(first, key=lambda o: o.parameters["x"])
    assert {o.note["from"] for o in second} == {o.number for o in ranked[:3]}
    assert third[0].parameters == {**ranked[0].parameters, BUDGET_KEY: 9}
    assert [o.parameters[BUDGET_KEY] for o in history] == [1] * 9 + [3] * 3 + [9]
    configurations = {(o.parameters["x"], o.parameters["c"]) for o in first}
    assert len(configurations) == 9


def test_serial_waits_for_a_rung_and_parallelism_fills_the_gap() -> None:
    waiting: list[Observation] = []
    serial = hyperband(R=9, eta=3, exec_mode="serial")
    assert len(start(waiting, serial, 20).suggestions) == 9
    for number in range(8):
        end(waiting, number, float(number))
    proposal = serial.propose(waiting, 4)
    assert (proposal.suggestions, proposal.exhausted) == ((), False)
    (other,) = hyperband(R=9, eta=3).propose(waiting, 1).suggestions
    assert other.note["bracket"] == 1
    end(waiting, 8, -1.0)
    assert [s.note["config"] for s in serial.propose(waiting, 9).suggestions] == [8, 0, 1]


def test_failures_leave_no_rung_waiting() -> None:
    serial = hyperband(R=9, eta=3, exec_mode="serial")
    history: list[Observation] = []
    start(history, serial, 9)
    for number in range(9):
        end(history, number, 0.5 if number == 4 else None)
    (only,) = start(history, serial, 9).suggestions
    assert only.note["config"] == 4
    end(history, 9, None)
    assert {s.note["bracket"] for s in serial.propose(history, 5).suggestions} == {1}
    all_failed: list[Observation] = []
    for number in range(40):
        assert start(all_failed, serial).suggestions
        end(all_failed, number, None)


def test_a_retry_stands_for_the_trial_it_retries() -> None:
    advisor = hyperband(R=3, eta=3)
    history: list[Observation] = []
    start(history, advisor, 3)
    for number, loss in enumerate([0.3, 0.2, None]):
        end(history, number, loss)
    failed = history[2]
    history.append(
        Observation(3, failed.parameters, Outcome.DONE, 0.1, note=failed.note, completed=True)
    )
    (promoted,) = advisor.propose(history, 1).suggestions
    assert promoted.note["from"] == 3


def test_the_users_own_trials_take_no_place() -> None:
    custom = Observation(0, {"x": 0.0, "c": "a"}, Outcome.DONE, -9.0, completed=True)
    for advisor in (hyperband(R=3), BOHBAdvisor(SPACE, BOHBArgs(), 0)):
        (suggestion,) = advisor.propose([custom], 1).suggestions
        assert suggestion.note["config"] == 0


# -- ASHA ----------------------------------------------------------------------------------------


def asha(**args: Any) -> ASHAAdvisor:
    return ASHAAdvisor(SPACE, ASHAArgs(**{"max_budget": 9, **args}), 0)


def test_asha_promotes_as_soon_as_one_is_among_the_best_third() -> None:
    """Losses 5, 7, 3, … : after three results the best is promoted, after six the second best."""
    advisor = asha()
    history: list[Observation] = []
    places = []
    losses = iter([5.0, 7.0, 3.0, 2.5, 8.0, 6.0, 4.0, 9.0])
    for number in range(8):
        (suggestion,) = start(history, advisor).suggestions
        places.append((suggestion.note["rung"], suggestion.note["config"]))
        end(history, number, next(losses))
    # the fourth trial is configuration 2's promotion; 6 results are needed for another
    assert places == [(0, 0), (0, 1), (0, 2), (1, 2), (0, 3), (0, 4), (0, 5), (1, 5)]
    assert [o.parameters[BUDGET_KEY] for o in history] == [1, 1, 1, 3, 1, 1, 1, 3]


def test_asha_never_waits_and_promotes_to_the_top_first() -> None:
    advisor = asha()
    assert len(advisor.propose([], 50).suggestions) == 50
    history = run(advisor, 13 + 9, at_once=1)
    assert max(o.parameters[BUDGET_KEY] for o in history) == 9
    top = next(o for o in history if o.parameters[BUDGET_KEY] == 9)
    before = history[: top.number]
    assert sum(o.parameters[BUDGET_KEY] == 3 for o in before) == 3, "at the first chance"


def test_ashas_brackets_start_on_different_rungs() -> None:
    suggestions = asha(brackets=3).propose([], 6).suggestions
    assert [s.parameters[BUDGET_KEY] for s in suggestions] == [1, 3, 9, 1, 3, 9]


@pytest.mark.parametrize(
    ("low", "high", "eta", "expected"),
    [
        (1, 81, 3, [1, 3, 9, 27, 81]),
        (1, 3, 3, [1, 3]),
        (1, 100, 3, [1, 3, 11, 33, 100]),
        (0.5, 2, 2, [0.5, 1.0, 2.0]),
        (5, 5, 2, [5]),
        (7, 5, 2, [5]),
        (0.1, 0.3, 3, [0.1, 0.3]),
    ],
)
def test_ladders_of_budgets(low: float, high: float, eta: int, expected: list[float]) -> None:
    assert ladder(low, high, eta) == expected


# -- BOHB ----------------------------------------------------------------------------------------


def test_the_density_of_numbers_is_scipys() -> None:
    rng = np.random.default_rng(0)
    rows = rng.random((30, 1))
    density = KernelDensity(Domain([Column()]), rows, 1e-3)
    width = 1.06 * rows.std() * 30 ** (-1 / 5)
    assert density.bandwidths == pytest.approx([width])
    points = np.linspace(0, 1, 11)[:, None]
    # scipy's factor multiplies the sample standard deviation
    scipys = stats.gaussian_kde(rows[:, 0], bw_method=width / rows.std(ddof=1))
    assert density.density(points) == pytest.approx(scipys(points[:, 0]))
    by_hand = [np.mean([stats.norm.pdf(p, r, width) for r in rows[:, 0]]) for p in points[:, 0]]
    assert density.density(points) == pytest.approx(by_hand)


def test_the_density_of_categories_is_aitchison_and_aitkens() -> None:
    domain = Domain([Column(np.arange(4.0), categorical=True)])
    rows = np.array([[0.0], [0.0], [3.0], [0.0]])
    density = KernelDensity(domain, rows, 1e-3)
    width = min(1.06 * rows.std() * 4 ** (-1 / 5), 3 / 4)
    found = density.density(np.arange(4.0)[:, None])
    expected = [
        (3 * (1 - width) + width / 3) / 4,
        width / 3,
        width / 3,
        (3 * width / 3 + (1 - width)) / 4,
    ]
    assert found == pytest.approx(expected)
    assert found.sum() == pytest.approx(1.0)


def test_draws_follow_the_density() -> None:
    domain = Domain([Column(), Column(np.arange(3.0), categorical=True)])
    rows = np.array([[0.3, 0.0], [0.35, 0.0], [0.4, 1.0]])
    density = KernelDensity(domain, rows, 1e-3)
    drawn = density.sample(4000, 1.0, np.random.default_rng(1))
    assert drawn[:, 0].mean() == pytest.approx(0.35, abs=0.01)  # 5 sigma: 0.004
    leak = density.bandwidths[1]
    expected = 2 / 3 * (1 - leak) + leak / 3
    assert (drawn[:, 1] == 0).mean() == pytest.approx(expected, abs=0.05)  # 6 sigma


def test_bohb_models_the_largest_budget_with_enough_results() -> None:
    advisor = BOHBAdvisor(SPACE, BOHBArgs(max_budget=9, random_fraction=0.0), 0)

    def results(budget: int, n_results: int, good: float) -> list[Observation]:
        rng = np.random.default_rng(budget)
        found = []
        for index in range(n_results):
            x = float(rng.random())
            note = {"bracket": 9, "rung": budget, "config": index, "budget": budget}
            found.append(
                Observation(
                    1000 * budget + index,
                    {"x": x, "c": "b", BUDGET_KEY: budget},
                    Outcome.DONE,
                    abs(x - good),
                    note=note,
                    completed=True,
                )
            )
        return found

    def typical_x(history: list[Observation]) -> float:
        suggestions = advisor.propose(history, 9).suggestions
        assert {s.origin for s in suggestions} == {"model"}
        return float(np.median([s.parameters["x"] for s in suggestions]))

    # two columns: the model needs 3 + 2 results
    assert {s.origin for s in advisor.propose(results(1, 4, 0.1), 3).suggestions} == {"start-up"}
    assert typical_x(results(1, 30, 0.1)) == pytest.approx(0.1, abs=0.1)
    assert typical_x(results(1, 30, 0.1) + results(9, 4, 0.9)) == pytest.approx(0.1, abs=0.1)
    assert typical_x(results(1, 30, 0.1) + results(9, 30, 0.9)) == pytest.approx(0.9, abs=0.1)


def test_bohb_draws_a_share_at_random() -> None:
    history = run(BOHBAdvisor(SPACE, BOHBArgs(max_budget=27, random_fraction=0.5), 0), 120)
    fresh = [o for o in history if o.note["rung"] == 0]
    proposals = [
        BOHBAdvisor(SPACE, BOHBArgs(max_budget=27, random_fraction=0.5), seed)
        .propose(history, 1)
        .suggestions[0]
        for seed in range(60)
    ]
    n_random = Counter(s.origin for s in proposals)["random"]
    assert len(fresh) > 30
    assert 12 <= n_random <= 48  # 30 expected, 4.6 sigma


@pytest.mark.long
def test_bohb_finds_better_configurations_than_hyperband() -> None:
    def mean_x(advisor: Tuner[Any]) -> float:
        history = run(advisor, 150)
        return float(np.mean([o.parameters["x"] for o in history if o.note["rung"] == 0][40:]))

    for seed in range(3):
        args = BOHBArgs(max_budget=27)
        better = mean_x(BOHBAdvisor(SPACE, args, seed))
        assert better < 0.7 * mean_x(HyperbandAdvisor(SPACE, HyperbandArgs(R=27), seed))

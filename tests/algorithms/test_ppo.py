"""PPO: gradients against finite differences, advantages by hand, and that it learns."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from experiments.algorithms.arguments import HyperoptArgs, PPOArgs
from experiments.algorithms.base import Observation, Outcome, Tuner
from experiments.algorithms.numerics.actor_critic import (
    Coefficients,
    Learner,
    Rows,
    Weights,
    advantages,
    evaluate,
    fresh_weights,
    loss_and_gradients,
)
from experiments.algorithms.space.search_space import SearchSpace
from experiments.algorithms.tuners import ppo
from experiments.algorithms.tuners.ppo import Episodes, PPOTuner, ranks
from experiments.algorithms.tuners.random import RandomTuner

COEFFICIENTS = Coefficients(
    epochs=2,
    minibatch_size=2,
    ent_coef=0.03,
    lr=1e-3,
    vf_coef=0.5,
    max_grad_norm=0.5,
    gamma=0.9,
    lam=0.8,
    cliprange=0.2,
)


def layers(n_layers: int, n_candidates: int) -> dict[str, Any]:
    candidates = [f"op{i}" for i in range(n_candidates)]
    return {f"layer{i}": {"_type": "layer_choice", "_value": candidates} for i in range(n_layers)}


def inputs(n_candidates: int, n_chosen: Any) -> dict[str, Any]:
    value = {"candidates": [f"i{i}" for i in range(n_candidates)], "n_chosen": n_chosen}
    return {"_type": "input_choice", "_value": value}


# -- numerics ------------------------------------------------------------------------------------


def test_advantages_worked_by_hand() -> None:
    """gamma 0.9, lam 0.8; rewards 0 0 1, values 0.5 0.4 0.3.

    deltas: 0.9 * 0.4 - 0.5 = -0.14, 0.9 * 0.3 - 0.4 = -0.13, 1 - 0.3 = 0.7;
    backwards: 0.7, -0.13 + 0.72 * 0.7 = 0.374, -0.14 + 0.72 * 0.374 = 0.12928.
    """
    found = advantages(np.array([[0.0, 0.0, 1.0]]), np.array([[0.5, 0.4, 0.3]]), 0.9, 0.8)
    assert found == pytest.approx(np.array([[0.12928, 0.374, 0.7]]))
    # lam 1: the discounted reward less the value
    found = advantages(np.array([[0.0, 0.0, 1.0]]), np.array([[0.5, 0.4, 0.3]]), 0.9, 1.0)
    assert found == pytest.approx(np.array([[0.81 - 0.5, 0.9 - 0.4, 0.7]]))


def some_rows(rng: np.random.Generator, weights: Weights, n_rows: int = 12) -> Rows:
    """Rows on both sides of both clips."""
    features = rng.random((n_rows, 5))
    mask = rng.random((n_rows, 4)) < 0.7
    mask[:, :2] = True
    actions = rng.integers(2, size=n_rows)
    log_probs, values = evaluate(weights, features, mask)
    old = log_probs[np.arange(n_rows), actions] + rng.normal(0, 0.3, n_rows)
    return Rows(
        features=features,
        mask=mask,
        actions=actions,
        old_log_probs=old,
        old_values=values + rng.normal(0, 0.3, n_rows),
        advantages=rng.normal(size=n_rows),
        returns=rng.normal(size=n_rows),
    )


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Weights)])
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    rng = np.random.default_rng(5)
    weights = replace(
        fresh_weights(5, 4, rng), policy=0.05 * rng.normal(size=(64, 4))
    )  # an even policy would hide mistakes
    rows = some_rows(rng, weights)
    _, gradient = loss_and_gradients(weights, rows, COEFFICIENTS)
    array, exact = getattr(weights, name), getattr(gradient, name)
    for place in rng.choice(array.size, size=min(12, array.size), replace=False):
        step = np.zeros(array.size)
        step[place] = 1e-6
        losses = [
            loss_and_gradients(
                replace(weights, **{name: array + sign * step.reshape(array.shape)}),
                rows,
                COEFFICIENTS,
            )[0]
            for sign in (1, -1)
        ]
        numeric = (losses[0] - losses[1]) / 2e-6
        assert exact.ravel()[place] == pytest.approx(numeric, rel=1e-4, abs=1e-7)


def test_no_gradient_flows_where_the_clip_holds() -> None:
    rng = np.random.default_rng(0)
    weights = fresh_weights(5, 4, rng)
    rows = some_rows(rng, weights)
    log_probs, values = evaluate(weights, rows.features, rows.mask)
    now = log_probs[np.arange(len(rows.actions)), rows.actions]
    # the ratio is e: beyond 1.2 already, and the advantage asks for more
    held = replace(rows, old_log_probs=now - 1.0, advantages=np.ones(len(now)), old_values=values)
    coefficients = replace(COEFFICIENTS, ent_coef=0.0, vf_coef=0.0)
    _, gradient = loss_and_gradients(weights, held, coefficients)
    assert all(np.all(part == 0.0) for part in gradient.arrays())
    _, gradient = loss_and_gradients(weights, replace(held, advantages=-held.advantages),
                                     coefficients)  # fmt: skip
    assert any(np.any(part != 0.0) for part in gradient.arrays())


def test_steps_are_adams_with_the_norm_cut() -> None:
    """The first step of Adam is lr times the sign of the gradient, however large that is."""
    learner = Learner.fresh(3, 2, np.random.default_rng(0))
    ones = Weights(*(np.full_like(part, 100.0) for part in learner.weights.arrays()))
    moved = learner.step(ones, lr=0.01, max_norm=0.5)
    for before, after in zip(learner.weights.arrays(), moved.weights.arrays(), strict=True):
        assert after - before == pytest.approx(-0.01, rel=0.02)
    norm = 10.0 * np.sqrt(sum(float((m**2).sum()) for m in moved.first))
    assert norm == pytest.approx(0.5, rel=1e-3)


def test_ranks_go_from_best_to_worst_and_ties_are_equal() -> None:
    assert ranks([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]) == pytest.approx([2 / 3, 0.0, -2 / 3])
    assert ranks([5.0, 5.0], [5.0, 5.0]) == pytest.approx([0.0, 0.0])
    assert ranks([1e300], [1e300, -1e300, 0.0, 1.0]) == pytest.approx([-0.75])


# -- episodes ------------------------------------------------------------------------------------


def test_every_choice_of_inputs_can_be_drawn_and_none_other() -> None:
    raw = {"one": inputs(3, 1), "some": inputs(4, [1, 3]), "any": inputs(3, None)}
    space = SearchSpace.parse({**layers(1, 3), **raw})
    episodes = Episodes(space)
    rng = np.random.default_rng(0)
    weights = fresh_weights(episodes.n_features, episodes.n_actions, rng)
    drawn = [episodes.decode(a) for a in episodes.draw(weights, 3000, rng)]
    for name, parameter in space.parameters.items():
        seen = {parameter.key(params[name]) for params in drawn}
        assert len(seen) == parameter.n_distinct(), name
    for params in drawn[:200]:
        assert space.contains(params) == []
        actions = episodes.encode(params)
        assert actions is not None
        assert episodes.decode(np.array(actions)) == params


def test_what_was_drawn_has_the_probability_it_was_drawn_with() -> None:
    space = SearchSpace.parse({"skip": inputs(3, [1, 2])})
    episodes = Episodes(space)
    rng = np.random.default_rng(1)
    weights = replace(
        fresh_weights(episodes.n_features, episodes.n_actions, rng),
        policy=0.02 * rng.normal(size=(64, episodes.n_actions)),
    )
    n_draws = 20_000
    drawn = [tuple(a.tolist()) for a in episodes.draw(weights, n_draws, rng)]
    total = 0.0
    for params in space.grid():
        actions = np.array([episodes.encode(params)])
        log_prob = 0.0
        for number in range(len(episodes.steps)):
            features, mask = episodes.features(number, actions), episodes.mask(number, actions)
            log_probs, _ = evaluate(weights, features, mask)
            log_prob += log_probs[0, actions[0, number]]
        share = drawn.count(tuple(actions[0].tolist())) / n_draws
        assert share == pytest.approx(np.exp(log_prob), abs=0.02)  # 5.6 sigma at the most
        total += np.exp(log_prob)
    assert total == pytest.approx(1.0)


# -- the tuner -----------------------------------------------------------------------------------

NAS = SearchSpace.parse(
    {
        **layers(8, 4),
        "skip4": inputs(4, 2),
        "skip6": inputs(6, [0, 2]),
    }
)


def architecture_loss(params: dict[str, Any], seed: int) -> float:
    """Layers are good or bad by themselves and after the one before; so are inputs."""
    rng = np.random.default_rng(seed)
    loss, before = 0.0, 0
    for number in range(8):
        alone, after = rng.normal(size=4), 0.5 * rng.normal(size=(4, 4))
        chosen = params[f"layer{number}"]["_idx"]
        loss += alone[chosen] + after[before, chosen]
        before = chosen
    for name, n_candidates in (("skip4", 4), ("skip6", 6)):
        worth = rng.normal(size=n_candidates)
        loss += sum(worth[place] for place in params[name]["_idx"])
    return float(loss)


def run(tuner: Tuner[Any], n_trials: int, seed: int, at_once: int = 1) -> list[Observation]:
    history: list[Observation] = []
    for ended in range(n_trials):
        for s in tuner.propose(history, at_once - (len(history) - ended)).suggestions:
            history.append(Observation(len(history), s.parameters, Outcome.RUNNING, note=s.note))
        o = history[ended]
        loss = architecture_loss(dict(o.parameters), seed)
        history[ended] = Observation(
            ended, o.parameters, Outcome.DONE, loss, note=o.note, completed=True
        )
    return history[:n_trials]


@pytest.mark.long
@pytest.mark.parametrize(("seed", "at_once"), [(0, 1), (1, 1), (2, 4)])
def test_it_learns_a_synthetic_architecture_and_beats_random(seed: int, at_once: int) -> None:
    """With the specification's settings, in 300 trials; a random trial's loss has sd of about 3."""
    learnt = [o.loss or 0.0 for o in run(PPOTuner(NAS, PPOArgs(), seed), 300, seed, at_once)]
    drawn = [o.loss or 0.0 for o in run(RandomTuner(NAS, HyperoptArgs(), seed), 300, seed)]
    assert np.mean(learnt[-60:]) < np.mean(drawn) - 1.2 * np.std(drawn)
    assert np.sort(learnt)[:10].mean() < np.sort(drawn)[:10].mean()


def test_what_is_remembered_changes_nothing() -> None:
    history = run(PPOTuner(NAS, PPOArgs(trials_per_update=6), 3), 40, 3)
    remembered = PPOTuner(NAS, PPOArgs(trials_per_update=6), 3).propose(history, 4)
    assert {s.note["policy"] for s in remembered.suggestions} == {6}
    ppo._trained = ppo._Trained(512)
    assert PPOTuner(NAS, PPOArgs(trials_per_update=6), 3).propose(history, 4) == remembered
    ppo._trained = ppo._Trained(1)
    assert PPOTuner(NAS, PPOArgs(trials_per_update=6), 3).propose(history, 4) == remembered
    ppo._trained = ppo._Trained(512)


def test_histories_that_differ_in_one_loss_teach_different_policies() -> None:
    """-1 and -2 have the same hash in Python: a memory keyed by it would take one for another."""
    tuner = PPOTuner(NAS, PPOArgs(trials_per_update=4, lr=0.05), 0)
    history = run(tuner, 8, 0)

    def with_losses(*losses: float) -> list[Observation]:
        return [replace(o, loss=loss) for o, loss in zip(history, [*losses, *losses], strict=True)]

    proposals = {
        str(tuner.propose(with_losses(*losses), 3))
        for losses in ((-1.0, -2.0, 0.0, 3.0), (-2.0, -1.0, 0.0, 3.0))
    }
    assert len(proposals) == 2


def test_a_batch_is_learnt_from_when_its_last_trial_has_ended() -> None:
    tuner = PPOTuner(NAS, PPOArgs(trials_per_update=4), 0)
    history = run(tuner, 8, 0)
    waits = [
        replace(o, outcome=Outcome.RUNNING, loss=None) if o.number == 1 else o for o in history
    ]
    (suggestion,) = tuner.propose(waits, 1).suggestions
    assert suggestion.note == {"batch": 2, "policy": 0}, "it does not wait either"
    (suggestion,) = tuner.propose(history, 1).suggestions
    assert suggestion.note == {"batch": 2, "policy": 2}
    failed = [
        replace(o, outcome=Outcome.FAILED, loss=None) if o.number == 1 else o for o in history
    ]
    (suggestion,) = tuner.propose(failed, 1).suggestions
    assert suggestion.note == {"batch": 2, "policy": 2}

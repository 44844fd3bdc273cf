"""PPO: a policy that builds an architecture choice by choice and learns from how well it did.

Schulman et al., "Proximal Policy Optimization Algorithms", arXiv:1707.06347, in the way NNI applies
OpenAI's ppo2 to architecture search: an episode is one trial, its steps are the layer and input
choices in order, its reward comes at the end. The network is ``numerics.actor_critic``: it sees
which choice is due and all that was chosen before. A choice of several inputs is as many steps,
picked in order of place, with "no more" as an action once enough are chosen.

Every ``trials_per_update`` trials make one update. Nothing is kept but the notes ``{"batch",
"policy"}``: the policy is trained again from the history, batch after batch, whenever asked
(remembered per process, see ``_Trained``). A batch is learnt from when all its trials have ended;
meanwhile proposals are drawn from the newest policy there is, and the ratio of the objective makes
up for its age, so nobody waits. Failed trials are left out.

Differs from NNI: pure numpy instead of TensorFlow 1 and gym; rewards are the ranks of the losses
among all so far, from -1 to 1, so that neither scale nor outliers matter; what was tried before is
not proposed again while the policy, asked a few times, has something new. Cost per proposal:
a few milliseconds, and once per batch some 20 gradient steps.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from threading import Lock
from typing import Any

import numpy as np

from experiments.algorithms.arguments import PPOArgs
from experiments.algorithms.base import Observation, Outcome, Proposal, Suggestion, Tuner
from experiments.algorithms.numerics.actor_critic import (
    Bools,
    Coefficients,
    Floats,
    Ints,
    Learner,
    Rows,
    Weights,
    advantages,
    evaluate,
)
from experiments.algorithms.one_by_one import Tried, derive_rng
from experiments.algorithms.space.layers import InputChoice, LayerChoice
from experiments.algorithms.space.parameters import Parameter
from experiments.algorithms.space.search_space import SearchSpace

N_DRAWS = (4, 32)  # architectures drawn at once; the first that was not tried is taken
_INIT, _DRAW, _UPDATE, _UNTRIED = range(4)  # purposes of random numbers, part of their seeds


@dataclass(frozen=True)
class _Step:
    """One decision: which candidate, or for later inputs of an input choice, none any more."""

    name: str
    pick: int  # how many inputs were picked before in the same choice
    n_candidates: int
    least: int  # of the choice; 1 and 1 for a layer
    most: int

    @property
    def stop(self) -> int:
        """The action that ends a choice of inputs."""
        return self.n_candidates


class Episodes:
    """The space as steps, and trials as sequences of actions."""

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.steps = [step for name, p in space.parameters.items() for step in _steps(name, p)]
        counted = Counter(step.name for step in self.steps)
        # of every parameter: how many steps it takes, and the action that stands for "no more"
        self._shapes = {step.name: (counted[step.name], step.stop) for step in self.steps}
        self.n_actions = max((step.n_candidates + 1 for step in self.steps), default=1)
        self.n_features = len(self.steps) * (1 + self.n_actions)

    def mask(self, number: int, actions: Ints) -> Bools:
        """Return which actions step ``number`` allows after ``actions``, # (e, a)."""
        step = self.steps[number]
        n_episodes = len(actions)
        allowed = np.zeros((n_episodes, self.n_actions), dtype=bool)
        places = np.arange(step.n_candidates)
        if step.pick == 0:
            last, is_over = np.full(n_episodes, -1), np.zeros(n_episodes, dtype=bool)
        else:
            last = actions[:, number - 1]
            is_over = last == step.stop
        n_wanted = max(step.least - step.pick, 1)  # including this one: so many must still fit
        fits = (places[None, :] > last[:, None]) & (places <= step.n_candidates - n_wanted)[None, :]
        allowed[:, : step.n_candidates] = fits & ~is_over[:, None]
        if step.pick >= step.least:
            allowed[:, step.stop] = True
        return allowed

    def features(self, number: int, actions: Ints) -> Floats:
        """Return what the network sees at step ``number``: the step and all actions before it."""
        n_episodes, n_steps = len(actions), len(self.steps)
        features = np.zeros((n_episodes, n_steps + n_steps * self.n_actions))
        features[:, number] = 1.0
        for before in range(number):
            column = n_steps + before * self.n_actions + actions[:, before]
            features[np.arange(n_episodes), column] = 1.0
        return features

    def draw(self, weights: Weights, n_episodes: int, rng: np.random.Generator) -> Ints:
        """Draw sequences of actions from the policy, # (e, t)."""
        actions = np.zeros((n_episodes, len(self.steps)), dtype=np.int64)
        for number in range(len(self.steps)):
            features, mask = self.features(number, actions), self.mask(number, actions)
            log_probs, _ = evaluate(weights, features, mask)
            noise = rng.gumbel(size=log_probs.shape)
            actions[:, number] = np.argmax(np.where(mask, log_probs + noise, -np.inf), axis=1)
        return actions

    def decode(self, actions: Ints) -> dict[str, Any]:
        """Return the configuration of one sequence of actions."""
        places: dict[str, list[int]] = {name: [] for name in self.space.parameters}
        for step, action in zip(self.steps, actions.tolist(), strict=True):
            if action != step.stop:
                places[step.name].append(action)
        values = {}
        for name, parameter in self.space.parameters.items():
            if isinstance(parameter, InputChoice):
                values[name] = parameter.value(places[name])
            else:
                values[name] = parameter.at(places[name][0])
        return values

    def encode(self, params: Mapping[str, Any]) -> tuple[int, ...] | None:
        """Return the actions of a configuration, None if it lies outside the space."""
        return self.actions(params) if self.space.holds(params) else None

    def actions(self, params: Mapping[str, Any]) -> tuple[int, ...]:
        """Return the actions of a configuration inside the space."""
        actions: list[int] = []
        for name, (n_steps, stop) in self._shapes.items():
            places = params[name]["_idx"]
            if isinstance(places, list):
                actions += places
                actions += [stop] * (n_steps - len(places))
            else:
                actions.append(places)
        return tuple(actions)


def _steps(name: str, parameter: Parameter) -> list[_Step]:
    if isinstance(parameter, LayerChoice):
        return [_Step(name, 0, parameter.n_categories, 1, 1)]
    if isinstance(parameter, InputChoice):
        least, most = parameter.least, parameter.most
        n_candidates = len(parameter.candidates)
        return [_Step(name, pick, n_candidates, least, most) for pick in range(most)]
    raise ValueError(f"PPOTuner cannot search {parameter.type}, only layers and inputs.")


@dataclass(frozen=True)
class _Result:
    """A trial to learn from."""

    actions: tuple[int, ...]
    policy: int  # number of the policy that drew it
    loss: float


class PPOTuner(Tuner[PPOArgs]):
    """Draws from the policy that the history has taught."""

    def propose(self, history: Sequence[Observation], count: int) -> Proposal:
        episodes = Episodes(self.space)
        configurations = [o.parameters for o in history]
        numbers = self.space.indices_of(configurations)
        drawn = [
            (o, number is not None)
            for o, number in zip(history, numbers, strict=True)
            if _is_count(o.note.get("batch"))
        ]
        batches = self._ended_batches(drawn, episodes)
        policies = _policies(self, episodes, batches)
        tried = Tried(self.space, configurations, numbers)
        n_seen = len(history)
        suggestions: list[Suggestion] = []
        for _ in range(count):
            params, origin = self._draw(episodes, policies, tried, n_seen)
            batch = (len(drawn) + len(suggestions)) // self.args.trials_per_update
            note = {"batch": batch, "policy": len(policies) - 1}
            suggestions.append(Suggestion(params, note, origin))
            tried.add(params)
            n_seen += 1
        return Proposal(tuple(suggestions))

    def _draw(
        self, episodes: Episodes, policies: Sequence[Learner], tried: Tried, n_seen: int
    ) -> tuple[dict[str, Any], str]:
        origin = "model" if len(policies) > 1 else "start-up"
        rng = derive_rng(self.seed, _DRAW, n_seen)
        for n_draws in N_DRAWS:
            for actions in episodes.draw(policies[-1].weights, n_draws, rng):
                params = episodes.decode(actions)
                if tried.is_complete or not tried.holds(params):
                    return params, origin
        untried = tried.pick_untried(derive_rng(self.seed, _UNTRIED, n_seen))
        return (params, origin) if untried is None else (untried, "random")

    def _ended_batches(
        self, drawn: Sequence[tuple[Observation, bool]], episodes: Episodes
    ) -> list[tuple[_Result, ...]]:
        """Return the batches whose trials, and all before them, have ended.

        Args:
            drawn: trials that the policy drew, and whether they lie inside the space.
            episodes: the space.
        """
        size = self.args.trials_per_update
        is_running = [o.outcome is Outcome.RUNNING for o, _ in drawn]
        n_ended = is_running.index(True) if any(is_running) else len(drawn)
        return [
            tuple(
                _Result(episodes.actions(o.parameters), int(o.note.get("policy", 0)), o.loss)
                for o, is_inside in drawn[begin : begin + size]
                if is_inside and o.loss is not None
            )
            for begin in range(0, n_ended - size + 1, size)
        ]


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


# -- training ------------------------------------------------------------------------------------


class _Trained:
    """Policies by all that they were learnt from; forgetting one costs time, never correctness."""

    def __init__(self, n_kept: int) -> None:
        self._n_kept = n_kept
        self._learners: OrderedDict[str, Learner] = OrderedDict()
        self._lock = Lock()

    def get(self, key: str) -> Learner | None:
        with self._lock:
            if key in self._learners:
                self._learners.move_to_end(key)
            return self._learners.get(key)

    def put(self, key: str, learner: Learner) -> None:
        with self._lock:
            self._learners[key] = learner
            while len(self._learners) > self._n_kept:
                self._learners.popitem(last=False)


_trained = _Trained(512)


def _policies(
    tuner: PPOTuner, episodes: Episodes, batches: Sequence[tuple[_Result, ...]]
) -> list[Learner]:
    """Return the policy after each update, the untrained one first."""
    key = _digest(tuner.space.as_json(), tuner.args, tuner.seed)
    learner = _trained.get(key)
    if learner is None:
        rng = derive_rng(tuner.seed, _INIT)
        learner = Learner.fresh(episodes.n_features, episodes.n_actions, rng)
        _trained.put(key, learner)
    policies = [learner]
    losses: list[float] = []
    for number, batch in enumerate(batches):
        losses += [result.loss for result in batch]
        key = _digest(key, [(each.actions, each.policy, each.loss) for each in batch])
        known = _trained.get(key)
        if known is None:
            known = _updated(tuner, episodes, policies, batch, losses, number)
            _trained.put(key, known)
        policies.append(known)
    return policies


def _digest(*parts: object) -> str:
    return sha256(repr(parts).encode()).hexdigest()


def _updated(
    tuner: PPOTuner,
    episodes: Episodes,
    policies: Sequence[Learner],
    batch: Sequence[_Result],
    losses: Sequence[float],
    number: int,
) -> Learner:
    """Return the newest policy after learning from one more batch."""
    if not batch or not episodes.steps:
        return policies[-1]
    args = tuner.args
    coefficients = Coefficients(
        epochs=args.epochs_per_update,
        minibatch_size=args.minibatch_size,
        ent_coef=args.ent_coef,
        lr=args.lr,
        vf_coef=args.vf_coef,
        max_grad_norm=args.max_grad_norm,
        gamma=args.gamma,
        lam=args.lam,
        cliprange=args.cliprange,
    )
    rewards = ranks([result.loss for result in batch], losses)
    rows, episode = _rows(episodes, policies, batch, rewards, coefficients)
    rng = derive_rng(tuner.seed, _UPDATE, number)
    return policies[-1].update(rows, episode, coefficients, rng)


def _rows(
    episodes: Episodes,
    policies: Sequence[Learner],
    batch: Sequence[_Result],
    rewards: Floats,
    coefficients: Coefficients,
) -> tuple[Rows, Ints]:
    """Return the steps of a batch that were decisions, and which trial each belongs to."""
    actions = np.array([result.actions for result in batch], dtype=np.int64)  # (e, t)
    n_episodes, n_steps = actions.shape
    features = np.stack([episodes.features(n, actions) for n in range(n_steps)], axis=1)
    mask = np.stack([episodes.mask(n, actions) for n in range(n_steps)], axis=1)
    flat_features = features.reshape(n_episodes * n_steps, -1)
    flat_mask = mask.reshape(n_episodes * n_steps, -1)
    drawn_by = np.array([min(result.policy, len(policies) - 1) for result in batch])
    log_probs = np.zeros((n_episodes, n_steps))
    values = np.zeros((n_episodes, n_steps))
    for policy in np.unique(drawn_by):
        all_log_probs, all_values = evaluate(policies[policy].weights, flat_features, flat_mask)
        chosen = all_log_probs[np.arange(len(all_log_probs)), actions.ravel()]
        mine = drawn_by == policy
        log_probs[mine] = chosen.reshape(n_episodes, n_steps)[mine]
        values[mine] = all_values.reshape(n_episodes, n_steps)[mine]
    all_rewards = np.zeros((n_episodes, n_steps))
    all_rewards[:, -1] = rewards
    gains = advantages(all_rewards, values, coefficients.gamma, coefficients.lam)
    rows = Rows(
        features=flat_features,
        mask=flat_mask,
        actions=actions.ravel(),
        old_log_probs=log_probs.ravel(),
        old_values=values.ravel(),
        advantages=gains.ravel(),
        returns=(gains + values).ravel(),
    )
    is_decision = flat_mask.sum(axis=1) > 1
    episode = np.repeat(np.arange(n_episodes), n_steps)
    return rows.take(is_decision), episode[is_decision]


def ranks(losses: Sequence[float], among: Sequence[float]) -> Floats:
    """Return each loss's place among all: 1 for the best, -1 for the worst, equal ones equal."""
    ordered = np.sort(np.array(among))
    below = np.searchsorted(ordered, losses, side="left")
    up_to = np.searchsorted(ordered, losses, side="right")
    share = (below + up_to) / (2.0 * len(ordered))
    found: Floats = 1.0 - 2.0 * share
    return found

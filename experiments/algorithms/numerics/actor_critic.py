"""Proximal policy optimisation for short sequences of masked choices, in plain numpy.

Schulman et al., "Proximal Policy Optimization Algorithms", arXiv:1707.06347, with the details of
OpenAI's ppo2: clipped objective and clipped value loss, entropy bonus, advantages standardised per
minibatch, one norm for all gradients, Adam. Advantages are those of Schulman et al.,
"High-Dimensional Continuous Control Using Generalized Advantage Estimation", arXiv:1506.02438.

One hidden layer is shared by the policy (the actor) and the value function (the critic). Gradients
are written out; the tests compare them with finite differences.

Symbols: b rows (a row is one step of one episode), f features, h hidden units, a actions, e
episodes, t steps. Rows whose mask leaves one action are no decisions: the policy learns nothing
there, and neither does the critic.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

N_HIDDEN = 64
GAIN = 20.0  # logits per unit of the policy's output
_NEVER = -1e30  # logit of an action that is masked out


@dataclass(frozen=True)
class Weights:
    """Weights of the network; an update makes new ones."""

    hidden: Floats  # (f, h)
    hidden_bias: Floats  # (h,)
    policy: Floats  # (h, a)
    policy_bias: Floats  # (a,)
    value: Floats  # (h,)
    value_bias: Floats  # (1,)

    def arrays(self) -> list[Floats]:
        return [
            self.hidden, self.hidden_bias, self.policy, self.policy_bias, self.value,
            self.value_bias,
        ]  # fmt: skip


@dataclass(frozen=True)
class Coefficients:
    """The settings of one update, named as in ppo2."""

    epochs: int
    minibatch_size: int  # episodes
    ent_coef: float
    lr: float
    vf_coef: float
    max_grad_norm: float
    gamma: float
    lam: float
    cliprange: float


@dataclass(frozen=True)
class Rows:
    """Steps to learn from."""

    features: Floats  # (b, f)
    mask: Bools  # (b, a), True where an action is allowed
    actions: Ints  # (b,)
    old_log_probs: Floats  # (b,)
    old_values: Floats  # (b,)
    advantages: Floats  # (b,)
    returns: Floats  # (b,)

    def take(self, which: Ints | Bools) -> Rows:
        return Rows(*(getattr(self, name)[which] for name in self.__dataclass_fields__))


def fresh_weights(n_features: int, n_actions: int, rng: np.random.Generator) -> Weights:
    """Return weights of a policy that is nearly even and a value function near zero."""

    def scaled(rows: int, columns: int, gain: float) -> Floats:
        drawn = rng.standard_normal((rows, columns))
        found: Floats = gain * drawn / np.linalg.norm(drawn, axis=0, keepdims=True)
        return found

    return Weights(
        hidden=scaled(n_features, N_HIDDEN, np.sqrt(2.0)),
        hidden_bias=np.zeros(N_HIDDEN),
        policy=scaled(N_HIDDEN, n_actions, 0.01),
        policy_bias=np.zeros(n_actions),
        value=scaled(N_HIDDEN, 1, 0.1)[:, 0],
        value_bias=np.zeros(1),
    )


def evaluate(weights: Weights, features: Floats, mask: Bools) -> tuple[Floats, Floats]:
    """Return the log probability of each action and the value of each row: (b, a) and (b,)."""
    hidden = np.tanh(features @ weights.hidden + weights.hidden_bias)
    return _log_softmax(hidden, weights, mask), hidden @ weights.value + weights.value_bias[0]


def _log_softmax(hidden: Floats, weights: Weights, mask: Bools) -> Floats:
    logits = np.where(mask, GAIN * (hidden @ weights.policy + weights.policy_bias), _NEVER)
    logits -= logits.max(axis=1, keepdims=True)
    log_probs: Floats = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return log_probs


def advantages(rewards: Floats, values: Floats, gamma: float, lam: float) -> Floats:
    """Return generalised advantages of whole episodes: sum of (gamma lam)^k delta_{t+k}.

    Args:
        rewards: (e, t).
        values: of the states before each step, (e, t); after the last one there is nothing.
    """
    found = np.zeros_like(rewards)
    following, next_values = np.zeros(len(rewards)), np.zeros(len(rewards))
    for step in range(rewards.shape[1] - 1, -1, -1):
        delta = rewards[:, step] + gamma * next_values - values[:, step]
        following = delta + gamma * lam * following
        found[:, step], next_values = following, values[:, step]
    return found


def loss_and_gradients(
    weights: Weights, rows: Rows, coefficients: Coefficients
) -> tuple[float, Weights]:
    """Return ppo2's loss over the rows and its gradient; advantages are taken as they come."""
    n_rows = len(rows.actions)
    index = np.arange(n_rows)
    hidden = np.tanh(rows.features @ weights.hidden + weights.hidden_bias)
    log_probs = _log_softmax(hidden, weights, rows.mask)
    probs = np.exp(log_probs)
    clip = coefficients.cliprange

    ratio = np.exp(log_probs[index, rows.actions] - rows.old_log_probs)
    clipped = np.clip(ratio, 1.0 - clip, 1.0 + clip)
    free, held = -rows.advantages * ratio, -rows.advantages * clipped
    policy_loss = np.maximum(free, held).mean()

    safe_logs = np.where(rows.mask, log_probs, 0.0)
    entropies = -(probs * safe_logs).sum(axis=1)

    values = hidden @ weights.value + weights.value_bias[0]
    moved = values - rows.old_values
    near = rows.old_values + np.clip(moved, -clip, clip)
    squares, near_squares = (values - rows.returns) ** 2, (near - rows.returns) ** 2
    value_loss = 0.5 * np.maximum(squares, near_squares).mean()

    loss = (
        policy_loss - coefficients.ent_coef * entropies.mean() + coefficients.vf_coef * value_loss
    )

    # d loss / d logits: through the ratio where it is not held by the clip, and the entropy
    d_log_prob = np.where(free >= held, free, 0.0) / n_rows  # (b,)
    d_logits = -probs * d_log_prob[:, None]
    d_logits[index, rows.actions] += d_log_prob
    d_logits += (
        coefficients.ent_coef / n_rows * probs * (safe_logs + entropies[:, None])
    ) * rows.mask
    # the clipped square is the larger one only beyond the clip, where it does not move
    d_values = np.where(squares >= near_squares, values - rows.returns, 0.0)
    d_values *= coefficients.vf_coef / n_rows
    d_logits *= GAIN
    d_hidden = d_logits @ weights.policy.T + d_values[:, None] * weights.value
    d_inner = d_hidden * (1.0 - hidden**2)
    gradient = Weights(
        hidden=rows.features.T @ d_inner,
        hidden_bias=d_inner.sum(axis=0),
        policy=hidden.T @ d_logits,
        policy_bias=d_logits.sum(axis=0),
        value=hidden.T @ d_values,
        value_bias=np.array([d_values.sum()]),
    )
    return float(loss), gradient


@dataclass(frozen=True)
class Learner:
    """Weights with the state of Adam."""

    weights: Weights
    first: tuple[Floats, ...]
    second: tuple[Floats, ...]
    n_steps: int = 0

    @classmethod
    def fresh(cls, n_features: int, n_actions: int, rng: np.random.Generator) -> Learner:
        weights = fresh_weights(n_features, n_actions, rng)
        zeros = tuple(np.zeros_like(array) for array in weights.arrays())
        return cls(weights, zeros, zeros)

    def step(self, gradient: Weights, lr: float, max_norm: float) -> Learner:
        """Return the learner after one step of Adam, the gradient cut to ``max_norm``."""
        parts = gradient.arrays()
        norm = float(np.sqrt(sum(float((part**2).sum()) for part in parts)))
        scale = min(1.0, max_norm / (norm + 1e-6))
        n_steps = self.n_steps + 1
        rate = lr * np.sqrt(1.0 - 0.999**n_steps) / (1.0 - 0.9**n_steps)
        first = tuple(0.9 * m + 0.1 * scale * g for m, g in zip(self.first, parts, strict=True))
        second = tuple(
            0.999 * v + 0.001 * (scale * g) ** 2 for v, g in zip(self.second, parts, strict=True)
        )
        moved = [
            w - rate * m / (np.sqrt(v) + 1e-5)
            for w, m, v in zip(self.weights.arrays(), first, second, strict=True)
        ]
        return Learner(Weights(*moved), first, second, n_steps)

    def update(
        self, rows: Rows, episode: Ints, coefficients: Coefficients, rng: np.random.Generator
    ) -> Learner:
        """Return the learner after some passes over the rows, a few episodes at a time.

        Args:
            episode: number of each row's episode, from 0 without gaps. # (b,)
        """
        learner = self
        n_episodes = int(episode.max()) + 1 if len(episode) else 0
        for _ in range(coefficients.epochs):
            order = rng.permutation(n_episodes)
            for begin in range(0, n_episodes, coefficients.minibatch_size):
                chosen = order[begin : begin + coefficients.minibatch_size]
                batch = rows.take(np.isin(episode, chosen))
                spread = batch.advantages.std()
                batch = replace(
                    batch, advantages=(batch.advantages - batch.advantages.mean()) / (spread + 1e-8)
                )
                _, gradient = loss_and_gradients(learner.weights, batch, coefficients)
                learner = learner.step(gradient, coefficients.lr, coefficients.max_grad_norm)
        return learner

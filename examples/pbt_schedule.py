"""Train a small neural network for an epoch more, from the checkpoint that it is told to load.

A trial of pbt-schedule.yaml, in plain numpy. Population based training makes of many such trials
one long training whose learning rate changes on the way. Run by hand it trains once from scratch.
"""

from __future__ import annotations

import os
from pathlib import Path

import autotune_trial
import numpy as np
from digits_mlp import drawn_digits

EPOCHS = 1
BATCH = 4
HIDDEN = 32
DEFAULTS = {"learning_rate": 0.1, "load_checkpoint_dir": "", "save_checkpoint_dir": ""}


def data() -> tuple[np.ndarray, ...]:
    """Digits with a good deal of noise, half of them to test on."""
    rng = np.random.default_rng(0)
    images, labels = drawn_digits(1800)
    images = (images + rng.normal(0.0, 4.0, images.shape) - 4.0) / 6.0
    order = rng.permutation(len(labels))
    train, test = order[:900], order[900:]
    return images[train], labels[train], images[test], labels[test]


def load(directory: str) -> dict[str, np.ndarray]:
    """The saved state, or a fresh one if there is none."""
    file = Path(directory, "state.npz")
    if directory and file.exists():
        with np.load(file) as saved:
            return dict(saved)
    rng = np.random.default_rng(1)
    state = {
        "w1": rng.normal(0, 0.1, (64, HIDDEN)),
        "b1": np.zeros(HIDDEN),
        "w2": rng.normal(0, 0.1, (HIDDEN, 10)),
        "b2": np.zeros(10),
    }
    return (
        state
        | {f"v_{name}": np.zeros_like(w) for name, w in state.items()}
        | {"epoch": np.array(0)}
    )


def save(directory: str, state: dict[str, np.ndarray]) -> None:
    """Write the state whole or not at all: the trial may be killed at any time."""
    if not directory:
        return
    Path(directory).mkdir(parents=True, exist_ok=True)
    partial = Path(directory, "partial.npz")
    np.savez(partial, **state)
    os.replace(partial, Path(directory, "state.npz"))


def log_probabilities(state: dict[str, np.ndarray], x: np.ndarray) -> tuple[np.ndarray, ...]:
    hidden = np.maximum(x @ state["w1"] + state["b1"], 0.0)
    scores = hidden @ state["w2"] + state["b2"]
    scores -= scores.max(axis=1, keepdims=True)
    return hidden, scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))


def train_epoch(
    state: dict[str, np.ndarray], x: np.ndarray, y: np.ndarray, learning_rate: float
) -> None:
    """One pass of stochastic gradient descent with momentum."""
    order = np.random.default_rng(int(state["epoch"])).permutation(len(y))
    for start in range(0, len(y), BATCH):
        rows = order[start : start + BATCH]
        hidden, logs = log_probabilities(state, x[rows])
        error = np.exp(logs)
        error[np.arange(len(rows)), y[rows]] -= 1.0
        error /= len(rows)
        back = (error @ state["w2"].T) * (hidden > 0)
        gradients = {
            "w2": hidden.T @ error,
            "b2": error.sum(axis=0),
            "w1": x[rows].T @ back,
            "b1": back.sum(axis=0),
        }
        for name, gradient in gradients.items():
            gradient = np.clip(gradient + 1e-2 * state[name], -1.0, 1.0)
            state[f"v_{name}"] = 0.9 * state[f"v_{name}"] - learning_rate * gradient
            state[name] = state[name] + state[f"v_{name}"]
    state["epoch"] = state["epoch"] + 1


def main() -> None:
    parameters = {**DEFAULTS, **autotune_trial.get_parameters()}
    x_train, y_train, x_test, y_test = data()
    state = load(parameters["load_checkpoint_dir"])
    loss = float("inf")
    for _ in range(EPOCHS):
        train_epoch(state, x_train, y_train, parameters["learning_rate"])
        _, logs = log_probabilities(state, x_test)
        loss = float(-logs[np.arange(len(y_test)), y_test].mean())
        accuracy = float((logs.argmax(axis=1) == y_test).mean())
        epoch = int(state["epoch"])
        print(f"epoch {epoch}: loss {loss:.4f}, accuracy {accuracy:.4f}", flush=True)
        autotune_trial.report(loss, step=epoch, accuracy=accuracy)
    save(parameters["save_checkpoint_dir"], state)
    autotune_trial.report_final(loss)


if __name__ == "__main__":
    main()

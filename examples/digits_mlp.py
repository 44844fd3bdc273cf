"""Train a small neural network on drawn digits, an epoch at a time; needs numpy alone.

A trial of digits-mlp.yaml; run by hand it trains once with the defaults below.
"""

from __future__ import annotations

import itertools

import autotune_trial
import numpy as np

EPOCHS = 40
DEFAULTS = {"learning_rate": 0.001, "hidden": 32, "batch_size": 64, "alpha": 1e-4, "layers": 1}

# The pen's way for each digit, from (0, 0) at the upper left to (1, 1) at the lower right.
WAYS = (
    ((0.5, 0), (0.15, 0.25), (0.15, 0.75), (0.5, 1), (0.85, 0.75), (0.85, 0.25), (0.5, 0)),
    ((0.3, 0.2), (0.55, 0), (0.55, 1)),
    ((0.15, 0.25), (0.5, 0), (0.85, 0.25), (0.15, 1), (0.85, 1)),
    ((0.15, 0.1), (0.5, 0), (0.8, 0.2), (0.45, 0.48), (0.85, 0.75), (0.5, 1), (0.15, 0.9)),
    ((0.65, 1), (0.65, 0), (0.1, 0.65), (0.9, 0.65)),
    ((0.8, 0), (0.25, 0), (0.2, 0.45), (0.6, 0.4), (0.85, 0.7), (0.55, 1), (0.15, 0.9)),
    ((0.7, 0), (0.25, 0.4), (0.2, 0.8), (0.5, 1), (0.8, 0.75), (0.5, 0.5), (0.22, 0.7)),
    ((0.15, 0), (0.85, 0), (0.4, 1)),
    ((0.5, 0.48), (0.2, 0.22), (0.5, 0), (0.8, 0.22), (0.5, 0.48), (0.15, 0.75), (0.5, 1),
     (0.85, 0.75), (0.5, 0.48)),
    ((0.8, 0.3), (0.5, 0.5), (0.2, 0.25), (0.5, 0), (0.8, 0.25), (0.7, 1)),
)  # fmt: skip


def drawn_digits(n: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    """n pictures of 8 x 8 points from 0 to 16, (n, 64), and what each shows; always the same.

    Every one is written by an unsteady hand: turned, slanted, stretched, moved, thick or thin.
    """
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 10
    t = np.linspace(0.0, 1.0, 32)
    ways = np.empty((10, len(t), 2))
    for digit, way in enumerate(WAYS):
        corners = np.array(way) - 0.5
        far = np.concatenate([[0.0], np.linalg.norm(np.diff(corners, axis=0), axis=1).cumsum()])
        for axis in (0, 1):
            ways[digit, :, axis] = np.interp(t * far[-1], far, corners[:, axis])
    bent = np.eye(2) + rng.normal(0.0, 0.15, (n, 2, 2))
    moved = rng.normal(0.0, 0.06, (n, 1, 2))
    pens = ways[labels] @ bent + moved + rng.normal(0.0, 0.02, (n, len(t), 2))
    grid = (np.arange(8) + 0.5) / 8 - 0.5
    places = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(64, 1, 2) * 1.4
    thick = rng.uniform(0.06, 0.11, (n, 1))
    images = np.empty((n, 64))
    for i, pen in enumerate(pens):
        near = ((places - pen) ** 2).sum(axis=2).min(axis=1)
        images[i] = 16.0 * np.exp(-near / (2 * thick[i] ** 2))
    return images, labels


def data() -> tuple[np.ndarray, ...]:
    """What to train and what to test on, each point with mean 0 and deviation 1 over the former."""
    rng = np.random.default_rng(0)
    images, labels = drawn_digits()
    images = images + rng.normal(0.0, 3.0, images.shape)  # easy tasks have nothing to tune
    order = rng.permutation(len(labels))
    train, test = order[: len(order) * 3 // 5], order[len(order) * 3 // 5 :]
    images = (images - images[train].mean(axis=0)) / images[train].std(axis=0)
    return images[train], labels[train], images[test], labels[test]


class Network:
    """Layers of rectified linear units and a softmax, trained by Adam with weight decay."""

    def __init__(self, sizes: list[int]) -> None:
        rng = np.random.default_rng(0)
        self.weights = [
            rng.normal(0.0, np.sqrt(2.0 / m), (m, n)) for m, n in itertools.pairwise(sizes)
        ]
        self.biases = [np.zeros(n) for n in sizes[1:]]
        values = self.weights + self.biases
        self.moments = [(np.zeros_like(v), np.zeros_like(v)) for v in values]
        self.steps = 0

    def layers(self, x: np.ndarray) -> list[np.ndarray]:
        """The input, what each hidden layer gives, and the logarithms of the probabilities."""
        found = [x]
        for w, b in zip(self.weights[:-1], self.biases[:-1], strict=True):
            found.append(np.maximum(found[-1] @ w + b, 0.0))
        scores = found[-1] @ self.weights[-1] + self.biases[-1]
        scores -= scores.max(axis=1, keepdims=True)
        found.append(scores - np.log(np.exp(scores).sum(axis=1, keepdims=True)))
        return found

    def train(self, x: np.ndarray, y: np.ndarray, learning_rate: float, alpha: float) -> float:
        """One step on one batch; returns its mean loss before the step."""
        layers = self.layers(x)
        loss = -float(layers[-1][np.arange(len(y)), y].mean())
        error = np.exp(layers[-1])
        error[np.arange(len(y)), y] -= 1.0
        error /= len(y)
        of_weights, of_biases = [], []
        for i in reversed(range(len(self.weights))):
            of_weights.insert(0, layers[i].T @ error + alpha / len(y) * self.weights[i])
            of_biases.insert(0, error.sum(axis=0))
            error = (error @ self.weights[i].T) * (layers[i] > 0)
        self.steps += 1
        rate = learning_rate * np.sqrt(1 - 0.999**self.steps) / (1 - 0.9**self.steps)
        for value, gradient, (mean, square) in zip(
            self.weights + self.biases, of_weights + of_biases, self.moments, strict=True
        ):
            mean += 0.1 * (gradient - mean)
            square += 0.001 * (gradient**2 - square)
            value -= rate * mean / (np.sqrt(square) + 1e-8)
        return loss


def main() -> None:
    parameters = {**DEFAULTS, **autotune_trial.get_parameters()}
    x_train, y_train, x_test, y_test = data()
    network = Network([64, *[parameters["hidden"]] * parameters["layers"], 10])
    rng = np.random.default_rng(0)
    accuracy = 0.0
    for epoch in range(EPOCHS):
        order = rng.permutation(len(y_train))
        losses = [
            network.train(
                x_train[rows], y_train[rows], parameters["learning_rate"], parameters["alpha"]
            )
            for rows in np.split(
                order, range(parameters["batch_size"], len(order), parameters["batch_size"])
            )
        ]
        loss = float(np.mean(losses))
        accuracy = float((network.layers(x_test)[-1].argmax(axis=1) == y_test).mean())
        print(f"epoch {epoch}: loss {loss:.4f}, accuracy {accuracy:.4f}", flush=True)
        autotune_trial.report(accuracy, step=epoch, loss=loss)
    autotune_trial.report_final(accuracy)


if __name__ == "__main__":
    main()

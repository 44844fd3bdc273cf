"""Train a small neural network on scikit-learn's handwritten digits, an epoch at a time.

A trial of digits-mlp.yaml; run by hand it trains once with the defaults below.
"""

from __future__ import annotations

import autotune_trial
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

EPOCHS = 40
DEFAULTS = {"learning_rate": 0.001, "hidden": 32, "batch_size": 64, "alpha": 1e-4, "layers": 1}


def main() -> None:
    parameters = {**DEFAULTS, **autotune_trial.get_parameters()}
    images, labels = load_digits(return_X_y=True)
    # Half of the data and a good deal of noise: easy tasks have nothing to tune.
    noise = np.random.default_rng(0).normal(0.0, 4.0, images.shape)
    x_train, x_test, y_train, y_test = train_test_split(
        images + noise, labels, test_size=0.4, random_state=0, stratify=labels
    )
    scaler = StandardScaler().fit(x_train)
    x_train, x_test = scaler.transform(x_train), scaler.transform(x_test)
    model = MLPClassifier(
        hidden_layer_sizes=(parameters["hidden"],) * parameters["layers"],
        learning_rate_init=parameters["learning_rate"],
        batch_size=parameters["batch_size"],
        alpha=parameters["alpha"],
        random_state=0,
    )
    classes = np.unique(labels)
    accuracy = 0.0
    for epoch in range(EPOCHS):
        model.partial_fit(x_train, y_train, classes=classes)
        accuracy = model.score(x_test, y_test)
        print(f"epoch {epoch}: loss {model.loss_:.4f}, accuracy {accuracy:.4f}", flush=True)
        autotune_trial.report(accuracy, step=epoch, loss=model.loss_)
    autotune_trial.report_final(accuracy)


if __name__ == "__main__":
    main()

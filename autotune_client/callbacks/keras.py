"""Keras: ``model.fit(…, callbacks=[AutoTune("val_loss")])`` reports each epoch.

Keras 3 on any backend, and ``tf.keras``.
"""

from __future__ import annotations

from typing import Any

from autotune_client.trial import Trial, is_first

try:
    from keras.callbacks import Callback
except ImportError:
    from tensorflow.keras.callbacks import Callback


class AutoTune(Callback):  # type: ignore[misc]
    """Report the logs of each epoch; stop after the epoch in which AutoTune says so.

    Args:
        metric: the value that decides, by its name in the logs: val_loss, val_accuracy.
        final: report the last one as the trial's result when the script ends, unless it does.
    """

    def __init__(self, metric: str = "val_loss", final: bool = True) -> None:
        super().__init__()
        self.trial = Trial(metric, final)
        self._is_first = is_first()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self._is_first:
            self.trial.report(logs or {}, epoch)
        if self.trial.should_stop():
            self.model.stop_training = True

"""An experiment as W&B's offline runs in a directory: each attempt of a trial is a run.

Called by ``passing``. Pure: no Django, and no package of W&B's. A run is a folder with one file
that only grows, so ``wandb sync`` takes it afterwards, and ``wandb beta sync --live`` while it is
written. How long each file is, and how many rows it has, is kept with the cursor: what was written
and never kept is cut off first.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from experiments.mirrors import record_log
from experiments.mirrors.batch import Batch, Sent, reports, spelled, title
from experiments.mirrors.protobuf import moment, part, text, whole
from experiments.training.local.wandb_files import FILE_HEAD

PRODUCER, LEAST_READER = "0.19.0", "0.11.0"  # versions of W&B: what this is like, who can read it
STEP = "step"  # what the curves are drawn over: W&B's own step counts rows
_EXIT_CODES = {"SUCCEEDED": 0, "EARLY_STOPPED": 0, "CANCELED": 255}  # as W&B tells killed runs


class WandbReceiver(record_log.RunFiles):
    """One directory, as W&B's ``./wandb``."""

    tracker, prefix = "W&B", "offline-run-"

    def _append(self, batch: Batch, trial: Sent, length: int, rows: int) -> list[int]:
        """The run's records; return how long its file is then, and how many rows it has."""
        run, folder = self._place(trial)
        file = folder / f"run-{run}.wandb"
        records = [] if length and file.exists() else list(_begun(batch, trial, run))
        names: dict[str, float] = {}
        for number, values in reports(trial):
            own = {"_step": rows, "_timestamp": number.time}
            own["_runtime"] = max(number.time - trial.started, 0.0)
            records += (_metric(name) for name in values if name not in names)
            names |= values
            step = int(number.step) if number.step.is_integer() else number.step
            records.append(_row(rows, {STEP: step} | values | own))
            rows += 1
        if names:
            records.append(
                part(3, b"".join(_item(1, name, value) for name, value in names.items()))
            )
        if trial.is_ended:
            records.append(_ended(trial))
        return [record_log.append(file, FILE_HEAD, records, length), rows]


def _begun(batch: Batch, trial: Sent, run: str) -> Iterator[bytes]:
    yield part(21, part(1, text(1, PRODUCER) + text(2, LEAST_READER)))
    config = b"".join(_item(1, name, value) for name, value in trial.parameters.items())
    yield part(
        17,
        text(1, run)
        + text(3, batch.name)
        + part(4, config)
        + text(6, f"{batch.name}-{batch.experiment_id}")
        + text(8, title(trial))
        + moment(17, trial.started),
    )
    yield part(12, text(1, STEP) + part(6, whole(2, 1)))


def _metric(name: str) -> bytes:
    """That it is drawn over the steps of the reports."""
    return part(12, text(1, name) + text(4, STEP) + part(6, whole(1, 1) + whole(3, 1)))


def _row(step: int, values: Mapping[str, float]) -> bytes:
    items = b"".join(_item(1, name, value) for name, value in values.items())
    return part(2, items + part(2, whole(1, step)))


def _ended(trial: Sent) -> bytes:
    seconds = max((trial.finished or trial.started) - trial.started, 0.0)
    return part(18, whole(1, _EXIT_CODES.get(trial.state, 1)) + whole(2, int(seconds)))


def _item(field: int, name: str, value: Any) -> bytes:
    plain = spelled(value) if isinstance(value, float) else value
    return part(field, text(2, name) + text(16, json.dumps(plain)))

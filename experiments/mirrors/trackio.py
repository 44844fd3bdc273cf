"""An experiment in Trackio: a project of its directory, with a run for each attempt of a trial.

Called by ``passing``. Pure: no Django, and no package of Trackio's. What is new lies as a file of
JSON lines in Trackio's inbox, which its dashboard takes in when it starts, and as it runs. Each
line has an id by which Trackio takes it once, however often it comes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from experiments.mirrors.batch import Batch, NotMirrored, Sent, reports, spelled, title

TRIES = 3  # Trackio removes an inbox that it has emptied, maybe just before a file is put there
_RESERVED = "registry-"  # names of projects that begin so are something else to Trackio


class TrackioReceiver:
    """One directory, Trackio's ``TRACKIO_DIR``."""

    def __init__(self, directory: str) -> None:
        self._inbox = Path(directory) / "inbox"

    def send(self, batch: Batch, state: dict[str, Any]) -> None:
        """As ``Receiver`` says."""
        lines = [json.dumps(line) for trial in batch.trials for line in _lines(batch, trial)]
        if not lines:
            return
        state["files"] = state.get("files", 0) + 1
        file = self._inbox / f"autotune-{batch.experiment_id}" / f"{state['files']:08d}.jsonl"
        try:
            _put(file, "\n".join(lines) + "\n")
        except OSError as error:
            raise NotMirrored(f"Trackio's inbox: {error.strerror or error}.") from None


def _put(file: Path, content: str) -> None:
    """The whole file, at once: never a part of it is seen."""
    beside = file.with_suffix(".tmp")
    for attempt in range(1, TRIES + 1):
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            beside.write_text(content, "utf-8")
            os.replace(beside, file)
        except FileNotFoundError:
            if attempt == TRIES:
                raise
        else:
            return


def _lines(batch: Batch, trial: Sent) -> Iterator[Mapping[str, Any]]:
    name = f"{batch.name}-{batch.experiment_id}"
    run = {
        "v": 1,
        "kind": "metric",
        "project": f"autotune-{name}" if name.startswith(_RESERVED) else name,
        "run": title(trial),
        "run_id": trial.key,
        "config": {**trial.parameters, "_Created": _moment(trial.started), "state": trial.state},
    }
    for number, values in reports(trial):
        yield run | {
            "metrics": {name: spelled(value) for name, value in values.items()},
            "step": int(number.step),
            "timestamp": _moment(number.time),
            "log_id": f"{trial.key}-{'f' if number.is_final else 'r'}{number.report}",
        }
    if trial.is_ended:  # with the state it ended in
        at = _moment(trial.finished or trial.started)
        yield run | {"metrics": {}, "step": 0, "timestamp": at, "log_id": f"{trial.key}-end"}


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()

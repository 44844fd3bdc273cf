"""An experiment as SwanLab's offline runs in a directory: each attempt of a trial is a run.

Called by ``passing``. Pure: no Django, and no package of SwanLab's. A run is a folder with one file
that only grows and the parameters beside it; ``swanlab sync`` takes it. How long each file is, and
how many records it has, is kept with the cursor: what was written and never kept is cut off first.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from experiments.mirrors import record_log
from experiments.mirrors.batch import Batch, Sent, named, title
from experiments.mirrors.protobuf import double, moment, part, text, whole

FILE_HEAD = struct.pack("<4sHB", b":SWL", 0xE1D6, 2)
_BEGIN, _END, _CONFIG = -1, -2, -3  # the numbers that these records have; the others count
_SCALAR, _CONFIG_FILE = 1, 1
_STATES = {"SUCCEEDED": 1, "EARLY_STOPPED": 1, "CANCELED": 3}  # finished, aborted; else crashed
_CRASHED, _FINISHED = 2, 1


class SwanLabReceiver(record_log.RunFiles):
    """One directory, as SwanLab's ``./swanlog``."""

    tracker, prefix = "SwanLab", "run-"

    def _append(self, batch: Batch, trial: Sent, length: int, count: int) -> list[int]:
        """The run's records; return how long its file is then, and how many are counted."""
        run, folder = self._place(trial)
        file, config = folder / f"run-{run}.swanlab", folder / "files" / "config.yaml"
        records: list[bytes] = []
        if not length or not file.exists():
            config.write_text(_config(trial.parameters), "utf-8")
            records += _begun(batch, trial, run, str(config))
        for number in trial.numbers:
            count += 1
            scalar = text(1, named(number)) + whole(2, max(int(number.step), 0))
            scalar += whole(3, _SCALAR) + moment(4, number.time) + part(5, double(1, number.value))
            records.append(_record(count, number.time, part(13, scalar)))
        if trial.is_ended:
            records.append(_ended(trial))
        return [record_log.append(file, FILE_HEAD, records, length), count]


def _begun(batch: Batch, trial: Sent, run: str, config: str) -> Iterator[bytes]:
    start = (
        text(1, batch.name)
        + text(4, title(trial))
        + text(7, f"{batch.name}-{batch.experiment_id}")
        + text(10, run)
        + moment(12, trial.started)
    )
    yield _record(_BEGIN, trial.started, part(10, start))
    save = text(1, "config") + text(2, config) + whole(5, _CONFIG_FILE)
    yield _record(_CONFIG, trial.started, part(20, save))


def _ended(trial: Sent) -> bytes:
    at, state = trial.finished or trial.started, _STATES.get(trial.state, _CRASHED)
    error = b"" if state == _FINISHED else text(2, trial.state)
    return _record(_END, at, part(11, whole(1, state) + error + moment(3, at)))


def _record(number: int, at: float, content: bytes) -> bytes:
    return whole(1, number) + moment(2, at) + content


def _config(parameters: Mapping[str, Any]) -> str:
    """As SwanLab keeps a run's parameters; JSON is YAML."""
    found = {
        name: {"value": value, "desc": "", "sort": place}
        for place, (name, value) in enumerate(parameters.items())
    }
    return json.dumps(found, ensure_ascii=False, indent=1)

"""What trackers' clients log, as plain values: MLflow's requests and those of Kubeflow's Trainer.

Called by ``mlflow_api`` and ``trial_api`` for each request. Pure: no database, no Django. A
``Tracked`` comes out, which ``tracked_rows`` makes reports of, or a ``BadReport``.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from experiments.reports.wire import BadReport, show, wrong_name
from experiments.strict_json import JsonRefused, read_json

MLFLOW, TRAINER, TENSORBOARD = "mlflow", "trainer", "tensorboard"
MAX_METRICS = 1000  # of a request, as MLflow has it
MAX_PAIRS = 100  # parameters, and tags, of a request: MLflow's too
MAX_TEXT = 500  # characters kept of a parameter's or tag's value
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
# What KubeflowCallback says of where it is, beside what was logged.
_STEP, _PLACE = "current_step", ("current_step", "current_epoch", "total_steps")


class Entry(NamedTuple):
    """One number that was logged; ``value`` may be NaN and ±inf."""

    name: str
    value: float
    step: float | None
    of_model: bool = False  # MLflow's client tells a metric again once there is a model


class Run(NamedTuple):
    """What is known of a run of MLflow's: those below the trial's own are children."""

    id: str
    name: str = ""
    status: str = ""
    parent: str = ""
    started_ms: int = 0


class Tracked(NamedTuple):
    """One request of a tracker's client."""

    door: str  # MLFLOW, TRAINER or TENSORBOARD
    digest: str = ""  # the same again is the same request, sent twice; "" where that may be meant
    entries: tuple[Entry, ...] = ()
    params: Mapping[str, str] = {}
    tags: Mapping[str, str] = {}
    run: Run | None = None
    progress: float | None = None  # of the trial, 0 to 1
    seconds_left: float | None = None
    files: int = 0  # that were sent, and are not kept


def json_object(body: bytes) -> dict[str, Any]:
    """The object that a request's body holds; an empty one for none.

    Raises:
        BadReport: for anything else.
    """
    if not body.strip():
        return {}
    try:
        found = read_json(body, nan=True, huge=True)
    except JsonRefused as error:
        raise BadReport(f"the body must be JSON text, but: {error}") from None
    if not isinstance(found, dict):
        raise BadReport(f"the body must be a JSON object, but is {show(found)}")
    return found


def digest_of(route: str, body: bytes) -> str:
    return hashlib.sha256(route.encode() + b"\0" + body).hexdigest()[:20]


def metrics(given: Any, path: str = "metrics") -> tuple[Entry, ...]:
    """MLflow's list of metrics.

    Raises:
        BadReport: naming the field.
    """
    rows = _rows(given, path, MAX_METRICS)
    return tuple(metric(row, f"{path}[{place}]") for place, row in enumerate(rows))


def metric(row: Mapping[str, Any], path: str) -> Entry:
    """One of MLflow's metrics: key, value, step. Raises BadReport."""
    key, value = row.get("key"), number(row.get("value"))
    if not isinstance(key, str):
        raise BadReport(f"{path}.key must be the metric's name, but is {show(key)}")
    if wrong := wrong_name(key):
        raise BadReport(f"{path}.key: {wrong}, but it is {show(key)}")
    if value is None:
        raise BadReport(f"{path}.value must be a number, but is {show(row.get('value'))}")
    step = number(row.get("step", 0))
    if step is None or not step.is_integer():
        raise BadReport(f"{path}.step must be a whole number, but is {show(row.get('step'))}")
    return Entry(key, value, step, bool(row.get("model_id")))


def pairs(given: Any, path: str) -> dict[str, str]:
    """MLflow's list of parameters or tags. Raises BadReport."""
    rows = _rows(given, path, MAX_PAIRS)
    return dict(pair(row, f"{path}[{place}]") for place, row in enumerate(rows))


def pair(row: Mapping[str, Any], path: str) -> tuple[str, str]:
    key = row.get("key")
    if not isinstance(key, str) or (wrong_name(key)):
        raise BadReport(f"{path}.key must be a name of 1 to 200 characters, but is {show(key)}")
    value = row.get("value", "")
    text = value if isinstance(value, str) else str(value)
    return key, text[:MAX_TEXT].replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def number(value: Any) -> float | None:
    """A number as JSON has it, or as Protobuf's JSON does: in a string; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and value in _NOT_FINITE:
        return _NOT_FINITE[value]
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def collected(body: bytes) -> Tracked:
    """What our own collector found in TensorBoard's files: ``{"id", "metrics"}``. Raises BadReport.

    ``id`` tells a request that comes again from one that says the same.
    """
    fields = json_object(body)
    name = fields.get("id")
    if not isinstance(name, str) or not name:
        raise BadReport(f"id must be text, but is {show(name)}")
    return Tracked(TENSORBOARD, digest_of(name, b""), metrics(fields.get("metrics")))


def trainer_status(body: bytes) -> Tracked:
    """The status that transformers' KubeflowCallback, and what else speaks to Trainer, sends.

    Raises:
        BadReport: with the line to answer.
    """
    status = json_object(body).get("trainerStatus")
    if not isinstance(status, dict):
        raise BadReport(f"trainerStatus must be an object, but is {show(status)}")
    percent = _amount(status, "progressPercentage", 100)
    left = _amount(status, "estimatedRemainingSeconds", 1e9)
    values: dict[str, float] = {}
    for place, row in enumerate(_rows(status.get("metrics"), "metrics", MAX_METRICS)):
        entry = metric({**row, "key": row.get("name"), "step": 0}, f"metrics[{place}]")
        values[entry.name] = entry.value
    step = values.get(_STEP)
    return Tracked(
        TRAINER,
        entries=tuple(
            Entry(name, value, step if step is not None and math.isfinite(step) else None)
            for name, value in values.items()
            if name not in _PLACE
        ),
        progress=None if percent is None else percent / 100,
        seconds_left=left,
    )


def _amount(status: Mapping[str, Any], name: str, most: float) -> float | None:
    given = status.get(name)
    if given is None:
        return None
    found = number(given)
    if found is None or not 0 <= found <= most:
        words = f"must be a number from 0 to {most:g}, but is {show(given)}"
        raise BadReport(f"trainerStatus.{name} {words}")
    return found


def _rows(given: Any, path: str, most: int) -> list[dict[str, Any]]:
    if given is None:
        return []
    if not isinstance(given, list) or not all(isinstance(row, dict) for row in given):
        raise BadReport(f"{path} must be a list of objects, but is {show(given)}")
    if len(given) > most:
        raise BadReport(f"{path} must have at most {most} entries, but has {len(given)}")
    return given

"""An experiment in an MLflow server of the user's: each attempt of a trial is a run.

Called by ``passing``. Pure: no Django. MLflow keeps a number that comes twice once, and a run is
found again by its tag, so a batch may be sent as often as it takes.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import requests

from experiments.mirrors.batch import (
    Batch,
    NothingThere,
    NotMirrored,
    Sent,
    named,
    spelled,
    title,
)
from experiments.strict_json import JsonRefused, read_json

TIMEOUT_S = (3.0, 30.0)  # to connect, to hear something
ANSWER_S, ANSWER_BYTES = 60.0, 4 * 1024 * 1024  # to hear all of it, and how much that may be
MOST_METRICS, MOST_PARAMS = 1000, 100  # of a request: MLflow's limits
MOST_STEP, MOST_NAME = 2**63 - 1, 250
_GONE = "RESOURCE_DOES_NOT_EXIST"
_SHOWN = 200  # characters of a server's text that an error repeats
_TAG = "autotune.trial"
_STATUS = {"SUCCEEDED": "FINISHED", "FAILED": "FAILED", "LOST": "FAILED", "RUNNING": "RUNNING"}
_NOT_IN_NAMES = re.compile(r"[^\w\-. :/]", re.ASCII)


class MlflowReceiver:
    """One MLflow server."""

    def __init__(self, url: str, token: str = "") -> None:
        self._base = f"{url.rstrip('/')}/api/2.0/mlflow"
        self._session = requests.Session()
        self._session.trust_env = False  # no netrc, and no proxy that our own address would need
        self._going_on: Callable[[], None] = lambda: None
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"

    def send(self, batch: Batch, state: dict[str, Any]) -> None:
        """As ``Receiver`` says."""
        self._going_on = batch.going_on
        if "experiment" not in state:
            state["experiment"] = self._experiment(f"{batch.name} ({batch.experiment_id})")
        runs: dict[str, str] = state.setdefault("runs", {})
        for trial in batch.trials:
            if trial.state == "WAITING":
                continue
            if trial.key not in runs:
                runs[trial.key] = self._run(state["experiment"], trial)
            self._log(runs[trial.key], trial)
            if trial.is_ended:
                self._end(runs.pop(trial.key), trial)

    def _experiment(self, name: str) -> str:
        route = "experiments/get-by-name"
        found = self._ask("GET", route, {"experiment_name": name}, missing=True)
        if found is None:
            route = "experiments/create"
            found = {"experiment": self._ask("POST", route, {"name": name})}
        return _inside(route, found, "experiment", "experiment_id")

    def _run(self, experiment: str, trial: Sent) -> str:
        """The run of this attempt: made, or found where an earlier attempt of ours made it."""
        wanted = {
            "experiment_ids": [experiment],
            "filter": f"tags.`{_TAG}` = '{trial.key}'",
            "max_results": 1,
        }
        found = self._ask("POST", "runs/search", wanted) or {}
        runs = found.get("runs") or []
        if not runs:
            tags = {_TAG: trial.key, "mlflow.runName": title(trial)}
            body = {
                "experiment_id": experiment,
                "run_name": title(trial),
                "start_time": int(trial.started * 1000),
                "tags": [{"key": key, "value": value} for key, value in tags.items()],
            }
            made = self._ask("POST", "runs/create", body)
            run = _inside("runs/create", made, "run", "info", "run_id")
        else:
            run = _inside("runs/search", runs, 0, "info", "run_id")
        params = [{"key": k, "value": v} for k, v in _params(trial.parameters)]
        for start in range(0, len(params), MOST_PARAMS):
            chosen = params[start : start + MOST_PARAMS]
            self._ask("POST", "runs/log-batch", {"run_id": run, "params": chosen})
        return run

    def _log(self, run: str, trial: Sent) -> None:
        metrics = [
            {
                "key": _name(named(each)),
                "value": spelled(each.value),
                "timestamp": int(each.time * 1000),
                "step": max(-MOST_STEP, min(int(each.step), MOST_STEP)),
            }
            for each in trial.numbers
        ]
        for start in range(0, len(metrics), MOST_METRICS):
            chosen = metrics[start : start + MOST_METRICS]
            self._ask("POST", "runs/log-batch", {"run_id": run, "metrics": chosen})

    def _end(self, run: str, trial: Sent) -> None:
        body: dict[str, Any] = {"run_id": run, "status": _STATUS.get(trial.state, "KILLED")}
        if trial.finished is not None:
            body["end_time"] = int(trial.finished * 1000)
        self._ask("POST", "runs/update", body)

    def _ask(
        self, method: str, route: str, fields: Mapping[str, Any], *, missing: bool = False
    ) -> dict[str, Any] | None:
        """The answer; None for what is not there, where it may be ``missing``."""
        given: dict[str, Any] = {"params": fields} if method == "GET" else {"json": fields}
        self._going_on()
        try:
            with self._session.request(
                method, f"{self._base}/{route}", timeout=TIMEOUT_S, allow_redirects=False,
                stream=True, **given,
            ) as answer:  # fmt: skip
                status, raw = answer.status_code, _read(answer)
        except (requests.RequestException, OSError) as error:  # it may hold the address's secret
            raise NotMirrored(f"MLflow cannot be reached: {type(error).__name__}.") from None
        try:
            found = read_json(raw, nan=True, huge=True)
        except JsonRefused:
            found = None
        if missing and status == 404:
            return None
        if status != 200:
            words = " ".join(raw.decode("utf-8", "replace").split())[:_SHOWN]
            is_gone = isinstance(found, dict) and found.get("error_code") == _GONE
            kind = NothingThere if is_gone else NotMirrored
            raise kind(f"MLflow answered {status} to {route}: {words}")
        if not isinstance(found, dict):
            raise NotMirrored(f"What answers to {route} is not MLflow.")
        return found


def _read(answer: requests.Response) -> bytes:
    """The whole answer, as long as it may be and take."""
    raw, end = b"", time.monotonic() + ANSWER_S
    for chunk in answer.iter_content(65536):
        raw += chunk
        if len(raw) > ANSWER_BYTES or time.monotonic() > end:
            raise NotMirrored("MLflow's answer is too long, or too slow.")
    return raw


def _inside(route: str, found: Any, *names: str | int) -> str:
    """A value in an answer, which may be anybody's."""
    try:
        for name in names:
            found = found[name]
    except (KeyError, IndexError, TypeError):
        found = None
    if not isinstance(found, str | int):
        raise NotMirrored(f"What answers to {route} is not MLflow.")
    return str(found)


def _name(given: str) -> str:
    """A name as MLflow takes it: its letters alone, and no path that is another one's, too."""
    plain = _NOT_IN_NAMES.sub("_", given)
    parts = [part for part in plain.split("/") if part not in ("", ".", "..")]
    return "/".join(parts)[:MOST_NAME].rstrip("/") or "_"


def _params(parameters: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Parameters under names of their own, also where MLflow takes fewer letters."""
    there: set[str] = set()
    for given, value in flat(parameters):
        name, number = _name(given), 1
        while name in there:
            number += 1
            name = f"{_name(given)[: MOST_NAME - 8]}_{number}"
        there.add(name)
        yield name, value[:500]


def flat(parameters: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Parameters by names with dots."""
    for name, value in parameters.items():
        if isinstance(value, dict):
            yield from flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", str(value)

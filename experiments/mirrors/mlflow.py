"""An experiment in an MLflow server of the user's: each attempt of a trial is a run.

Called by ``passing``. Pure: no Django. MLflow keeps a number that comes twice once, and a run is
found again by its tag, so a batch may be sent as often as it takes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import requests

from experiments.mirrors.batch import Batch, NotMirrored, Sent, named, spelled, title

TIMEOUT_S = (3.0, 30.0)  # to connect, to hear something
MOST_METRICS, MOST_PARAMS = 1000, 100  # of a request: MLflow's limits
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
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"

    def send(self, batch: Batch, state: dict[str, Any]) -> None:
        """As ``Receiver`` says."""
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
        found = self._ask("GET", "experiments/get-by-name", {"experiment_name": name}, missing=True)
        if found is None:
            found = {"experiment": self._ask("POST", "experiments/create", {"name": name})}
        return str((found["experiment"] or {})["experiment_id"])

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
            runs = [(self._ask("POST", "runs/create", body) or {})["run"]]
        run = str(runs[0]["info"]["run_id"])
        params = [{"key": k, "value": v} for k, v in flat(trial.parameters)]
        for start in range(0, len(params), MOST_PARAMS):
            chosen = params[start : start + MOST_PARAMS]
            self._ask("POST", "runs/log-batch", {"run_id": run, "params": chosen})
        return run

    def _log(self, run: str, trial: Sent) -> None:
        metrics = [
            {
                "key": _NOT_IN_NAMES.sub("_", named(each)),
                "value": spelled(each.value),
                "timestamp": int(each.time * 1000),
                "step": int(each.step),
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
        try:
            answer = self._session.request(
                method, f"{self._base}/{route}", timeout=TIMEOUT_S, allow_redirects=False, **given
            )
            if missing and answer.status_code == 404:
                return None
            if answer.status_code != 200:
                words = " ".join(answer.text.split())[:_SHOWN]
                raise NotMirrored(f"MLflow answered {answer.status_code} to {route}: {words}")
            found = answer.json()
        except requests.RequestException as error:  # whose text may hold the address with a secret
            raise NotMirrored(f"MLflow cannot be reached: {type(error).__name__}.") from None
        if not isinstance(found, dict):
            raise NotMirrored(f"What answers to {route} is not MLflow.")
        return found


def flat(parameters: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Parameters by names with dots, as MLflow can keep them."""
    for name, value in parameters.items():
        if isinstance(value, dict):
            yield from flat(value, f"{before}{name}.")
        else:
            yield _NOT_IN_NAMES.sub("_", f"{before}{name}")[:250], str(value)[:500]

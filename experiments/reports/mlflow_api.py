"""MLflow's tracking server, as far as its clients need it to log: one for each trial.

Called by ``trial_api`` for ``/t/TOKEN/mlflow/…``; ``answer`` decides, and hands numbers, parameters
and tags to the report writer. A trial has one run. Whatever top-level run a script creates is that
one, so what is logged lands in the trial; runs nested in it are its children, their metrics curves
named after them. Experiments have any name and are one. Files and models are taken and not kept.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from experiments.access.tokens import TrialClaim
from experiments.reports import tracking
from experiments.reports.rows import Answer
from experiments.reports.tracking import MLFLOW, Run, Tracked
from experiments.reports.wire import BadReport, show

Json = dict[str, Any]
EXPERIMENT = "1"  # the id of the one experiment, which has any name
_API = (["api", "2.0", "mlflow"], ["api", "3.0", "mlflow"], ["ajax-api", "2.0", "mlflow"])
_ARTIFACTS = ["api", "2.0", "mlflow-artifacts", "artifacts"]
_PARENT, _NAME = "mlflow.parentRunId", "mlflow.runName"
_CODES = {
    400: "INVALID_PARAMETER_VALUE", 404: "RESOURCE_DOES_NOT_EXIST", 405: "BAD_REQUEST",
    413: "INVALID_PARAMETER_VALUE", 503: "TEMPORARILY_UNAVAILABLE",
}  # fmt: skip


class Reply(NamedTuple):
    """A status and what its body holds."""

    status: int
    body: Json


class Request(NamedTuple):
    """What a client asks."""

    method: str
    route: list[str]  # after ``mlflow``
    query: bytes
    body: bytes

    def fields(self) -> Json:
        """The body's fields, or of a GET those of the query. Raises BadReport."""
        if self.method != "GET":
            return tracking.json_object(self.body)
        text = self.query.decode("utf-8", "replace")
        return {name: values[-1] for name, values in parse_qs(text).items()}


class Kept(NamedTuple):
    """What is stored of a trial, for answers that tell of it."""

    name: str  # of the experiment
    is_ended: bool
    started_ms: int
    metrics: Mapping[str, Any]  # by name: value, step
    params: Mapping[str, str]
    tags: Mapping[str, str]
    runs: Mapping[str, Any]


Store = Callable[[Tracked], Awaitable[Answer]]
Load = Callable[[], Awaitable[Kept | None]]
History = Callable[[str], Awaitable[list[Json]]]


class Unknown(Exception):
    """There is no such run here; the text is the answer."""


def is_file(route: list[str]) -> bool:
    """Whether a request is about a file, whose body is not to be kept in memory."""
    return route[:4] == _ARTIFACTS


def main_run(claim: TrialClaim) -> str:
    """The id of the trial's run: as MLflow makes them, and the same at every attempt."""
    return hashlib.sha256(f"mlflow:{claim.experiment_id}:{claim.key}".encode()).hexdigest()[:32]


def failure(status: int, message: str) -> Reply:
    """An error as MLflow's client reads it, and shows it in the trial's log."""
    return Reply(status, {"error_code": _CODES.get(status, "INTERNAL_ERROR"), "message": message})


class Door:
    """The routes for one trial."""

    def __init__(self, claim: TrialClaim, store: Store, load: Load, history: History) -> None:
        self.claim = claim
        self.run_id = main_run(claim)
        self._store, self._load, self._history = store, load, history

    async def answer(self, request: Request) -> Reply:
        """What is asked for, done."""
        try:
            return await self._answer(request)
        except BadReport as error:
            return failure(400, f"not stored: {error}")
        except Unknown as error:
            return failure(404, str(error))

    async def _answer(self, request: Request) -> Reply:
        route = request.route
        if is_file(route):
            return await self._file(request)
        if route[:3] not in _API:
            return failure(404, "AutoTune answers for MLflow's tracking only")
        path = "/".join(route[3:])
        if path.startswith("logged-models"):
            return self._model(request, route[4:])
        handler = _ROUTES.get((request.method, path))
        if handler is None:
            others = [method for method, known in _ROUTES if known == path]
            if others:
                return failure(405, f"use {others[0]}")
            return failure(404, f"AutoTune does not answer mlflow/{path[:100]}")
        return await handler(self, request, request.fields())

    async def _keep(self, item: Tracked) -> Reply:
        answer = await self._store(item)
        return Reply(200, {}) if answer.status == 200 else failure(answer.status, answer.line)

    # ---- experiments: one, whatever it is called

    async def experiment(self, request: Request, fields: Json) -> Reply:
        kept = await self._kept()
        name = fields.get("experiment_name") or kept.name
        return Reply(200, {"experiment": self._experiment(str(name))})

    async def create_experiment(self, request: Request, fields: Json) -> Reply:
        return Reply(200, {"experiment_id": EXPERIMENT})

    async def experiments(self, request: Request, fields: Json) -> Reply:
        kept = await self._kept()
        return Reply(200, {"experiments": [self._experiment(kept.name)]})

    async def nothing(self, request: Request, fields: Json) -> Reply:
        """What is taken, and changes nothing."""
        if "run_id" in fields or "run_uuid" in fields:
            self._run_of(fields)
        return Reply(200, {})

    def _experiment(self, name: str) -> Json:
        return {
            "experiment_id": EXPERIMENT,
            "name": name,
            "artifact_location": f"mlflow-artifacts:/{EXPERIMENT}",
            "lifecycle_stage": "active",
        }

    # ---- runs

    async def create_run(self, request: Request, fields: Json) -> Reply:
        tags = tracking.pairs(fields.get("tags"), "tags")
        parent = tags.get(_PARENT, "")
        if parent:
            self._check(parent)
        name = fields.get("run_name") or tags.get(_NAME) or ""
        if not isinstance(name, str):
            raise BadReport(f"run_name must be text, but is {show(name)}")
        start = int(tracking.number(fields.get("start_time")) or time.time() * 1000)
        run = Run(self.run_id, name[:100], "RUNNING", "", start)
        if parent:  # an id of our making, so that whose it is needs no look into the database
            run = run._replace(id=f"{secrets.token_hex(8)}{self.run_id[:16]}", parent=parent)
        kept_tags = {} if parent else tags
        reply = await self._keep(Tracked(MLFLOW, run=run, tags=kept_tags))
        return reply if reply.status != 200 else await self._told(run.id)

    async def get_run(self, request: Request, fields: Json) -> Reply:
        return await self._told(self._run_of(fields))

    async def update_run(self, request: Request, fields: Json) -> Reply:
        run_id = self._run_of(fields)
        status, name = fields.get("status", ""), fields.get("run_name", "")
        if not isinstance(status, str) or not isinstance(name, str):
            raise BadReport("status and run_name must be text")
        run = Run(run_id, name[:100], status[:20])
        reply = await self._keep(Tracked(MLFLOW, run=run))
        if reply.status != 200:
            return reply
        kept = await self._kept()
        return Reply(200, {"run_info": self._info(run_id, kept)})

    async def search_runs(self, request: Request, fields: Json) -> Reply:
        kept = await self._kept()
        ids = dict.fromkeys([self.run_id, *kept.runs]) if kept.runs else {}
        return Reply(200, {"runs": [self._run(run_id, kept) for run_id in ids]})

    async def _told(self, run_id: str) -> Reply:
        return Reply(200, {"run": self._run(run_id, await self._kept())})

    async def _kept(self) -> Kept:
        kept = await self._load()
        if kept is None:
            raise Unknown(f"unknown trial {self.claim.key}")
        return kept

    def _run_of(self, fields: Json) -> str:
        run_id = fields.get("run_id") or fields.get("run_uuid")
        if not isinstance(run_id, str):
            raise BadReport(f"run_id must be the id of a run, but is {show(run_id)}")
        self._check(run_id)
        return run_id

    def _check(self, run_id: str) -> None:
        is_ours = run_id == self.run_id or (len(run_id) == 32 and run_id[16:] == self.run_id[:16])
        if not is_ours:
            raise Unknown(f"Run {show(run_id)} is none of trial {self.claim.key}")

    def _info(self, run_id: str, kept: Kept) -> Json:
        known = kept.runs.get(run_id) or {}
        return {
            "run_id": run_id,
            "run_uuid": run_id,
            "experiment_id": EXPERIMENT,
            "run_name": known.get("name") or f"trial-{self.claim.number}",
            "user_id": "autotune",
            "status": known.get("status") or ("FINISHED" if kept.is_ended else "RUNNING"),
            "start_time": known.get("start") or kept.started_ms,
            "artifact_uri": f"mlflow-artifacts:/{EXPERIMENT}/{run_id}/artifacts",
            "lifecycle_stage": "active",
        }

    def _run(self, run_id: str, kept: Kept) -> Json:
        info = self._info(run_id, kept)
        known = kept.runs.get(run_id) or {}
        own = {_NAME: info["run_name"], **({_PARENT: known["parent"]} if "parent" in known else {})}
        if known.get("parent"):
            before = f"{known.get('name') or run_id[:8]}/"
            metrics = {
                name.removeprefix(before): last
                for name, last in kept.metrics.items()
                if name.startswith(before)
            }
            params: Mapping[str, str] = {}
            tags: Mapping[str, str] = own
        else:
            metrics, params, tags = dict(kept.metrics), kept.params, {**kept.tags, **own}
        now = int(time.time() * 1000)
        data = {
            "metrics": [
                {"key": name, "value": value, "timestamp": now, "step": int(step or 0)}
                for name, (value, step) in metrics.items()
            ],
            "params": [{"key": key, "value": value} for key, value in params.items()],
            "tags": [{"key": key, "value": value} for key, value in tags.items() if value],
        }
        return {"info": info, "data": data, "inputs": {}}

    # ---- what is logged

    async def log_metric(self, request: Request, fields: Json) -> Reply:
        run = Run(self._run_of(fields))
        entry = tracking.metric(fields, "metric")
        digest = tracking.digest_of("log-metric", request.body)
        return await self._keep(Tracked(MLFLOW, digest, (entry,), run=run))

    async def log_batch(self, request: Request, fields: Json) -> Reply:
        run = Run(self._run_of(fields))
        entries = tracking.metrics(fields.get("metrics"))
        params = tracking.pairs(fields.get("params"), "params")
        tags = tracking.pairs(fields.get("tags"), "tags")
        digest = tracking.digest_of("log-batch", request.body)
        return await self._keep(
            Tracked(MLFLOW, digest, entries, *self._texts(run, params, tags), run=run)
        )

    async def log_param(self, request: Request, fields: Json) -> Reply:
        run = Run(self._run_of(fields))
        params = dict([tracking.pair(fields, "param")])
        return await self._keep(Tracked(MLFLOW, "", (), *self._texts(run, params, {}), run=run))

    async def set_tag(self, request: Request, fields: Json) -> Reply:
        run = Run(self._run_of(fields))
        tags = dict([tracking.pair(fields, "tag")])
        return await self._keep(Tracked(MLFLOW, "", (), *self._texts(run, {}, tags), run=run))

    def _texts(
        self, run: Run, params: dict[str, str], tags: dict[str, str]
    ) -> tuple[dict[str, str], dict[str, str]]:
        """Those of the trial's own run; a child's would stand in their places."""
        return (params, tags) if run.id == self.run_id else ({}, {})

    async def history(self, request: Request, fields: Json) -> Reply:
        self._run_of(fields)
        return Reply(200, {"metrics": await self._history(str(fields.get("metric_key", "")))})

    # ---- files and models: taken politely

    async def _file(self, request: Request) -> Reply:
        if request.method == "PUT":
            return await self._keep(Tracked(MLFLOW, files=1))
        return Reply(200, {"files": []}) if request.method == "GET" else Reply(200, {})

    def _model(self, request: Request, route: list[str]) -> Reply:
        fields = request.fields()
        if route == ["search"]:
            return Reply(200, {"models": []})
        digest = tracking.digest_of("logged-models", request.body)
        model_id = route[0] if route else f"m-{digest}"
        now = int(time.time() * 1000)
        info = {
            "model_id": model_id[:100],
            "experiment_id": EXPERIMENT,
            "name": str(fields.get("name") or "model")[:100],
            "creation_timestamp_ms": now,
            "last_updated_timestamp_ms": now,
            "artifact_uri": f"mlflow-artifacts:/{EXPERIMENT}/models/{model_id[:100]}/artifacts",
            "status": "LOGGED_MODEL_READY" if route else "LOGGED_MODEL_PENDING",
            "source_run_id": self.run_id,
        }
        return Reply(200, {"model": {"info": info, "data": {}}})


_ROUTES: dict[tuple[str, str], Callable[[Door, Request, Json], Awaitable[Reply]]] = {
    ("GET", "experiments/get"): Door.experiment,
    ("GET", "experiments/get-by-name"): Door.experiment,
    ("POST", "experiments/create"): Door.create_experiment,
    ("POST", "experiments/search"): Door.experiments,
    ("GET", "experiments/search"): Door.experiments,
    ("POST", "experiments/update"): Door.nothing,
    ("POST", "experiments/set-experiment-tag"): Door.nothing,
    ("POST", "experiments/delete-experiment-tag"): Door.nothing,
    ("POST", "runs/create"): Door.create_run,
    ("GET", "runs/get"): Door.get_run,
    ("POST", "runs/update"): Door.update_run,
    ("POST", "runs/search"): Door.search_runs,
    ("POST", "runs/delete"): Door.nothing,
    ("POST", "runs/restore"): Door.nothing,
    ("POST", "runs/log-metric"): Door.log_metric,
    ("POST", "runs/log-batch"): Door.log_batch,
    ("POST", "runs/log-parameter"): Door.log_param,
    ("POST", "runs/set-tag"): Door.set_tag,
    ("POST", "runs/delete-tag"): Door.nothing,
    ("POST", "runs/log-model"): Door.nothing,
    ("POST", "runs/log-inputs"): Door.nothing,
    ("POST", "runs/outputs"): Door.nothing,
    ("GET", "metrics/get-history"): Door.history,
    ("GET", "artifacts/list"): Door.nothing,
}

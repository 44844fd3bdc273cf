"""Experiments of a server, typed: create, find, watch, read, change.

client = Client()                      # the server of the data directory, or AUTOTUNE_URL
experiment = client.create("digits.yaml")
for info in experiment.watch(): print(info.phase, info.n_finished)
experiment.to_pandas()
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from autotune_client import figures, finding
from autotune_client.errors import Refused
from autotune_client.wire import Wire

__all__ = ["ENDED", "Client", "Experiment", "ExperimentInfo", "MetricPoint", "TrialInfo"]

PATIENCE_S = 300.0
ENDED = frozenset({"DONE", "TIMEOUT", "ERROR"})
PAGE = 200

T = TypeVar("T")
Manifest = str | os.PathLike[str] | Mapping[str, Any]


@dataclass(frozen=True)
class TrialInfo:
    """A trial as it stands. Fields that the server has besides are in ``raw``."""

    number: int
    id: str
    state: str
    parameters: dict[str, Any]
    value: float | None
    metrics: dict[str, Any]
    latest_value: float | None
    n_reports: int
    reason: str
    origin: str
    attempt: int
    created_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    raw: dict[str, Any]

    @property
    def duration(self) -> float | None:
        """Seconds from its start to its end; None where it has none yet."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()


@dataclass(frozen=True)
class ExperimentInfo:
    """An experiment as it stands."""

    id: str
    name: str
    phase: str
    message: str
    optimize_mode: str
    suspended: bool
    max_trials: int | None  # None: time alone ends it
    max_exec_seconds: int | None
    concurrency: int
    active_seconds: float
    n_trials: int
    n_finished: int
    counts: dict[str, int]
    best: TrialInfo | None
    tags: list[str]
    created_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    seq: int
    raw: dict[str, Any]

    @property
    def is_ended(self) -> bool:
        return self.phase in ENDED


@dataclass(frozen=True)
class MetricPoint:
    """One number of one report. ``value`` may be NaN or infinite."""

    trial: int
    kind: str  # PERIODICAL or FINAL
    sequence: int
    step: float | None
    name: str
    value: float


def _typed(cls: type[T], raw: Mapping[str, Any]) -> T:
    """One of our dataclasses from the server's JSON; what an older server lacks is None."""
    found: dict[str, Any] = {}
    for field in fields(cls):  # type: ignore[arg-type]
        value = raw.get(field.name)
        if field.name == "raw":
            value = dict(raw)
        elif field.name.endswith("_at") and isinstance(value, str):
            value = datetime.fromisoformat(value.replace("Z", "+00:00"))
        elif field.name == "best" and value is not None:
            value = _typed(TrialInfo, value)
        elif cls is MetricPoint and field.name == "value":
            value = float(value)  # type: ignore[arg-type]
        found[field.name] = value
    return cls(**found)


class Client:
    """The door to a server.

    Args:
        server: its address; without one AUTOTUNE_URL, else the server of the data directory, which
            is started while it is needed where none runs.
        token: an API token, for a server that is named (or AUTOTUNE_TOKEN).
        data: another data directory than AUTOTUNE_DATA or the usual one.
        patience: seconds for which requests are tried again while nobody answers.
    """

    def __init__(
        self,
        server: str | None = None,
        token: str | None = None,
        *,
        data: os.PathLike[str] | None = None,
        patience: float = PATIENCE_S,
    ) -> None:
        self.wire = Wire(finding.place(server, token, data), patience)

    def close(self) -> None:
        """Let a server that was started for programs end, once no other uses it."""
        self.wire.place.release()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The address that is asked at present."""
        return self.wire.place.address()

    def create(self, manifest: Manifest, *, key: str = "") -> Experiment:
        """Make an experiment of a manifest: a mapping, YAML or JSON text, or the path of a file.

        Args:
            key: where the same call may be made twice, it makes one experiment for one key.
        """
        raw, kind = _manifest(manifest)
        headers = {"Content-Type": kind, "Idempotency-Key": key or uuid.uuid4().hex}
        _, _, answer = self.wire.send("POST", "/api/v1/experiments/", raw, headers)
        return self.get(str(json.loads(answer)["id"]))

    def get(self, name: str) -> Experiment:
        """The experiment of this id, or the newest of this name. Raises KeyError."""
        try:
            return Experiment(self, self.wire.get(f"experiments/{name}/")["id"])
        except Refused as refused:
            if refused.status != 404:
                raise
        found = [each for each in self.experiments(search=name) if each.info.name == name]
        if not found:
            raise KeyError(f"No experiment has the id or the name {name!r}.")
        return found[0]

    def experiments(self, **query: Any) -> Iterator[Experiment]:
        """Experiments, the newest first; ``search``, ``phase``, ``tag``, ``order`` as in REST."""
        for raw in self.pages("experiments/", **query):
            yield Experiment(self, raw["id"], _typed(ExperimentInfo, raw))

    def pages(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        """Every row of a list of the REST API."""
        page = 1
        while True:
            answer = self.wire.get(path, page=page, page_size=PAGE, **query)
            yield from answer["results"]
            if not answer["next"]:
                return
            page += 1


def _manifest(given: Manifest) -> tuple[bytes, str]:
    """Bytes and media type."""
    if isinstance(given, Mapping):
        return json.dumps(given).encode(), "application/json"
    text = os.fspath(given)
    if "\n" not in text and Path(text).suffix.lower() in (".yaml", ".yml", ".json"):
        return Path(text).read_bytes(), _kind(Path(text).suffix.lower() == ".json")
    return text.encode(), _kind(text.lstrip().startswith("{"))


def _kind(is_json: bool) -> str:
    return "application/json" if is_json else "application/yaml"


class Experiment:
    """One experiment. ``info`` is how it stood when it was read last; ``refresh`` reads it."""

    def __init__(self, client: Client, id_: str, info: ExperimentInfo | None = None) -> None:
        self.client = client
        self.id = id_
        self._info = info

    def __repr__(self) -> str:
        return f"<Experiment {self.id} {self.info.name!r} {self.info.phase}>"

    def _repr_html_(self) -> str:
        from autotune_client import page  # what draws is only loaded where somebody looks

        return page.of_experiment(self)

    @property
    def wire(self) -> Wire:
        return self.client.wire

    @property
    def path(self) -> str:
        return f"experiments/{self.id}/"

    @property
    def info(self) -> ExperimentInfo:
        return self._info or self.refresh()

    def refresh(self) -> ExperimentInfo:
        self._info = _typed(ExperimentInfo, self.wire.get(self.path))
        return self._info

    @property
    def url(self) -> str:
        """Its page."""
        return f"{self.client.url}/experiments/{self.id}/"

    @property
    def best(self) -> TrialInfo | None:
        """The best trial, as it stands now; None where none has succeeded."""
        return self.refresh().best

    def trials(self, **query: Any) -> Iterator[TrialInfo]:
        """Trials by number; ``state``, ``where`` and ``order`` as in REST."""
        for raw in self.client.pages(f"{self.path}trials/", **query):
            yield _typed(TrialInfo, raw)

    def trial(self, number: int) -> TrialInfo:
        return _typed(TrialInfo, self.wire.get(f"{self.path}trials/{number}/"))

    def metrics(self, number: int, **query: Any) -> list[MetricPoint]:
        """Every report of a trial, in order; ``kind`` and ``name`` as in REST."""
        answer = self.wire.get(f"{self.path}trials/{number}/metrics/", **query)
        return [_typed(MetricPoint, raw) for raw in answer["results"]]

    def watch(self, every: float = 1.0) -> Iterator[ExperimentInfo]:
        """How it stands, whenever that has changed, until it has ended."""
        seen = -1
        while True:
            info = self.refresh()
            if info.seq != seen:
                seen = info.seq
                yield info
            if info.is_ended:
                return
            time.sleep(every)

    def wait(self, every: float = 1.0) -> ExperimentInfo:
        """Return once it has ended."""
        for _ in self.watch(every):
            pass
        return self.info

    def change(self, **fields: Any) -> ExperimentInfo:
        """Set limits, ``name``, ``notes``, ``tags`` or ``suspended``."""
        self._info = _typed(ExperimentInfo, self.wire.ask("PATCH", self.path, fields))
        return self._info

    def suspend(self) -> ExperimentInfo:
        return self.change(suspended=True)

    def resume(self) -> ExperimentInfo:
        return self.change(suspended=False)

    def finish(self) -> ExperimentInfo:
        """End it early: trials that run are stopped, results stay."""
        try:
            self.wire.post(f"{self.path}finish/")
        except Refused as refused:
            if refused.status != 409:  # it has ended already
                raise
        return self.refresh()

    def delete(self) -> None:
        self.wire.ask("DELETE", self.path)

    def keep_figure(self, name: str, figure: Any) -> None:
        """Keep a Plotly figure with it, shown on its page; the same name again takes its place.

        Args:
            figure: a ``plotly.graph_objects.Figure``, its dict, or its JSON.

        Raises:
            Refused: it is no figure that pages show; each error names the path in it.
        """
        raw = figures.as_json(figure).encode()
        kind = {"Content-Type": "application/json"}
        self.wire.send("PUT", f"/api/v1/{self._figure(name)}", raw, kind)

    def figures(self) -> list[dict[str, Any]]:
        """What figures are kept with it: name, title, size, author, changed_at."""
        found: list[dict[str, Any]] = self.wire.get(f"{self.path}figures/")
        return found

    def figure(self, name: str) -> dict[str, Any]:
        """One of them: ``plotly.graph_objects.Figure(experiment.figure(NAME))`` draws it."""
        found: dict[str, Any] = self.wire.get(self._figure(name))
        return found

    def delete_figure(self, name: str) -> None:
        self.wire.ask("DELETE", self._figure(name))

    def _figure(self, name: str) -> str:
        return f"{self.path}figures/{quote(name, safe='')}/"

    def to_pandas(self) -> Any:
        """A row a trial: number, state, value, each parameter and each final metric.

        Raises ImportError where pandas is not installed.
        """
        pandas = import_module("pandas")  # an optional companion
        rows = []
        for trial in self.trials():
            row = {"number": trial.number, "state": trial.state, "value": trial.value}
            row |= {"started_at": trial.started_at, "duration": trial.duration}
            row |= {f"params_{name}": value for name, value in trial.parameters.items()}
            others = {n: v for n, v in trial.metrics.items() if n != "default"}
            row |= {f"metrics_{name}": _number(value) for name, value in others.items()}
            rows.append(row)
        return pandas.DataFrame(rows)


def _number(value: Any) -> Any:
    return float(value) if value in ("NaN", "Infinity", "-Infinity") else value


def same_key(*parts: Any) -> str:
    """A key that is the same wherever the same is meant."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:40]

"""A study: an experiment whose trials this program and others ask for, run, and tell the end of.

    study = Study.create({"x": uniform(-1, 1)}, trials=20, mode="minimize")
    while (trial := study.ask()) is not None:
        study.tell(trial, (trial.parameters["x"] - 0.3) ** 2)

Several processes and machines may do so on one study at once (``Study.open``): each trial is given
to one of them, and each result is taken once, through kills and restarts of either side.
"""

from __future__ import annotations

import json
import math
import os
import re
import threading
import time
import uuid
from collections.abc import Mapping
from typing import Any

from autotune_client.client import Client, Experiment, TrialInfo, same_key
from autotune_client.errors import Refused, Stopped, StudyEnded, StudySuspended, Unreachable
from autotune_client.space import Space
from autotune_client.suggest import Suggesting

__all__ = ["Study", "Trial"]

WAIT_S = 10  # that one request waits for a trial
Algorithm = str | Mapping[str, Any]


class Trial(Suggesting):
    """A trial that this program has: its parameters, and where its reports go."""

    def __init__(self, study: Study, given: Mapping[str, Any]) -> None:
        self.study = study
        self.number: int = given["number"]
        self.id: str = given["id"]
        self.attempt: int = given["attempt"]
        self.parameters: dict[str, Any] = dict(given["parameters"])
        self.address: str = given["address"]
        self.stop_reason = ""  # why it is to go no further
        self._proposed: dict[str, Any] = dict(self.parameters)
        self._met: dict[str, Any] = {}  # what it suggested, where the space grows
        self._n_reports = 0
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<Trial {self.number} {self.parameters}>"

    @property
    def path(self) -> str:
        return f"{self.study.experiment.path}trials/{self.number}/"

    @property
    def should_stop(self) -> bool:
        """Whether to go no further; ``report`` raises then."""
        return bool(self.stop_reason)

    def environment(self) -> dict[str, str]:
        """Variables by which a script reports as this trial: ours, the T9k SDK's and NNI's."""
        base = self.study.client.url
        return {
            "AUTO_TUNE_SERVER_ADDR": f"{base}{self.address}",
            "TUNER_EXP_ID": self.study.experiment.id,
            "TUNER_TRIAL_JOB_ID": self.id,
            "TUNER_TRIAL_SEQ_ID": str(self.number),
        }

    def report(
        self,
        value: float,
        step: float | None = None,
        metrics: Mapping[str, float] | None = None,
    ) -> None:
        """Report an intermediate value, and further metrics by name.

        Args:
            step: where on the curve it belongs; the count of reports if not given.

        Raises:
            Stopped: the trial is to go no further.
        """
        with self._lock:
            sequence = self._n_reports
            self._n_reports += 1
        payload: Any = float(value)
        if metrics:
            others = {name: float(number) for name, number in metrics.items()}
            payload = {**others, "default": payload}
        body = {
            "trial_job_id": self.id,
            "type": "PERIODICAL",
            "sequence": sequence,
            "step": sequence if step is None else float(step),
            "value": json.dumps(payload),
        }
        raw = json.dumps(body).encode()
        kind = {"Content-Type": "application/json"}
        try:
            _, headers, _ = self.study.wire.send(
                "POST", f"{self.address}/apis/v1/metric", raw, kind
            )
        except Refused as refused:
            if refused.status not in (404, 410):  # it is another program's by now, or deleted
                raise
            headers = {}
            self.beat()
        if headers.get("autotune-verdict") == "stop" and not self.stop_reason:
            self.beat()
            self.stop_reason = self.stop_reason or "It is to stop."
        if self.stop_reason:
            raise Stopped(self.stop_reason)

    def beat(self) -> None:
        """Say that this program lives; learn whether the trial is to stop."""
        try:
            heard = self.study.wire.ask(
                "POST", f"{self.path}heartbeat/", {"attempt": self.attempt}, patience_s=5.0
            )
        except Unreachable:
            return  # the next one may arrive
        except Refused as refused:  # deleted, with its experiment
            self.stop_reason = str(refused)
            return
        if heard["stop"]:
            self.stop_reason = heard["reason"] or "It is to stop."

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())


class _Beats:
    """One thread that says of every trial of this process that its program lives."""

    def __init__(self) -> None:
        self._trials: dict[int, Trial] = {}  # by number
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()
        self.every_s = 15.0

    def add(self, trial: Trial) -> None:
        with self._changed:
            if self._pid != os.getpid():  # forked: the thread stayed behind, as did its trials
                self._pid, self._thread = os.getpid(), None
                self._trials.clear()
            self._trials[trial.number] = trial
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="heartbeats", daemon=True)
                self._thread.start()

    def remove(self, trial: Trial) -> None:
        with self._changed:
            self._trials.pop(trial.number, None)
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait(self.every_s)
                if not self._trials:
                    self._thread = None
                    return
                trials = list(self._trials.values())
            for trial in trials:
                trial.beat()


class Study:
    """An experiment with ``spec.elsewhere``; made by ``create`` and ``open``."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.client = experiment.client
        self.grows = False  # the space does, as trials meet parameters
        self.met: dict[str, Any] = {}  # entries of it that the server has
        self._beats = _Beats()

    def __repr__(self) -> str:
        return f"<Study {self.experiment!r}>"

    def _repr_html_(self) -> str:
        return self.experiment._repr_html_()

    @property
    def wire(self) -> Any:
        return self.client.wire

    # ---------------------------------------------------------------- made, and found

    @classmethod
    def create(
        cls,
        space: Space | None = None,
        *,
        trials: int = 100,
        mode: str = "maximize",
        seconds: float | None = None,
        tuner: Algorithm = "Auto",
        assessor: Algorithm | None = None,
        concurrency: int | None = None,
        lost_after: int | None = None,
        name: str | None = None,
        called: str = "",
        client: Client | None = None,
        **connection: Any,
    ) -> Study:
        """Make a study, or go on with the unfinished one of this name and this space.

        Args:
            space: of ``autotune_client.space``; None: it grows as trials suggest parameters.
            trials: how many to run, good or bad.
            mode: "minimize" or "maximize".
            seconds: of running, at most.
            tuner: a name, or the manifest's section.
            assessor: the same; None: no trial is stopped early.
            concurrency: how many may run at once, wherever; as many as ask if None.
            lost_after: seconds of silence after which a trial is another program's.
            called: its name where no ``name`` is given; nobody goes on with it by that.
            connection: arguments of ``Client``.
        """
        client = client or Client(**connection)
        manifest = manifest_of(
            space, trials=trials, mode=mode, seconds=seconds, tuner=tuner, assessor=assessor,
            concurrency=concurrency or trials, lost_after=lost_after,
            name=name or called or "study",
        )  # fmt: skip
        if name is None:
            return cls(client.create(manifest))
        called = manifest["metadata"]["name"]
        named = [each for each in client.experiments(search=called) if each.info.name == called]
        for each in named:
            if not each.info.is_ended:
                _require_same(each, manifest)
                return cls(each)
        # Who does the same at the same time makes the same key of it, and so joins.
        key = same_key(manifest, sorted(each.id for each in named))
        return cls(client.create(manifest, key=key))

    @classmethod
    def open(cls, name: str, *, client: Client | None = None, **connection: Any) -> Study:
        """The study of this id, or the newest of this name. Raises KeyError."""
        return cls((client or Client(**connection)).get(name))

    # ---------------------------------------------------------------- asking and telling

    def ask(self, *, wait: float | None = None) -> Trial | None:
        """A trial to run; None once there are none any more.

        Waits while as many run as may, or the study is suspended by a person.

        Args:
            wait: seconds at most; then TimeoutError.

        Raises:
            StudySuspended: failures alike suspended it.
        """
        limit = math.inf if wait is None else time.monotonic() + wait
        while True:
            left = max(0.0, min(float(WAIT_S), limit - time.monotonic()))
            body = {"key": uuid.uuid4().hex, "wait": math.ceil(left)}
            answer = self.wire.post(f"{self.experiment.path}ask/", body)
            if answer["trials"]:
                return self._taken(answer)
            if answer["over"]:
                return None
            self._raise_if_tripped()
            if time.monotonic() >= limit:
                raise TimeoutError(f"No trial in {wait} s: {answer['reason']}")
            time.sleep(0.2)  # where the answer came at once

    def _taken(self, answer: Mapping[str, Any]) -> Trial:
        (given,) = answer["trials"]
        self.grows = bool(answer["grows"])
        trial = Trial(self, given)
        self._beats.every_s = max(0.5, answer["lost_after_seconds"] / 4)
        self._beats.add(trial)
        return trial

    def _raise_if_tripped(self) -> None:
        if tripped := self.experiment.refresh().raw.get("breaker"):
            raise StudySuspended(f"The study is suspended. {tripped['reason']}")

    def tell(
        self,
        trial: Trial | int,
        value: float | None = None,
        *,
        metrics: Mapping[str, float] | None = None,
        failed: str | None = None,
        stopped: str | None = None,
        lost: str | None = None,
        attempt: int = 1,
    ) -> bool:
        """Say what came of a trial: its value, or why there is none.

        It ``failed``, was ``stopped`` early (its last report counts), or is given back (``lost``)
        and starts anew with who asks next.

        Told twice in the same words it counts once. Returns whether it is the trial's result: it is
        not where the trial was stopped, or is another program's by now.

        Args:
            attempt: of a trial that is named by its number.

        Raises:
            Refused: something else was told before.
        """
        word: dict[str, Any] = {"attempt": trial.attempt if isinstance(trial, Trial) else attempt}
        number = trial.number if isinstance(trial, Trial) else trial
        reasons = {"failed": failed, "stopped": stopped, "lost": lost}
        given = {what: why for what, why in reasons.items() if why is not None}
        if len(given) + (value is not None) > 1:
            raise TypeError("tell takes one of a value, failed=, stopped= and lost=.")
        if given:
            word |= {what: why.strip()[:4000] or "no reason given" for what, why in given.items()}
        else:
            word["value"] = _json_number("value", value)
            if metrics:
                word["metrics"] = {n: _json_number(n, v) for n, v in metrics.items()}
        if isinstance(trial, Trial) and trial._grows:
            word["used"] = list(trial._met)
        try:
            path = f"{self.experiment.path}trials/{number}/tell/"
            told = self.wire.post(path, word)
        finally:
            if isinstance(trial, Trial):
                self._beats.remove(trial)
        return bool(told["used"])

    def best(self) -> TrialInfo | None:
        """The best trial so far; None where none has succeeded."""
        return self.experiment.best

    def require_best(self) -> TrialInfo:
        """The best trial. Raises StudyEnded where there is none."""
        if (best := self.experiment.best) is not None:
            return best
        info = self.experiment.info
        raise StudyEnded(f"No trial succeeded ({info.phase}). {info.message}".strip())


def _json_number(name: str, value: Any) -> float | str:
    if value is None or isinstance(value, (str, bytes)):
        raise TypeError(f"{name} must be a number, but got {value!r}.")
    try:
        number = float(value)  # NumPy's and the frameworks' scalars too
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, but got {value!r}.") from None
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def slug(name: str) -> str:
    """A name as experiments have it: at most 63 small letters, digits and hyphens."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:63].strip("-")
    return plain or "study"


def manifest_of(
    space: Space | None,
    *,
    trials: int,
    mode: str,
    seconds: float | None,
    tuner: Algorithm,
    assessor: Algorithm | None,
    concurrency: int,
    lost_after: int | None,
    name: str,
) -> dict[str, Any]:
    """The manifest of a study. What is wrong in it the server says, by its path."""
    if mode not in ("minimize", "maximize"):
        raise ValueError(f'mode must be "minimize" or "maximize", but got {mode!r}.')
    elsewhere: dict[str, Any] = {} if space is not None else {"grows": True}
    if lost_after is not None:
        elsewhere["lostAfterSeconds"] = lost_after
    spec: dict[str, Any] = {
        **({} if seconds is None else {"maxExecSeconds": max(1, math.ceil(seconds))}),
        "maxTrialNum": trials,
        "trialConcurrency": min(concurrency, trials, 10_000) if trials >= 1 else 1,
        "searchSpace": {} if space is None else {name: dict(e) for name, e in space.items()},
        "elsewhere": elsewhere,
        "tuner": _section("tuner", tuner, mode),
    }
    if assessor is not None:
        spec["assessor"] = _section("assessor", assessor, mode)
    return {
        "apiVersion": "tensorstack.dev/v1beta1",
        "kind": "AutoTuneExperiment",
        "metadata": {"name": slug(name)},
        "spec": spec,
    }


def _section(kind: str, given: Algorithm, mode: str) -> dict[str, Any]:
    name_field = f"builtin{kind.title()}Name"
    if isinstance(given, str):
        return {name_field: given, "classArgs": {"optimize_mode": mode}}
    section = dict(given)
    if "name" in section:
        section[name_field] = section.pop("name")
    section["classArgs"] = {"optimize_mode": mode, **(section.get("classArgs") or {})}
    return section


def _require_same(experiment: Experiment, manifest: Mapping[str, Any]) -> None:
    """Raise ValueError where an unfinished study of this name searches something else."""
    answer = experiment.wire.get(f"{experiment.path}export/", format="json", ticked="0")
    spec = answer["experiment"]["manifest"]["spec"]
    wanted = manifest["spec"]
    grows = bool(wanted["elsewhere"].get("grows"))
    there = spec.get("searchSpace") or {}
    there = json.loads(there) if isinstance(there, str) else there
    same = "elsewhere" in spec and grows == bool(spec["elsewhere"].get("grows"))
    if same and (grows or there == json.loads(json.dumps(wanted["searchSpace"]))):
        return
    raise ValueError(
        f"An unfinished experiment is called {experiment.info.name!r} ({experiment.id}) and is of "
        "another kind or space: choose another name=, or finish it."
    )

"""AutoTune trial client: one file, standard library only, Python 3.8 or later.

    import autotune_trial

    parameters = autotune_trial.get_parameters(default={"lr": 0.1})
    for epoch in range(10):
        ...
        autotune_trial.report(accuracy, step=epoch, loss=loss)
    autotune_trial.attach("confusion.png")
    autotune_trial.report_final(accuracy)

The server that runs the trial says in the environment where it is. Without one, when the script is
run by hand, ``get_parameters`` returns its default and what ``AUTOTUNE_PARAMETERS`` holds as JSON,
and reports are printed.

From a shell:  python -m autotune_trial get lr | report 0.5 --step 3 loss=0.1 | final 0.9
               python -m autotune_trial attach confusion.png

Reports are answered when they are stored. While the server cannot be reached or fails, each call
tries again for ``retry_seconds``; a restart of the server costs a trial nothing but time.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import random
import sys
import threading
import time
from typing import IO, Any, Dict, List, Mapping, Optional, Tuple, Union
from urllib.parse import quote, urlsplit

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "ServerRefused",
    "ServerUnreachable",
    "attach",
    "get_parameters",
    "has_final",
    "is_standalone",
    "report",
    "report_final",
    "sequence_id",
    "should_stop",
    "trial_id",
]

retry_seconds = 60.0
_TIMEOUT_S = 90.0  # longer than the server holds a request back
_LONGEST_PAUSE_S = 3.0
_BLOCK_BYTES = 1024 * 1024


class ServerRefused(RuntimeError):
    """The server answered that the request is wrong; trying again cannot help."""


class ServerUnreachable(ConnectionError):
    """The server could not be reached, or failed, for ``retry_seconds``."""


class _Client:
    """One trial's connection and the little it remembers."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.trial = environment.get("TUNER_TRIAL_JOB_ID", "")
        self.number = environment.get("TUNER_TRIAL_SEQ_ID", "0")
        self.url = urlsplit(environment.get("AUTO_TUNE_SERVER_ADDR", ""))
        self.standalone = not self.url.netloc
        self.prefix = self.url.path.rstrip("/")
        self.record: Optional[Dict[str, Any]] = None
        self.last_value: Optional[float] = None
        self.is_told_to_stop = False
        self.has_final = False
        self._sequence = 0
        self._sequence_file = ""
        folder = environment.get("NNI_OUTPUT_DIR", "")
        if environment.get("NNI_PLATFORM") == "autotune" and os.path.isdir(folder):
            self._sequence_file = os.path.join(folder, f"autotune-{self.trial}.sequence")
        self._connection: Optional[http.client.HTTPConnection] = None
        self._pid = os.getpid()
        self._lock = threading.Lock()

    # requests

    def parameters(self) -> Dict[str, Any]:
        if self.record is None:
            text = self._request("GET", f"/apis/v1/parameter/{quote(self.trial, safe='')}")
            try:
                record = json.loads(text)
            except ValueError:
                record = text
            if record is None:
                record = {}
            if not isinstance(record, dict):
                raise ServerRefused(f"The server's answer is no parameter record: {_line(text)}")
            self.record = record
        return dict(self.record.get("parameters") or {})

    def send(self, kind: str, sequence: int, step: Union[int, float], value: Any) -> None:
        body = {
            "parameter_id": (self.record or {}).get("parameter_id"),
            "trial_job_id": self.trial,
            "type": kind,
            "sequence": sequence,
            "value": json.dumps(value),
            "step": step,
        }
        self._request("POST", "/apis/v1/metric", json.dumps(body).encode())

    def attach(self, file: IO[bytes], name: str) -> None:
        """Announce the file, send its pieces that the server has not, and say that all are sent."""
        digest, size = hashlib.sha256(), 0
        for block in iter(lambda: file.read(_BLOCK_BYTES), b""):
            digest.update(block)
            size += len(block)
        about = {"name": name, "size": size, "sha256": digest.hexdigest()}
        answer = json.loads(self._request("POST", "/artifacts", json.dumps(about).encode()))
        path, length = f"/artifacts/{answer['artifact']}", answer["piece_bytes"]
        for number in answer["missing"]:
            file.seek(number * length)
            self._request("PUT", f"{path}/{number}", file.read(length))
        self._request("POST", path, b"")

    def _request(self, method: str, path: str, body: Optional[bytes] = None) -> str:
        with self._lock:
            limit = time.monotonic() + retry_seconds
            pause = 0.1
            while True:
                if self._pid != os.getpid():  # forked: that connection is our parent's
                    self._connection, self._pid = None, os.getpid()
                reused = self._connection is not None
                try:
                    status, answer = self._attempt(method, path, body)
                except (OSError, http.client.HTTPException) as error:
                    self._close()
                    if reused:
                        continue  # an idle connection was closed under us: no news of the server
                    problem = f"{type(error).__name__}: {error}"
                else:
                    if status < 300:
                        return answer
                    if status < 500 and status not in (408, 425, 429):
                        raise ServerRefused(
                            f"The server refused {method} {path} (HTTP {status}): {_line(answer)}"
                        )
                    problem = f"HTTP {status}: {_line(answer)}"
                if time.monotonic() + pause > limit:
                    raise ServerUnreachable(
                        f"The AutoTune server {self.url.netloc} did not take {method} {path} "
                        f"for {retry_seconds:g} s: {problem}"
                    )
                time.sleep(pause * random.uniform(0.8, 1.0))
                pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _attempt(self, method: str, path: str, body: Optional[bytes]) -> Tuple[int, str]:
        if self._connection is None:
            kind = (
                http.client.HTTPSConnection
                if self.url.scheme == "https"
                else http.client.HTTPConnection
            )
            self._connection = kind(self.url.netloc.rpartition("@")[2], timeout=_TIMEOUT_S)
        headers = {"User-Agent": "autotune-trial"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        self._connection.request(method, self.prefix + path, body, headers)
        response = self._connection.getresponse()
        answer = response.read().decode("utf-8", "replace")
        if response.headers.get("autotune-verdict") == "stop":
            self.is_told_to_stop = True
        if response.will_close:
            self._close()
        return response.status, answer

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # numbering

    def next_sequence(self) -> int:
        """Count the intermediate reports of this trial, over all its processes where possible.

        A script that is started again, or a shell that starts us for each report, goes on where
        the last process stopped.
        """
        if self._sequence_file and fcntl is not None:
            try:
                return self._next_in_file()
            except (OSError, ValueError):
                self._sequence_file = ""  # a full disk: count on in memory
        sequence = self._sequence
        self._sequence += 1
        return sequence

    def _next_in_file(self) -> int:
        with open(self._sequence_file, "a+", encoding="ascii") as file, _locked(file):
            file.seek(0)
            sequence = max(int(file.read() or 0), self._sequence)
            file.seek(0)
            file.truncate()
            file.write(str(sequence + 1))
            file.flush()
        self._sequence = sequence + 1
        return sequence


class _locked:
    """Keep other processes off a file."""

    def __init__(self, file: IO[str]) -> None:
        self.file = file

    def __enter__(self) -> None:
        fcntl.flock(self.file, fcntl.LOCK_EX)

    def __exit__(self, *error: object) -> None:
        fcntl.flock(self.file, fcntl.LOCK_UN)


_client = _Client(os.environ)


def get_parameters(default: Optional[Mapping[str, Any]] = None) -> Dict[str, Any]:
    """Return this trial's parameters; ``default`` fills in what the server does not set."""
    parameters = dict(default or {})
    given = os.environ.get("AUTOTUNE_PARAMETERS")
    if _client.standalone and given:
        parameters.update(_given_by_hand(given))
    elif _client.standalone:
        print("autotune_trial: not started by AutoTune, defaults are used", file=sys.stderr)
    else:
        parameters.update(_client.parameters())
    return parameters


def _given_by_hand(text: str) -> Dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"AUTOTUNE_PARAMETERS must be a JSON object, but got {text[:80]!r}.")
    return found


def report(value: Any, step: Optional[Any] = None, **metrics: Any) -> None:
    """Report an intermediate result, and further metrics by name.

    Args:
        value: the number to be optimised, so far.
        step: where on the curve it belongs; the count of reports if not given.
    """
    payload = _payload(value, metrics)
    _client.last_value = _number("value", value)
    sequence = _client.next_sequence()
    at = sequence if step is None else _step(step)
    if _client.standalone:
        print(f"autotune_trial: step {at}: {json.dumps(payload)}", flush=True)
    else:
        _client.send("PERIODICAL", sequence, at, payload)


def report_final(value: Optional[Any] = None, **metrics: Any) -> None:
    """Report the trial's result; without ``value`` the last intermediate one counts."""
    if value is None:
        value = _client.last_value
    if value is None:
        raise ValueError("report_final() needs a value, as nothing was reported before it")
    payload = _payload(value, metrics)
    _client.has_final = True
    if _client.standalone:
        print(f"autotune_trial: final: {json.dumps(payload)}", flush=True)
    else:
        _client.send("FINAL", 0, 0, payload)


def attach(path: Union[str, "os.PathLike[str]"], name: Optional[str] = None) -> None:
    """Keep a file with this trial: it is on the trial's page, and pictures beside its curve.

    A file of the same name takes the place of an earlier one. It is sent in pieces, each tried
    again for ``retry_seconds``, and is there once however often that happens.

    Args:
        path: of the file, which must not change while it is sent.
        name: what it is called there; the last part of its path if not given.

    Raises:
        OSError: if it cannot be read.
        ServerRefused: if it is too large, or its name cannot be used.
    """
    called = os.path.basename(os.fspath(path)) if name is None else name
    with open(path, "rb") as file:
        if _client.standalone:
            size = os.fstat(file.fileno()).st_size
            print(f"autotune_trial: attached {called} ({size} bytes)", flush=True)
        else:
            _client.attach(file, called)


def should_stop() -> bool:
    """Whether AutoTune answered a report with: stop, the result would not be used."""
    return _client.is_told_to_stop


def has_final() -> bool:
    """Whether this process reported the trial's result."""
    return _client.has_final


def is_standalone() -> bool:
    """Whether the script was started by hand, and not by AutoTune."""
    return _client.standalone


def trial_id() -> str:
    """Return this trial's identifier, ``standalone`` when there is none."""
    return _client.trial or "standalone"


def sequence_id() -> int:
    """Return this trial's number in its experiment, from 0."""
    return int(_client.number)


def _payload(value: Any, metrics: Mapping[str, Any]) -> Union[float, Dict[str, float]]:
    number = _number("value", value)
    if not metrics:
        return number
    if "default" in metrics:
        raise TypeError('A metric must not be called "default": that is the value itself')
    return {"default": number, **{name: _number(name, each) for name, each in metrics.items()}}


def _number(name: str, value: Any) -> float:
    if isinstance(value, (str, bytes)):
        raise TypeError(f"{name} must be a number, but got {value!r}")
    try:
        return float(value)  # NumPy's and the frameworks' scalars too
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, but got {value!r}") from None


def _step(step: Any) -> Union[int, float]:
    number = _number("step", step)
    return int(number) if number.is_integer() else number


def _line(text: str) -> str:
    """Return the answer as one line, not too long."""
    return " ".join(text.split())[:300] or "(no explanation)"


def _from_text(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise SystemExit(f"autotune_trial: expected a number, but got {text!r}") from None


_USAGE = """\
usage: autotune_trial get [NAME]                                    print one parameter, or all
       autotune_trial report NUMBER [--step N] [METRIC=NUMBER ...]  report an intermediate result
       autotune_trial final NUMBER [METRIC=NUMBER ...]              report the result
       autotune_trial attach FILE [NAME]                            keep a file with the trial
       autotune_trial id                                            print the trial's identifier"""


def _get(words: List[str]) -> None:
    parameters = get_parameters()
    if not words:
        print(json.dumps(parameters))
        return
    if words[0] not in parameters:
        raise SystemExit(f"autotune_trial: no parameter {words[0]!r} in {sorted(parameters)}")
    chosen = parameters[words[0]]
    print(chosen if isinstance(chosen, str) else json.dumps(chosen))


def _report(kind: str, words: List[str]) -> None:
    value = step = None
    metrics = {}
    pending = list(words)
    while pending:
        word = pending.pop(0)
        name, equals, number = word.partition("=")
        if word == "--step" and kind == "report" and pending:
            step = _from_text(pending.pop(0))
        elif name == "--step" and equals and kind == "report":
            step = _from_text(number)
        elif equals:
            metrics[name] = _from_text(number)
        elif value is None:
            value = _from_text(word)
        else:
            raise SystemExit(f"autotune_trial: expected METRIC=NUMBER, but got {word!r}\n{_USAGE}")
    if value is None:
        raise SystemExit(f"autotune_trial: a number to report is needed\n{_USAGE}")
    if kind == "report":
        report(value, step, **metrics)
    else:
        report_final(value, **metrics)


def _main(words: List[str]) -> None:
    command = words[0] if words else ""
    try:
        if command == "get" and len(words) <= 2:
            _get(words[1:])
        elif command in ("report", "final"):
            _report(command, words[1:])
        elif command == "attach" and 2 <= len(words) <= 3:
            attach(*words[1:])
        elif words == ["id"]:
            print(trial_id())
        elif words in (["-h"], ["--help"]):
            print(_USAGE)
        else:
            raise SystemExit(_USAGE)
    except (ServerRefused, ServerUnreachable, TypeError, OSError) as error:
        raise SystemExit(f"autotune_trial: {error}") from None


if __name__ == "__main__":
    _main(sys.argv[1:])

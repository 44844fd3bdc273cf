"""Run a trial's command and report the metrics it prints or writes: a process of its own.

``job.collecting`` puts it before the command of a trial's deciding replica, in a bare interpreter
with the standard library alone. What the command prints goes on unchanged; its lines, and those of
``spec.metrics.file``, are looked through as they come, and each new value of the objective is one
report; the scalars of ``spec.metrics.tensorboard`` are sent as they are. So is what the script
gives to ``wandb.log``, where ``WANDB_DIR`` is the trial's own: of lines and runs that have the
objective both, those count that had it first. It ends as the command ended.

Exactly once: a report has its number before it is sent, and is sent until it is answered, however
often the server restarts; a repeated one overwrites itself. A log that is rotated is read to its
end before the next one; one that is cut off is read from its start. ``metric_lines`` says what is
bounded.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from experiments.training.local.event_files import EventFiles
from experiments.training.local.growing_files import Scalar
from experiments.training.local.metric_lines import Curve, Lines, Metrics, Reader, Tail, say
from experiments.training.local.wandb_files import WandbFiles

POLL_S = 0.2
EVENTS_S = 0.5  # between two looks at TensorBoard's files
BATCH = 500  # scalars in a request
MOST_HELD = 20_000  # scalars of W&B's that wait for the first one of the objective
TRACKED = "TRACKED"  # what the sender is given of them, in the place of a report's kind
RETRY_S = 3600.0  # a server may be away so long
UNSENT = 100_000  # reports; beyond it the command's output waits
UNMEASURED = "unmeasured"  # file of the job's directory: why an exit was without the metric
_IMPORT_ROOT = Path(__file__).resolve().parents[3]


def command_of(python: str, settings: dict[str, Any], words: list[str]) -> list[str]:
    """The words that run ``main`` before a command."""
    code = f"import sys; sys.path.append({str(_IMPORT_ROOT)!r}); "
    code += "from experiments.training.local.collector import main; main()"
    return [python, "-I", "-S", "-X", "utf8", "-c", code, json.dumps(settings), *words]


class Sender:
    """Sends reports in order, one after the other, from a thread of its own."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.waiting: queue.Queue[tuple[Any, ...] | None] = queue.Queue(UNSENT)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def send(self, *report: Any) -> None:
        self.waiting.put(report)

    def finish(self) -> None:
        self.waiting.put(None)
        self.thread.join()

    def _run(self) -> None:
        told = False
        while (report := self.waiting.get()) is not None:
            try:
                if report[0] == TRACKED:
                    body = json.dumps({"id": report[1], "metrics": report[2]})
                    self.client._client._request("POST", "/tracked", body.encode())
                    continue
                self.client._client.send(*report)
            except (self.client.ServerRefused, self.client.ServerUnreachable) as error:
                if not told or report[0] == "FINAL":
                    say(str(error))
                told = True


class Collector:
    """The life of a command, from its start to its last report."""

    def __init__(self, settings: dict[str, Any], send: Any) -> None:
        self.reader = Reader(settings.get("pattern") or "", settings["objective"])
        self.curve = Curve(settings["objective"], send)
        self.output = Lines()
        file = settings.get("file")
        self.tail = Tail(file, self.reader) if file else None
        folder = settings.get("tensorboard")
        self.events = EventFiles(folder) if folder else None
        self.uses_output = self.tail is None and self.events is None
        runs = settings.get("wandb") if self.uses_output else ""
        self.runs = WandbFiles(runs) if runs else None
        self._runs_count: bool | None = None if runs else False  # None: it is not known yet
        self._held: list[Scalar] = []
        self._send = send
        self._batches, self._looked = 0, 0.0

    def run(self, child: subprocess.Popen[bytes], pipe: int) -> int:
        """Follow the command to its end; return its code as ``Popen`` has it."""
        os.set_blocking(pipe, False)
        is_open = True
        while True:
            code = child.poll()
            if is_open:
                select.select([pipe], [], [], 0 if code is not None else POLL_S)
                is_open = self._copy(pipe)
            elif code is None:
                time.sleep(POLL_S)
            self._look()
            if code is not None:
                return code

    def end(self, code: int) -> str:
        """Take the rest; return what is to be said where the metric never came."""
        while self.runs is not None and self._take_runs():
            pass
        if self.uses_output:
            for line in self.output.end():
                self._printed(self.reader.metrics(line))
            if self.curve.objective not in self.curve.seen:
                self.curve.take(self.reader.summary)
        if self.tail is not None:
            with contextlib.suppress(OSError):
                for found in self.tail.end():
                    self.curve.take(found)
        if self.events is not None:
            while self._take_events():
                pass
        if code != 0:
            self.curve.flush()
            return ""
        self.curve.finish()  # of event files the server has the last value
        return "" if self.curve.objective in self.curve.seen else self._missing()

    def _take_events(self) -> bool:
        """Send the scalars that are new; False where none were."""
        assert self.events is not None
        self._looked = time.monotonic()
        return self._send_all(self.events.read(self.curve.objective))

    def _take_runs(self) -> bool:
        """Send what W&B's runs have that is new; False where nothing was."""
        assert self.runs is not None
        self._looked = time.monotonic()
        found = list(self.runs.read(self.curve.objective))
        if self._runs_count is None:
            if any(each.tag == self.curve.objective for each in found):
                self._runs_count, found, self._held = True, [*self._held, *found], []
            else:
                self._held = [*self._held, *found][-MOST_HELD:]
        if self._runs_count:
            self._send_all(iter(found))
        return bool(found)

    def _printed(self, found: Metrics) -> None:
        """Take what a line has, unless it was in W&B's run before."""
        if self.runs is not None and self._runs_count is None and self.curve.objective in found:
            self._take_runs()
            if self._runs_count is None:
                self._runs_count, self._held = False, []
        if not self._runs_count:
            self.curve.take(found)

    def _send_all(self, scalars: Iterator[Scalar]) -> bool:
        batch: list[Scalar] = []
        for found in scalars:
            self.curve.seen[found.tag] = self.curve.seen.get(found.tag, 0) + 1
            batch.append(found)
            if len(batch) == BATCH:
                self._send_scalars(batch)
                batch = []
        if batch:
            self._send_scalars(batch)
        return bool(batch)

    def _send_scalars(self, batch: list[Scalar]) -> None:
        metrics = [{"key": each.tag, "value": each.value, "step": each.step} for each in batch]
        self._batches += 1
        self._send(TRACKED, f"events-{self._batches}", metrics)

    def _copy(self, pipe: int) -> bool:
        """Pass on what is there; False at the end of the stream."""
        for _ in range(64):
            try:
                data = os.read(pipe, 65536)
            except BlockingIOError:
                return True
            if not data:
                return False
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(1, rest) :]
            for line in self.output.feed(data):
                if self.uses_output and (found := self.reader.metrics(line)):
                    self._printed(found)
        return True

    def _look(self) -> None:
        if self.tail is not None:
            with contextlib.suppress(OSError):
                for found in self.tail.read():
                    self.curve.take(found)
        if self.events is not None and time.monotonic() - self._looked > EVENTS_S:
            self._take_events()
        if self.runs is not None and time.monotonic() - self._looked > EVENTS_S:
            self._take_runs()
        self.curve.flush_if_idle()

    def _missing(self) -> str:
        places = [f"{self.output.count} lines of its output"] if self.uses_output else []
        if self.tail is not None:
            places.append(self.tail.describe())
        places += [each.describe() for each in (self.events, self.runs) if each is not None]
        names = [f"{name} ({count}×)" for name, count in list(self.curve.seen.items())[:8]]
        last = "; ".join(repr(line) for line in self.output.last) if self.uses_output else ""
        found, looked_at = ", ".join(names) or "none", "; ".join(places)
        said = [
            f"The metric '{self.curve.objective}' of spec.metrics was not found.",
            f"Looked at: {looked_at}.",
            f"Metrics found: {found}.",
            *([f"Last lines: {last}"] if last else []),
        ]
        return " ".join(said)[:1000]


def main() -> None:
    """With the settings and the command as arguments: see the module's head."""
    settings, words = json.loads(sys.argv[1]), sys.argv[2:]
    sys.path.append(settings["client_dir"])
    import autotune_trial

    autotune_trial.retry_seconds = RETRY_S
    # A handler, not "ignore", which the command would inherit. Who stops the trial stops both.
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    sender = Sender(autotune_trial)
    collector = Collector(settings, sender.send)  # before the command writes its file
    read_end, write_end = os.pipe()
    try:
        child = subprocess.Popen(
            words, executable=settings["executable"], stdout=write_end, stderr=write_end
        )
    except OSError as error:
        say(f"{words[0]} cannot be started: {error.strerror or error}")
        sys.exit(127)
    os.close(write_end)
    code = collector.run(child, read_end)
    missing = collector.end(code)
    sender.finish()
    if missing:
        if settings.get("is_named", True):
            say(missing)
        _leave(missing, settings.get("directory") or "")
    if code < 0:  # as it died, so do we: who supervises us tells the signals apart
        with contextlib.suppress(OSError):  # SIGKILL has no handler to set
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


def _leave(text: str, directory: str) -> None:
    """Say for the trial's reason why there is no result."""
    with contextlib.suppress(OSError), open(f"{directory}/{UNMEASURED}", "w") as file:
        file.write(text)

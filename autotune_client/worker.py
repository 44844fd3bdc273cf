"""Who runs trials of a study here: threads, or processes, that ask, call the objective, and tell.

Called by ``tune``. A process that dies (a crash of native code, the kernel's memory killer) costs
its trial a new start and nothing more: who started it gives the trial back and starts another.
Processes end with the program that started them, however that ends.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any

from autotune_client.errors import AutoTuneError, NoServer, Unreachable
from autotune_client.study import Study, Trial
from autotune_client.suggest import is_prune

__all__ = ["Objective", "run_processes", "run_threads"]

Objective = Callable[[Trial], Any]
Said = Callable[[Trial | None], None]  # which trial is at work, None behind it
RESTARTS = 3  # of processes that died in a row without telling of a trial


def work(
    study: Study, objective: Objective, stopping: threading.Event, said: Said | None = None
) -> None:
    """Run trials until there are none any more, or ``stopping`` is set."""
    while not stopping.is_set():
        try:
            trial = study.ask(wait=5.0)
        except TimeoutError:
            continue
        if trial is None:
            return
        if said is not None:
            said(trial)
        run_one(study, objective, trial)
        if said is not None:
            said(None)


def run_one(study: Study, objective: Objective, trial: Trial) -> None:
    """Call the objective, and tell what came of it; its exceptions are the trial's."""
    try:
        found = objective(trial)
        value, metrics = _parted(found)
    except Exception as error:
        if is_prune(error):
            _tell_stopped(study, trial)
        elif isinstance(error, Unreachable | NoServer):  # no fault of the objective's
            study.tell(trial, lost=f"{type(error).__name__}: {error}")
            raise
        else:
            traceback.print_exc()
            study.tell(trial, failed=_words(error))
        return
    except BaseException:  # Ctrl-C, sys.exit: the trial is of use to others
        study.tell(trial, lost="Its program was interrupted.")
        raise
    try:
        study.tell(trial, value, metrics=metrics)
    except TypeError as error:
        study.tell(trial, failed=f"The objective returned no result: {error}")


def _parted(found: Any) -> tuple[Any, dict[str, float] | None]:
    """The value, and further metrics: of ``value`` or ``(value, {"name": …})``."""
    if isinstance(found, tuple) and len(found) == 2 and isinstance(found[1], dict):
        return found
    return found, None


def _tell_stopped(study: Study, trial: Trial) -> None:
    """Because it was told to, or by itself: then its last report counts."""
    study.tell(trial, stopped=trial.stop_reason or "Stopped by the objective.")


def _words(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    where = f" (line {frames[-1].lineno} of {os.path.basename(frames[-1].filename)})"
    return f"{type(error).__name__}: {error}"[:2000] + where


# ---------------------------------------------------------------- threads


def run_threads(study: Study, objective: Objective, n: int) -> None:
    """``n`` trials at once in threads of this process; one runs in the caller's own.

    Raises what kept a thread from going on.
    """
    stopping = threading.Event()
    failures: list[BaseException] = []

    def one() -> None:
        try:
            work(study, objective, stopping)
        except BaseException as error:
            failures.append(error)
            stopping.set()

    threads = [threading.Thread(target=one, name=f"trial-{i}", daemon=True) for i in range(n - 1)]
    for thread in threads:
        thread.start()
    try:
        work(study, objective, stopping)
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]


# ---------------------------------------------------------------- processes


class _Process:
    """One process that runs trials, and what it said last."""

    def __init__(self, context: Any, study: Study, objective: Objective) -> None:
        self.heard, said = context.Pipe(duplex=False)
        alive, self._alive = context.Pipe(duplex=False)  # closed when we end, however
        arguments = (study, objective, said, alive, self._alive, self.heard)
        self.process = context.Process(target=_main, args=arguments, daemon=False)
        self.process.start()
        said.close()
        alive.close()
        self.at_work: tuple[int, int] | None = None  # number and attempt
        self.n_done = 0
        self.error = ""

    def read(self) -> bool:
        """Take in what it said; False once it has ended."""
        try:
            message = self.heard.recv()
        except (EOFError, OSError):
            return False
        if isinstance(message, str):
            self.error = message
        else:
            self.n_done += message is None
            self.at_work = message
        return True

    def end(self) -> None:
        self._alive.close()
        self.process.join(5)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def _main(
    study: Study,
    objective: Objective,
    said: Connection,
    alive: Connection,
    *of_parent: Connection,
) -> None:
    """The process: trials until there are none, or until who started it has gone."""
    for end in of_parent:  # forked copies: with them nobody would see the other's end
        end.close()

    def watch() -> None:
        try:
            alive.recv()
        except (EOFError, OSError):
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()

    def say(trial: Trial | None) -> None:
        said.send(None if trial is None else (trial.number, trial.attempt))

    try:
        work(study, objective, threading.Event(), say)
    except KeyboardInterrupt:
        pass
    except BaseException as error:
        traceback.print_exc()
        said.send(f"{type(error).__name__}: {error}")
    sys.stdout.flush()
    sys.stderr.flush()


def run_processes(study: Study, objective: Objective, n: int) -> str | None:
    """``n`` trials at once, each in a process of its own; returns why they gave up, if they did.

    They are forked, so the objective may be any function; a process that dies is replaced.
    """
    context = multiprocessing.get_context("fork" if _may_fork() else "spawn")
    study.client.url  # noqa: B018  (a server that must be started is started once, by us)
    running = [_Process(context, study, objective) for _ in range(n)]
    deaths = 0
    try:
        while running:
            ready = wait([each.heard for each in running], timeout=1.0)
            for each in [one for one in running if one.heard in ready]:
                before = each.n_done
                if each.read():
                    deaths = 0 if each.n_done > before else deaths
                    continue
                running.remove(each)
                each.process.join()
                if each.error:
                    return each.error
                if each.process.exitcode == 0:
                    continue
                deaths += 1
                _give_back(study, each)
                if deaths > RESTARTS * n:
                    return f"Processes end one after another (exit code {each.process.exitcode})."
                running.append(_Process(context, study, objective))
    finally:
        for each in running:
            each.end()
    return None


def _give_back(study: Study, dead: _Process) -> None:
    """Its trial starts anew at once, rather than after so much silence."""
    if dead.at_work is None:
        return
    number, attempt = dead.at_work
    code: int | None = dead.process.exitcode
    how = f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}"
    with suppress(AutoTuneError):  # told already, or somebody else's
        study.tell(number, lost=f"Its process ended ({how}).", attempt=attempt)


def _may_fork() -> bool:
    return sys.platform == "linux"

"""The trial that this process belongs to: what the callbacks of ``autotune_client`` speak through.

Standard library alone. ``autotune_trial``, which every local trial finds on its path, does the
speaking; elsewhere it is taken from an installed ``autotune-web``.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import signal
import sys
import threading
from collections.abc import Mapping
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

_TAKEN = ("default", "value", "step")  # words of autotune_trial.report


def _speaker() -> Any:
    """The module ``autotune_trial``."""
    try:
        import autotune_trial
    except ImportError:
        bundle = importlib.util.find_spec("autotune_bundle")
        if bundle is None or not bundle.origin:
            raise ImportError(
                "autotune_trial is not there: install autotune-web, or fetch the file "
                "/client/autotune_trial.py from your AutoTune server"
            ) from None
        sys.path.append(str(Path(bundle.origin).parent / "files/experiments/training/client"))
        import autotune_trial
    return autotune_trial


speaker = _speaker()


class Trial:
    """Reports to the trial, and hears whether it is to stop. A callback has one.

    Args:
        metric: the name of the value that decides.
        final: report the last value as the result when the script ends, unless it has done so.
    """

    def __init__(self, metric: str, final: bool = True) -> None:
        if not isinstance(metric, str) or not metric:
            raise TypeError(f"metric must be the name of a metric, but got {metric!r}")
        self.metric = metric
        self.last: dict[str, float] = {}
        self._is_told = False
        self._final, self._process = final, os.getpid()
        self._listen()
        if final:
            atexit.register(self.finish)

    def report(self, values: Mapping[str, Any], step: Any) -> None:
        """Report what there is; the metric that decides must be in it.

        Raises:
            KeyError: naming those that are there instead.
        """
        numbers = as_numbers(values)
        if self.metric not in numbers:
            there = ", ".join(sorted(numbers)) or "none"
            raise KeyError(f"AutoTune: there is no metric {self.metric!r}; there are: {there}")
        self._begin_in_a_child()
        self.last = numbers
        others = {name: numbers[name] for name in numbers if name != self.metric}
        speaker.report(numbers[self.metric], step, **others)

    def finish(self) -> None:
        """Report the result, unless the script did, or the trial was told to stop."""
        if not self.last or speaker.has_final() or self.should_stop():
            return
        others = {name: value for name, value in self.last.items() if name != self.metric}
        speaker.report_final(self.last[self.metric], **others)

    def should_stop(self) -> bool:
        """Whether nobody waits for the result any more: AutoTune said so, or sent SIGTERM."""
        return self._is_told or speaker.should_stop()

    def _begin_in_a_child(self) -> None:
        """What ``multiprocessing`` starts, as some launchers do, runs nothing of ``atexit``."""
        if self._process == os.getpid():
            return
        self._process = os.getpid()
        self._listen()
        if self._final:
            Finalize(None, self.finish, exitpriority=1)

    def _listen(self) -> None:
        """Take SIGTERM for a word, so that training ends in order; SIGKILL follows in 5 s."""
        if speaker.is_standalone() or threading.current_thread() is not threading.main_thread():
            return
        before = signal.getsignal(signal.SIGTERM)
        if before not in (signal.SIG_DFL, None) and not callable(before):
            return  # the script ignores it

        def told(number: int, frame: Any) -> None:
            self._is_told = True
            if callable(before):
                before(number, frame)

        signal.signal(signal.SIGTERM, told)


def as_numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """The numbers among ``values``, tensors of one element too, by names that can be reported."""
    found: dict[str, float] = {}
    for name, value in values.items():
        number = _number(value)
        if number is not None:
            found[f"{name}_" if name in _TAKEN else str(name)] = number
    return found


def _number(value: Any) -> float | None:
    if isinstance(value, (str, bytes)) or value is None:
        return None
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):  # what has several elements
        return None


def is_first() -> bool:
    """Whether this is the process of its trial that reports, as launchers number them."""
    for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK"):
        if os.environ.get(name, "").isdecimal():
            return int(os.environ[name]) == 0
    return True

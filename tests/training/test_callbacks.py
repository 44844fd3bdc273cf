"""Callbacks for frameworks that are not here, called in the order that their manuals give.

``tests/e2e/test_trackers.py`` runs the others in real ones.
"""

from __future__ import annotations

import importlib
import multiprocessing
import signal
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.training.conftest import CLIENT_DIR


class Speaker(ModuleType):
    """Stands for ``autotune_trial``."""

    def __init__(self) -> None:
        super().__init__("autotune_trial")
        self.sent: list[tuple[Any, ...]] = []
        self.is_told = self.is_final = False

    def report(self, value: Any, step: Any, **others: Any) -> None:
        self.sent.append((value, step, others))

    def report_final(self, value: Any, **others: Any) -> None:
        self.sent.append(("final", value))

    def should_stop(self) -> bool:
        return self.is_told

    def has_final(self) -> bool:
        return self.is_final

    def is_standalone(self) -> bool:
        return False


@pytest.fixture
def speaker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Speaker]:
    """The modules of ``autotune_client``, loaded anew around it."""
    before = signal.getsignal(signal.SIGTERM)
    found = Speaker()
    monkeypatch.setitem(sys.modules, "autotune_trial", found)
    monkeypatch.syspath_prepend(str(CLIENT_DIR))
    for name in [name for name in sys.modules if name.partition(".")[0] == "autotune_client"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr("atexit.register", lambda call: None)
    yield found
    signal.signal(signal.SIGTERM, before)
    for name in [name for name in sys.modules if name.partition(".")[0] == "autotune_client"]:
        del sys.modules[name]


@pytest.fixture
def lightning(speaker: Speaker, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Our callback, with as much of Lightning as it needs to be imported."""
    fake = ModuleType("lightning.pytorch")
    fake.Callback = type("Callback", (), {})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lightning", ModuleType("lightning"))
    monkeypatch.setitem(sys.modules, "lightning.pytorch", fake)
    return importlib.import_module("autotune_client.callbacks.lightning")


class Trainer(SimpleNamespace):
    """What a callback sees of Lightning's Trainer: this process is one of two."""

    def __init__(self, rank: int, others_say_stop: bool = False) -> None:
        super().__init__(
            is_global_zero=rank == 0, callback_metrics={}, global_step=0, sanity_checking=False,
            should_stop=False, asked=[],
        )  # fmt: skip

        def decide(decision: bool, all: bool) -> bool:
            assert all is False
            self.asked.append(decision)
            return decision or others_say_stop

        self.strategy = SimpleNamespace(reduce_boolean_decision=decide)


def test_lightning_reports_each_validation_once_and_the_sanity_check_never(
    lightning: Any, speaker: Speaker
) -> None:
    callback, trainer = lightning.AutoTune("val_loss"), Trainer(0)
    trainer.sanity_checking = True
    trainer.callback_metrics = {"val_loss": 9}
    callback.on_validation_end(trainer, None)
    trainer.sanity_checking = False
    for epoch, loss in enumerate([0.5, 0.25]):
        trainer.global_step += 10
        trainer.callback_metrics = {"val_loss": loss, "step": epoch, "word": "x"}
        callback.on_validation_end(trainer, None)
        callback.on_train_epoch_end(trainer, None)

    assert speaker.sent == [(0.5, 10, {"step_": 0}), (0.25, 20, {"step_": 1})]
    assert trainer.asked == [False, False]
    callback.trial.finish()
    assert speaker.sent[-1] == ("final", 0.25)


def test_lightning_without_validation_reports_epochs_and_names_what_there_is(
    lightning: Any, speaker: Speaker
) -> None:
    callback, trainer = lightning.AutoTune("loss"), Trainer(0)
    trainer.callback_metrics, trainer.global_step = {"loss": 1}, 5
    callback.on_train_epoch_end(trainer, None)
    assert speaker.sent == [(1, 5, {})]
    trainer.callback_metrics, trainer.global_step = {"acc": 1, "b": 2}, 6
    with pytest.raises(KeyError, match="no metric 'loss'; there are: acc, b"):
        callback.on_train_epoch_end(trainer, None)


@pytest.mark.parametrize("rank", [0, 1])
def test_under_ddp_process_0_reports_and_both_stop(
    lightning: Any, speaker: Speaker, rank: int
) -> None:
    trainer = Trainer(rank, others_say_stop=rank == 1)
    speaker.is_told = rank == 0  # only who reports is answered
    callback = lightning.AutoTune("val_loss")
    trainer.callback_metrics, trainer.global_step = {"val_loss": 1}, 1
    callback.on_validation_end(trainer, None)

    assert trainer.should_stop is True
    assert len(speaker.sent) == (1 if rank == 0 else 0)
    callback.trial.finish()
    assert len(speaker.sent) == (1 if rank == 0 else 0)  # it was told to stop: no result


def test_sigterm_ends_training_in_order_and_what_listened_before_still_hears(
    lightning: Any, speaker: Speaker
) -> None:
    heard: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    callback = lightning.AutoTune("val_loss")
    assert callback.trial.should_stop() is False
    signal.raise_signal(signal.SIGTERM)
    assert (callback.trial.should_stop(), heard) == (True, [signal.SIGTERM])


def test_a_result_that_the_script_reported_stands_alone(lightning: Any, speaker: Speaker) -> None:
    callback, trainer = lightning.AutoTune("loss"), Trainer(0)
    trainer.callback_metrics = {"loss": 1}
    callback.on_train_epoch_end(trainer, None)
    speaker.is_final = True
    callback.trial.finish()
    assert speaker.sent == [(1, 0, {})]


def test_a_child_of_multiprocessing_reports_its_result_as_it_ends(
    lightning: Any, speaker: Speaker
) -> None:
    """As under Lightning's ddp_spawn, where it is the child that trains."""
    callback, heard = lightning.AutoTune("val_loss"), multiprocessing.SimpleQueue()
    speaker.report_final = lambda value, **others: heard.put(value)  # type: ignore[method-assign]

    def train() -> None:
        trainer = Trainer(0)
        for step, loss in enumerate([0.5, 0.25]):
            trainer.global_step, trainer.callback_metrics = step, {"val_loss": loss}
            callback.on_validation_end(trainer, None)

    child = multiprocessing.get_context("fork").Process(target=train)
    child.start()
    child.join(20)
    assert (child.exitcode, heard.empty()) == (0, False)
    assert heard.get() == 0.25
    assert heard.empty()

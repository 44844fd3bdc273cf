"""The log of an ended pod is asked for once, however many workers see it end."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from experiments.training.kubernetes import logs
from experiments.training.kubernetes.logs import LogKeeper

POD = {
    "metadata": {"uid": "u1", "name": "p", "namespace": "n", "labels": {}},
    "spec": {"containers": [{"name": "pytorch"}]},
    "status": {"containerStatuses": [{"name": "pytorch", "state": {"terminated": {}}}]},
}


class Api:
    """Counts who asks, and takes its time."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.may_answer = threading.Event()

    def stream(self, path: str, *_: Any, **__: Any) -> Api:
        self.asked.append(path)
        return self

    def chunks(self) -> Iterator[bytes]:
        assert self.may_answer.wait(10)
        yield b"said\n"


def keepers(root: Path, api: Any, count: int) -> list[LogKeeper]:
    return [LogKeeper(root, lambda: api) for _ in range(count)]


def wait(check: Any) -> None:
    limit = time.monotonic() + 10
    while not check():
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_three_workers_ask_once(tmp_path: Path) -> None:
    api = Api()
    three = keepers(tmp_path, api, 3)
    for keeper in three:
        keeper.keep("job", POD)
    wait(lambda: api.asked)
    assert not any(keeper.is_kept("job", [POD]) for keeper in three), "it is on its way"
    api.may_answer.set()
    wait(lambda: all(keeper.is_kept("job", [POD]) for keeper in three))
    assert len(api.asked) == 1
    (log,) = three[2].files("job")
    assert three[2].read("job", log.name, 0, 100) == b"said\n"
    assert [path.name for path in (tmp_path / "job" / ".kept").iterdir()] == ["u1"]
    for keeper in three:
        keeper.close()


def test_who_died_at_it_is_waited_for_no_longer(tmp_path: Path) -> None:
    api = Api()
    api.may_answer.set()
    taken = tmp_path / "job" / ".kept" / "u1.taken"
    taken.parent.mkdir(parents=True)
    taken.touch()
    long_ago = time.time() - logs.TAKEN_S - 1
    os.utime(taken, (long_ago, long_ago))
    (keeper,) = keepers(tmp_path, api, 1)
    keeper.keep("job", POD)
    wait(lambda: keeper.is_kept("job", [POD]))
    assert len(api.asked) == 1
    assert keeper.files("job")
    keeper.close()

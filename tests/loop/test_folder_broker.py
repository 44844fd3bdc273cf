"""The folder broker: every message arrives once and whole, whoever writes and reads at once."""

from __future__ import annotations

import threading
from collections import Counter
from queue import Empty
from typing import Any

import pytest
from kombu import Connection

from autotune_web import celery  # noqa: F401  registers the transport


@pytest.fixture
def connect(tmp_path) -> Any:
    def connect() -> Connection:
        return Connection(
            "folder://localhost",
            transport_options={
                "data_folder_in": str(tmp_path),
                "data_folder_out": str(tmp_path),
                "control_folder": str(tmp_path / "control"),
            },
        )

    return connect


def test_every_message_arrives_exactly_once_from_many_writers_to_many_readers(connect):
    received: list[int] = []
    failures: list[BaseException] = []
    done = threading.Event()

    def guard(work: Any, *args: Any) -> None:
        try:
            work(*args)
        except BaseException as error:
            failures.append(error)

    def write(first: int) -> None:
        with connect() as connection, connection.SimpleQueue("jobs") as queue:
            for number in range(first, first + 50):
                queue.put(number)

    def read() -> None:
        with connect() as connection, connection.SimpleQueue("jobs") as queue:
            while True:
                last_round = done.is_set()
                try:
                    message = queue.get(timeout=0.1)
                except Empty:
                    if last_round:
                        return
                    continue
                received.append(message.payload)
                message.ack()

    readers = [threading.Thread(target=guard, args=(read,)) for _ in range(2)]
    writers = [threading.Thread(target=guard, args=(write, n * 50)) for n in range(4)]
    for thread in (*readers, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in readers:
        thread.join()
    assert failures == []
    assert Counter(received) == Counter(range(200))


def test_messages_come_in_the_order_they_were_sent_and_can_be_counted_and_purged(connect):
    with connect() as connection, connection.SimpleQueue("orders") as queue:
        for number in range(5):
            queue.put(number)
        assert queue.qsize() == 5
        assert [queue.get(timeout=1).payload for _ in range(3)] == [0, 1, 2]
        assert queue.clear() == 2
        with pytest.raises(Empty):
            queue.get(block=False)

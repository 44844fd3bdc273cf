"""The folder broker: every message arrives once and whole, whoever writes and reads at once."""

from __future__ import annotations

import threading
from collections import Counter
from queue import Empty
from typing import Any

import pytest
from kombu import Connection

from autotune_web import (
    celery,  # noqa: F401  registers the transport
    folder_broker,
)


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


def test_who_finds_a_queue_bound_already_waits_until_the_table_holds_it(connect, monkeypatch):
    begun, go_on = threading.Event(), threading.Event()
    write = folder_broker._write_whole

    def write_slowly(*args: Any) -> None:
        begun.set()
        assert go_on.wait(10)
        write(*args)

    def open_queue() -> None:
        with connect() as connection, connection.SimpleQueue("shared") as queue:
            queue.put("hello")

    with monkeypatch.context() as patch:
        patch.setattr(folder_broker, "_write_whole", write_slowly)
        first = threading.Thread(target=open_queue)
        first.start()
        assert begun.wait(10)
    second = threading.Thread(target=open_queue)
    second.start()
    second.join(0.3)
    assert second.is_alive()  # it would have published to nobody
    go_on.set()
    first.join()
    second.join()
    with connect() as connection, connection.SimpleQueue("shared") as queue:
        assert queue.qsize() == 2


def test_messages_come_in_the_order_they_were_sent_and_can_be_counted_and_purged(connect):
    with connect() as connection, connection.SimpleQueue("orders") as queue:
        for number in range(5):
            queue.put(number)
        assert queue.qsize() == 5
        assert [queue.get(timeout=1).payload for _ in range(3)] == [0, 1, 2]
        assert queue.clear() == 2
        with pytest.raises(Empty):
            queue.get(block=False)

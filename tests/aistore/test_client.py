"""The client against a server that answers as AIStore does: what it sends, and what it says."""

from __future__ import annotations

import logging
import socket
import traceback
from typing import Any

import pytest

from experiments.aistore.client import (
    FOLDER,
    MIB,
    RUN,
    AIStore,
    AIStoreError,
    NameTaken,
    NewNode,
    NoRight,
    NotAIStore,
    NotFound,
    Rejected,
    Unavailable,
    WrongKey,
    part_size,
)
from tests.aistore.server import KEY, FakeAIStore, Refuse

UNKNOWN = "99999999-9999-4999-8999-999999999999"


@pytest.fixture
def store(aistore: Any) -> AIStore:
    return AIStore(aistore.url, KEY)


def told(error: BaseException) -> str:
    """Everything that a log could show of an error: text, causes, contexts, arguments."""
    shown = "".join(traceback.format_exception(error)) + repr(error) + repr(error.args)
    while error := error.__cause__ or error.__context__:  # type: ignore[assignment]
        shown += repr(error) + str(error)
    return shown


def failing(store: AIStore, aistore: FakeAIStore, answer: Any) -> AIStoreError:
    aistore.fail = lambda method, path: answer
    with pytest.raises(AIStoreError) as caught:
        store.user()
    assert KEY not in told(caught.value)
    return caught.value


def test_it_knows_its_user(store: AIStore):
    assert store.user() == "alice"


def test_a_node_is_made_found_and_changed(store: AIStore, aistore: Any):
    new = NewNode("/alice/results", "a", FOLDER, ["x"], "words", {"createdTimestamp": "now"})
    made = store.create(new)
    found = store.info("/alice/results/a")
    assert (found.id, found.type, found.extra) == (made, FOLDER, {"createdTimestamp": "now"})
    assert store.info(made).path == "/alice/results/a"
    store.update(new.path, labels=["y"], description="others")
    assert aistore.nodes[new.path]["labels"] == ["y"]
    assert aistore.nodes[new.path]["description"] == "others"
    assert aistore.nodes[new.path]["storageType"] == 0


def test_a_list_is_read_to_its_last_page(
    store: AIStore, aistore: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("experiments.aistore.client.PAGE", 3)
    names = [f"n{i}" for i in range(7)]
    for name in names:
        aistore.add(f"/alice/results/{name}")
    assert [node.name for node in store.nodes("/alice/results")] == names
    assert list(store.nodes("/alice/results/n0")) == []


def test_an_upload_is_one_named_untyped_part(store: AIStore, aistore: Any):
    store.create(NewNode("/alice/results", "run", RUN))
    content = b"a: 1\r\n--\r\n\x00\xff"
    store.upload("/alice/results/run", "metrics/val.yaml", content)
    assert aistore.objects == {"/alice/results/run/metrics/val.yaml": content}
    store.upload("/alice/results/run", "metrics/val.yaml", b"")
    assert aistore.objects == {"/alice/results/run/metrics/val.yaml": b""}


def test_more_than_100_mib_goes_in_parts(store: AIStore, aistore: Any):
    store.create(NewNode("/alice/results", "run", RUN))
    content = bytes(range(256)) * (4 * 1024) * 101  # 101 MiB
    store.upload("/alice/results/run", "model.bin", content)
    assert aistore.objects["/alice/results/run/model.bin"] == content
    parts = [path for method, path in aistore.requests if method == "PUT"]
    assert len(parts) == 11  # of 10 MiB: the root of 101, rounded down
    assert part_size(len(content)) == 10 * MIB


@pytest.mark.parametrize("tells_path", [True, False])
def test_a_folder_is_found_by_its_id(store: AIStore, aistore: Any, tells_path: bool):
    aistore.tells_path = tells_path
    aistore.add("/alice/other")
    deep = aistore.add("/alice/results/deep")
    assert store.path_of_folder(aistore.folder_id) == "/alice/results"
    assert store.path_of_folder(deep) == "/alice/results/deep"


def test_a_folder_that_no_walk_finds_is_addressed_by_its_id(store: AIStore, aistore: Any):
    aistore.tells_path = False
    aistore._may_see = lambda path, user: None  # somebody else's, shared with alice
    shared = aistore.add("/bob/shared")
    assert store.path_of_folder(shared) == shared


def test_only_a_folder_will_do(store: AIStore, aistore: Any):
    run = aistore.add("/alice/results/r", "Run")
    with pytest.raises(Rejected, match="is of type Run, not Folder"):
        store.path_of_folder(run)
    with pytest.raises(NotFound, match="node not found"):
        store.path_of_folder("nothing")


def test_a_wrong_key_is_told_without_repeating_it(aistore: Any):
    with pytest.raises(WrongKey, match="does not know the API key") as caught:
        AIStore(aistore.url, UNKNOWN).user()
    assert UNKNOWN not in told(caught.value)
    assert caught.value.permanent
    assert caught.value.concerns_all


@pytest.mark.parametrize("key", ["", "abc", KEY.upper(), KEY + "\n", KEY.replace("-", "")])
def test_a_key_of_another_form_is_never_sent(aistore: Any, key: str):
    with pytest.raises(WrongKey, match="8-4-4-4-12"):
        AIStore(aistore.url, key)
    assert aistore.requests == []


def test_a_taken_name_a_missing_parent_and_a_missing_right_differ(store: AIStore, aistore: Any):
    new = NewNode("/alice/results", "a", FOLDER)
    store.create(new)
    with pytest.raises(NameTaken):
        store.create(new)
    with pytest.raises(NotFound):
        store.create(NewNode("/alice/nowhere", "a", FOLDER))
    with pytest.raises(NoRight, match="permission denied"):
        store.create(NewNode("/bob", "a", FOLDER))


@pytest.mark.parametrize("status", [500, 502, 503, 429, 408])
def test_trouble_of_the_server_passes(store: AIStore, aistore: Any, status: int):
    error = failing(store, aistore, Refuse(status, f"boom apikey={KEY} {KEY}"))
    assert isinstance(error, Unavailable)
    assert not error.permanent
    assert str(status) in str(error)
    assert "***" in str(error)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("redirect", NotAIStore),
        ("html", NotAIStore),
        (Refuse(404, ""), NotAIStore),
        (Refuse(401, "no"), WrongKey),
        (Refuse(400, "query is needed"), WrongKey),
        (Refuse(403, "permission denied"), NoRight),
        (Refuse(422, "no such thing"), Rejected),
        (Refuse(200, "[1, 2]"), NotAIStore),
        (Refuse(200, "{}"), NotAIStore),
    ],
)
def test_what_will_not_pass_by_itself(store: AIStore, aistore: Any, answer: Any, kind: type):
    error = failing(store, aistore, answer)
    assert type(error) is kind
    assert error.permanent


def test_a_redirect_is_not_followed(store: AIStore, aistore: Any):
    failing(store, aistore, "redirect")
    assert len(aistore.requests) == 1


def test_a_slow_server_is_not_waited_for(aistore: Any):
    store = AIStore(aistore.url, KEY, timeout_s=(1, 0.2))
    error = failing(store, aistore, 1.0)
    assert isinstance(error, Unavailable)
    assert "in time" in str(error)
    assert error.concerns_all


def test_a_dropped_or_refused_connection_is_trouble_that_passes(store: AIStore, aistore: Any):
    assert not failing(store, aistore, "drop").permanent
    with socket.socket() as closed:  # bound, never listening
        closed.bind(("127.0.0.1", 0))
        away = AIStore(f"http://127.0.0.1:{closed.getsockname()[1]}", KEY)
        with pytest.raises(Unavailable, match="cannot be reached") as caught:
            away.user()
    assert KEY not in told(caught.value)


@pytest.mark.parametrize("host", ["http://", "http://no such host/", "http://[::1", "nonsense"])
def test_a_host_that_is_none_is_told_without_the_key(host: str):
    with pytest.raises(AIStoreError) as caught:
        AIStore(host, KEY).user()
    assert KEY not in told(caught.value)


def test_a_password_in_the_address_is_not_told():
    store = AIStore("http://user:pa55word@127.0.0.1:1/x", KEY)
    with pytest.raises(Unavailable) as caught:
        store.user()
    assert "pa55word" not in told(caught.value) + repr(store)
    assert KEY not in repr(store)


def test_libraries_log_no_key_even_at_debug(
    store: AIStore, aistore: Any, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.DEBUG):
        store.user()
    assert "/oauth2/userinfo?apikey=***" in caplog.text  # urllib3 does log the address
    assert KEY not in caplog.text

"""What goes wrong on the way to AIStore: what passes, what a person must mend, what others do."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from experiments.aistore import outbox, vault
from experiments.models import Experiment, Project, Upload, uploads
from experiments.selectors.present import server_note
from experiments.states import Phase
from experiments.trials import changes
from tests.aistore.conftest import (
    MakeTrial,
    card,
    folder_row,
    labels,
    pass_time,
    row_of,
    the_folder,
    upload,
)
from tests.aistore.server import KEY, OTHER_KEY, FakeAIStore, Refuse

# ---- trouble that passes


@pytest.mark.long
def test_after_a_500_it_waits_longer_and_longer_and_then_succeeds(
    running: Experiment, end_trial: MakeTrial, aistore: FakeAIStore
):
    trial = end_trial(running)
    upload_requests = ("POST", "/apis/v1/objects")
    aistore.fail = lambda *r: Refuse(500, "storage is down") if r == upload_requests else None
    waits = []
    for attempt in range(1, 9):
        upload(running)
        row = row_of(trial)
        assert (row.state, row.attempts) == (Upload.State.WAITING, attempt)
        assert "answered 500: storage is down" in row.error
        waits.append((row.next_try_at - timezone.now()).total_seconds())
        assert outbox.due_ids() == [], "not before its time"
        n = len(aistore.requests)
        upload(running)
        assert not [r for r in aistore.requests[n:] if r[0] == "POST"]
        pass_time()
    assert 4 < waits[0] < 6
    assert all(later > earlier for earlier, later in itertools.pairwise(waits[:7]))
    assert uploads.wait_s(50) <= uploads.LONGEST_WAIT_S * 1.1
    shown = card(running)
    assert (shown["state"], shown["uploaded"], shown["runs"]) == ("retrying", 0, 1)
    assert running.events.filter(what="upload failed").count() == 1, "told once"
    aistore.fail = lambda *r: None
    upload(running)
    assert card(running)["state"] == "done"
    assert len(aistore.below(the_folder(aistore))) == 1, "the retry hit the same node"
    assert aistore.count("POST", "/apis/v1/nodes") == 10, "the folder once, the run nine times"


def test_a_broken_upload_is_made_whole_on_the_same_node(
    running: Experiment, end_trial: MakeTrial, aistore: FakeAIStore
):
    trial = end_trial(running)
    calls = {"n": 0}

    def fail_at_the_fourth_object(method: str, path: str) -> Any:
        if (method, path) != ("POST", "/apis/v1/objects"):
            return None
        calls["n"] += 1
        return "drop" if calls["n"] == 4 else None

    aistore.fail = fail_at_the_fourth_object
    upload(running)
    folder = the_folder(aistore)
    (path,) = aistore.below(folder)
    node_id = aistore.nodes[path]["id"]
    assert "metadata.yaml" not in aistore.objects_of(path), "an unfinished Run has no metadata"
    pass_time()
    upload(running)
    assert row_of(trial).node_id == node_id
    assert "metadata.yaml" in aistore.objects_of(path)
    assert list(aistore.below(folder)) == [path]


def test_a_lost_answer_to_create_makes_no_second_folder(
    running: Experiment, aistore: FakeAIStore, monkeypatch: pytest.MonkeyPatch
):
    real = aistore.answer

    def lose(method: str, route: str, *rest: Any) -> Any:
        found = real(method, route, *rest)
        if (method, route) == ("POST", "/apis/v1/nodes"):
            raise Refuse(502, "bad gateway")
        return found

    monkeypatch.setattr(aistore, "answer", lose)
    upload(running)
    monkeypatch.setattr(aistore, "answer", real)
    assert card(running)["state"] == "retrying"
    pass_time()
    upload(running)
    assert folder_row(running).node_path == the_folder(aistore)
    assert running.events.filter(what="upload well again").count() == 1


def test_a_timeout_is_trouble_that_passes(
    running: Experiment,
    end_trial: MakeTrial,
    aistore: FakeAIStore,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("experiments.aistore.uploader.AIStore", _hasty)
    end_trial(running)
    aistore.fail = lambda method, path: 0.6 if path.endswith("/nodes") else None
    upload(running)
    shown = card(running)
    assert shown["state"] == "retrying"
    assert "did not answer in time" in shown["error"]
    aistore.fail = lambda method, path: None
    pass_time()
    upload(running)
    assert card(running)["state"] == "done"


def _hasty(host: str, key: str) -> Any:
    from experiments.aistore.client import AIStore

    return AIStore(host, key, timeout_s=(1, 0.2), upload_timeout_s=(1, 0.2))


def test_a_server_that_is_away_is_asked_once_a_pass(
    running: Experiment, end_trial: MakeTrial, aistore: FakeAIStore
):
    upload(running)
    for _ in range(5):
        end_trial(running)
    n = len(aistore.requests)
    aistore.fail = lambda method, path: "drop"
    upload(running)
    assert len(aistore.requests) - n == 1
    assert folder_row(running).attempts == 1
    assert card(running)["next_try_at"] is not None


def test_one_run_that_fails_does_not_keep_the_others(
    running: Experiment, end_trial: MakeTrial, aistore: FakeAIStore, monkeypatch: pytest.MonkeyPatch
):
    trials = [end_trial(running) for _ in range(4)]
    real = aistore._object_path

    def refuse_one(query: dict[str, str], user: str) -> str:
        if trials[1].key in query["path"]:
            raise Refuse(500, "cursed")
        return real(query, user)

    monkeypatch.setattr(aistore, "_object_path", refuse_one)
    upload(running)
    assert [row_of(t).state for t in trials] == ["DONE", "WAITING", "DONE", "DONE"]
    assert folder_row(running).attempts == 0


# ---- trouble that a person must mend


def assert_it_stopped(running: Experiment, store: FakeAIStore, *words: str) -> None:
    shown = card(running)
    assert shown["state"] == "failed"
    assert shown["next_try_at"] is None
    for word in words:
        assert word in shown["error"]
    assert running.phase == Phase.RUNNING, "the experiment goes on"
    assert words[0] in server_note(running)
    n = len(store.requests)
    pass_time()
    assert outbox.due_ids() == []
    upload(running)
    assert len(store.requests) == n, "it is not tried again by itself"


def mend(running: Experiment) -> None:
    assert outbox.try_again(Experiment.objects.filter(pk=running.pk)) >= 1
    assert outbox.due_ids() == [running.pk]
    upload(running)
    assert card(running)["state"] == "done", card(running)


def test_a_wrong_key_stops_until_the_secret_is_set_anew(
    running: Experiment, end_trial: MakeTrial, aistore: FakeAIStore
):
    del aistore.keys[KEY]
    end_trial(running)
    upload(running)
    assert_it_stopped(running, aistore, "does not know the API key")
    aistore.keys["aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"] = "alice"
    vault.put(Project.default(), "my-key", "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee")
    assert outbox.secret_changed(Project.default(), "another") == 0
    assert outbox.secret_changed(Project.default(), "my-key") == 1
    upload(running)
    assert card(running)["state"] == "done"


def test_a_key_that_is_withdrawn_in_the_middle_stops_everything_once(
    running: Experiment, end_trial: MakeTrial, aistore: FakeAIStore
):
    end_trial(running)
    upload(running)
    del aistore.keys[KEY]
    for _ in range(3):
        end_trial(running)
    upload(running)
    shown = card(running)
    assert (shown["uploaded"], shown["runs"], shown["failed"]) == (1, 4, 1)
    assert_it_stopped(running, aistore, "does not know the API key")
    aistore.keys[KEY] = "alice"
    mend(running)
    assert card(running)["uploaded"] == 4


def test_a_missing_secret_names_the_command(running: Experiment, aistore: FakeAIStore):
    vault.remove(Project.default(), "my-key")
    upload(running)
    assert_it_stopped(running, aistore, "There is no secret 'my-key'", "manage secret my-key")
    vault.put(Project.default(), "my-key", KEY)
    mend(running)


def test_a_secret_sealed_with_another_key_says_so(
    running: Experiment, aistore: FakeAIStore, settings: Any
):
    settings.SECRET_KEY = "another"
    upload(running)
    assert_it_stopped(running, aistore, "SECRET_KEY has changed")


def test_a_missing_folder_is_named(running: Experiment, aistore: FakeAIStore):
    kept = aistore.nodes.pop("/alice/results")
    upload(running)
    assert_it_stopped(running, aistore, f"no folder '{kept['id']}'", "spec.aistore.folder")
    aistore.nodes["/alice/results"] = kept
    mend(running)


def test_no_right_is_told(running: Experiment, end_trial: MakeTrial, aistore: FakeAIStore):
    aistore.read_only.add("/alice/results")
    end_trial(running)
    upload(running)
    assert_it_stopped(running, aistore, "403: permission denied")
    aistore.read_only.clear()
    mend(running)


def test_somebody_elses_folder_is_told(running: Experiment, aistore: FakeAIStore):
    vault.put(Project.default(), "my-key", OTHER_KEY)
    upload(running)
    assert_it_stopped(running, aistore, "403: permission denied")


def test_a_name_taken_by_something_else_fails_that_run_alone(
    running: Experiment, end_trial: MakeTrial, aistore: FakeAIStore
):
    upload(running)
    folder = the_folder(aistore)
    first, second = end_trial(running), end_trial(running)
    stranger = f"{folder}/trial-0000-{first.key}"
    aistore.add(stranger, "Run", extra='{"alternativeName": "somebody-elses"}')
    upload(running)
    assert (row_of(first).state, row_of(second).state) == ("FAILED", "DONE")
    assert f"another node named 'trial-0000-{first.key}'" in card(running)["error"]
    assert aistore.objects_of(stranger) == {}, "nothing of theirs is overwritten"
    del aistore.nodes[stranger]
    mend(running)


def test_two_experiments_of_one_name_and_second_get_a_folder_each(
    running: Experiment, make_experiment: Callable[..., Experiment], aistore: FakeAIStore
):
    twin = make_experiment(running.manifest["spec"])
    twin.move(Phase.RUNNING, started_at=running.started_at)
    upload(running)
    upload(twin)
    paths = {folder_row(e).node_path for e in (running, twin)}
    assert len(paths) == 2
    assert set(aistore.below("/alice/results")) == paths
    assert folder_row(twin).node_path.endswith(twin.pk)


# ---- the world changes


@pytest.mark.parametrize("tells_path", [True, False])
def test_a_folder_that_was_moved_is_found_or_made_anew(
    running: Experiment, end_trial: MakeTrial, aistore: FakeAIStore, tells_path: bool
):
    aistore.tells_path = tells_path
    end_trial(running)
    upload(running)
    aistore.move(the_folder(aistore), "/alice/results/renamed")
    end_trial(running)
    for _ in range(3):
        upload(running)
        pass_time()
    assert card(running)["state"] == "done", card(running)
    if tells_path:
        assert len(aistore.below("/alice/results/renamed")) == 2


def test_a_run_that_somebody_removed_does_not_hold_up_the_rest(
    running: Experiment, end_trial: MakeTrial, aistore: FakeAIStore
):
    first = end_trial(running, 0.5)
    changes.update_best(running)
    upload(running)
    del aistore.nodes[row_of(first).node_path]
    second = end_trial(running, 0.9)
    changes.update_best(running)
    upload(running)
    assert card(running)["state"] == "done", card(running)
    assert labels(aistore, second)[-1] == "best"
    assert outbox.due_ids() == []

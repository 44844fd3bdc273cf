"""From the outbox to AIStore: everything once, whatever happens on the way."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import yaml
from django.db import connection, transaction
from django.utils import timezone

from experiments.aistore import outbox, vault
from experiments.models import Experiment, Metric, Project, Trial, Upload, uploads
from experiments.selectors.present import aistore_by_id, server_note
from experiments.services import actions
from experiments.states import Phase, TrialState
from experiments.trials import changes
from tests.aistore.conftest import (
    folder_row,
    pass_time,
    report,
    row_of,
    the_folder,
    upload,
)
from tests.aistore.server import KEY, OTHER_KEY, FakeAIStore, Refuse

MakeTrial = Callable[..., Trial]


def card(experiment: Experiment) -> dict[str, Any]:
    experiment.refresh_from_db()
    found = aistore_by_id([experiment])[experiment.pk]
    assert found is not None
    return found


def finish(experiment: Experiment, phase: Phase = Phase.DONE) -> None:
    changes.update_best(experiment)
    experiment.move(phase, finished_at=timezone.now())


def labels(store: FakeAIStore, trial: Trial) -> list[str]:
    return store.nodes[row_of(trial).node_path]["labels"]


# ---- the outbox


def test_a_row_is_written_with_the_trials_end_or_not_at_all(
    running: Experiment, end_trial: MakeTrial
):
    class Broken(Exception):
        pass

    def break_off() -> None:
        with transaction.atomic():
            end_trial(running)
            assert Upload.objects.filter(kind=Upload.Kind.RUN).count() == 1
            raise Broken

    with pytest.raises(Broken):
        break_off()
    assert not Upload.objects.filter(kind=Upload.Kind.RUN).exists()
    end_trial(running)
    assert Upload.objects.filter(kind=Upload.Kind.RUN).count() == 1


@pytest.mark.parametrize(
    "state", [TrialState.FAILED, TrialState.CANCELED, TrialState.LOST, TrialState.EARLY_STOPPED]
)
def test_every_end_is_an_end(running: Experiment, end_trial: MakeTrial, state: TrialState):
    end_trial(running, None, to=state)
    assert Upload.objects.filter(kind=Upload.Kind.RUN).count() == 1


def test_without_aistore_in_the_manifest_nothing_is_queued(
    make_experiment: Callable[..., Experiment], end_trial: MakeTrial
):
    experiment = make_experiment()
    experiment.move(Phase.RUNNING, started_at=timezone.now())
    end_trial(experiment)
    assert not Upload.objects.exists()
    assert aistore_by_id([experiment]) == {experiment.pk: None}


def test_the_folder_is_due_at_the_start_and_runs_at_their_ends(
    running: Experiment, end_trial: MakeTrial
):
    assert outbox.due_ids() == [running.pk]
    upload(running)
    assert outbox.due_ids() == []
    end_trial(running)
    assert outbox.due_ids() == [running.pk]
    upload(running)
    assert outbox.due_ids() == []


def test_without_a_host_nothing_is_due_and_nothing_is_lost(
    running: Experiment, end_trial: MakeTrial, settings: Any, aistore: Any
):
    settings.AISTORE_HOST = ""
    end_trial(running)
    upload(running)
    assert outbox.due_ids() == []
    assert card(running)["state"] == "off"
    settings.AISTORE_HOST = aistore.url
    upload(running)
    assert card(running)["uploaded"] == 1


# ---- what arrives


def test_an_experiment_arrives_as_a_folder_of_runs(
    running: Experiment, end_trial: MakeTrial, aistore: FakeAIStore
):
    good = end_trial(running, 0.75)
    bad = end_trial(running, None, to=TrialState.FAILED, reason="Exit code 3.", curve=())
    upload(running)
    folder = the_folder(aistore)
    assert folder == f"/alice/results/sample_{int(running.started_at.timestamp())}"
    assert aistore.nodes[folder]["labels"] == ["autotune", f"id:{running.pk}", "name:sample"]
    assert set(aistore.below(folder)) == {
        f"{folder}/trial-0000-{good.key}",
        f"{folder}/trial-0001-{bad.key}",
    }
    run = aistore.nodes[f"{folder}/trial-0000-{good.key}"]
    files = aistore.objects_of(f"{folder}/trial-0000-{good.key}")
    metadata = yaml.safe_load(files["metadata.yaml"])
    assert (run["type"], run["storageType"]) == ("Run", 2)
    assert json.loads(run["extra"]) == {"alternativeName": metadata["alternativeName"]}
    assert yaml.safe_load(files["hyperparameters.yaml"]) == good.parameters
    curve = yaml.safe_load(files["metrics/val.yaml"])
    assert [p["value"]["default"] for p in curve] == [0.25, 1e-05]
    assert [p["sequence"]["step"] for p in curve] == [100, 200]
    (final,) = yaml.safe_load(files["metrics/test.yaml"])
    assert (final["value"], final["sequence"]["step"]) == ({"default": 0.75}, 200)
    failed = yaml.safe_load(aistore.objects_of(f"{folder}/trial-0001-{bad.key}")["metadata.yaml"])
    assert failed["status"] == "Error"
    assert "Exit code 3." in failed["description"]


def test_metadata_is_the_last_object_of_a_run(
    running: Experiment, end_trial: MakeTrial, aistore: FakeAIStore
):
    end_trial(running)
    upload(running)
    keys = [path.rpartition("/")[2] for path in aistore.objects]
    assert keys[-1] == "metadata.yaml"


def test_the_end_of_a_trials_log_goes_along(
    running: Experiment, end_trial: MakeTrial, aistore: FakeAIStore, settings: Any
):
    name = f"at-{running.pk}-0-1"
    directory = settings.TRIALS_DIR / name
    directory.mkdir(parents=True)
    log = b"".join(b"line %d\n" % n for n in range(60_000))
    (directory / "worker-0.log").write_bytes(log)
    trial = end_trial(running, handle={"name": name, "replicas": ["worker-0"]})
    upload(running)
    sent = aistore.objects[f"{row_of(trial).node_path}/stdout.log"]
    first, _, rest = sent.partition(b"\n")
    assert first == b"[earlier output is left out]"
    assert len(sent) < 260 * 1024
    assert log.endswith(rest)
    assert rest.startswith(b"line ")


def test_not_finite_values_do_not_stop_a_run(
    running: Experiment, make_trial: MakeTrial, aistore: FakeAIStore
):
    trial = make_trial(running, state=TrialState.RUNNING, started_at=timezone.now())
    report(trial, Metric.Kind.PERIODICAL, 0, "NaN", step=1)
    report(trial, Metric.Kind.PERIODICAL, 1, 0.5, step=2)
    trial.move(TrialState.FAILED, finished_at=timezone.now())
    upload(running)
    curve = yaml.safe_load(aistore.objects[f"{row_of(trial).node_path}/metrics/val.yaml"])
    assert [p["value"] for p in curve] == [{"default": 0.5}]
    assert "default (NaN)" in aistore.nodes[row_of(trial).node_path]["description"]


@pytest.mark.parametrize("tells_path", [True, False])
def test_it_does_not_need_info_to_tell_paths(
    running: Experiment, end_trial: MakeTrial, aistore: FakeAIStore, tells_path: bool
):
    aistore.tells_path = tells_path
    end_trial(running)
    upload(running)
    assert card(running)["state"] == "done", card(running)
    assert len(aistore.below(the_folder(aistore))) == 1


# ---- the best, the end


def test_the_label_of_the_best_moves_with_the_best(
    running: Experiment, end_trial: MakeTrial, aistore: FakeAIStore
):
    first = end_trial(running, 0.5)
    changes.update_best(running)
    upload(running)
    assert labels(aistore, first)[-1] == "best"
    second = end_trial(running, 0.9)
    changes.update_best(running)
    upload(running)
    assert "best" not in labels(aistore, first)
    assert labels(aistore, second)[-1] == "best"
    actions.set_excluded(second, True)
    assert outbox.due_ids() == [running.pk]
    upload(running)
    assert (labels(aistore, first)[-1], "best" in labels(aistore, second)) == ("best", False)
    actions.set_excluded(first, True)  # now there is none
    upload(running)
    assert "best" not in labels(aistore, first)
    assert outbox.due_ids() == []


def test_the_folder_tells_the_end(running: Experiment, end_trial: MakeTrial, aistore: FakeAIStore):
    end_trial(running, 0.5)
    best = end_trial(running, 0.9)
    upload(running)
    described = aistore.nodes[the_folder(aistore)]
    assert described["description"] == "RUNNING."
    finish(running)
    assert outbox.due_ids() == [running.pk]
    upload(running)
    assert described["description"] == (
        f"DONE. Best: trial 1 ({best.key}) with 0.9. Trials: 2 SUCCEEDED."
    )
    assert outbox.due_ids() == []
    n = len(aistore.requests)
    upload(running)  # a second message changes nothing
    assert [r for r in aistore.requests[n:] if r[0] != "GET"] == []


def test_one_event_says_that_all_is_there(
    running: Experiment, end_trial: MakeTrial, aistore: FakeAIStore
):
    end_trial(running)
    upload(running)
    assert not running.events.filter(what="uploaded").exists()
    end_trial(running)
    finish(running)
    upload(running)
    upload(running)
    assert running.events.get(what="uploaded").reason == "All 2 runs are in AIStore."


# ---- trouble that passes


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


# ---- one at a time


def test_only_one_uploads_for_an_experiment(running: Experiment, aistore: FakeAIStore):
    lease = outbox.lease_of(running.pk)
    assert lease.take()
    assert outbox.due_ids() == []
    upload(running)
    assert aistore.requests == []
    lease.drop()
    upload(running)
    assert aistore.requests != []


def test_a_dead_uploaders_lease_runs_out(running: Experiment, aistore: FakeAIStore):
    dead = outbox.lease_of(running.pk)
    assert dead.take()
    long_ago = timezone.now() - timedelta(seconds=60)
    Upload.objects.update(lease_until=long_ago, lease_mark=long_ago)
    assert outbox.due_ids() == [running.pk]
    upload(running)
    assert folder_row(running).state == Upload.State.DONE
    assert not dead._beat()


def test_deleting_an_experiment_ends_its_uploads(
    running: Experiment, end_trial: MakeTrial, aistore: FakeAIStore
):
    end_trial(running)
    actions.delete(running)
    assert outbox.due_ids() == []
    upload(running)
    assert aistore.count("POST", "/apis/v1/nodes") == 0


@pytest.mark.django_db(transaction=True)
def test_an_experiment_may_be_deleted_in_the_middle_of_an_upload(
    running: Experiment, end_trial: MakeTrial, aistore: FakeAIStore
):
    end_trial(running)
    n_sent = 0

    def delete_at_the_third_object(method: str, path: str) -> None:
        nonlocal n_sent
        n_sent += (method, path) == ("POST", "/apis/v1/objects")
        if n_sent == 3:
            deleting.start()
            deleting.join(20)

    def delete() -> None:
        Experiment.objects.filter(pk=running.pk).delete()
        connection.close()

    deleting = threading.Thread(target=delete)
    aistore.fail = delete_at_the_third_object
    upload(running)
    assert not Upload.objects.exists()


def test_a_defect_of_ours_is_logged_and_not_met_again_at_once(
    running: Experiment,
    end_trial: MakeTrial,
    aistore: FakeAIStore,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    def broken(*args: Any, **kwargs: Any) -> None:
        raise ZeroDivisionError

    end_trial(running)
    with monkeypatch.context() as patched:
        patched.setattr("experiments.aistore.uploader.run_facts", broken)
        upload(running)
    assert "ZeroDivisionError" in card(running)["error"]
    assert "Traceback" in caplog.text
    assert outbox.due_ids() == []
    pass_time()
    upload(running)
    assert card(running)["state"] == "done"


def test_a_backlog_is_worked_off_in_turns(
    running: Experiment,
    end_trial: MakeTrial,
    aistore: FakeAIStore,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("experiments.aistore.uploader.MOST_IN_PASS", 2)
    for _ in range(3):
        end_trial(running)
    upload(running)
    assert card(running)["uploaded"] == 2
    assert outbox.due_ids() == [running.pk]
    upload(running)
    assert card(running)["uploaded"] == 3


@pytest.mark.django_db(transaction=True)
def test_many_messages_at_once_upload_everything_once(
    running: Experiment, end_trial: MakeTrial, aistore: FakeAIStore
):
    trials = [end_trial(running) for _ in range(6)]

    def work() -> None:
        try:
            upload(running)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(aistore.below(the_folder(aistore))) == len(trials)
    assert aistore.count("POST", "/apis/v1/nodes") == 1 + len(trials)


# ---- the AutoTune node


def test_the_original_form_is_written_at_the_end_where_asked_for(
    running: Experiment, end_trial: MakeTrial, aistore: FakeAIStore, settings: Any
):
    settings.AISTORE_ORIGINAL_NODE = True
    trial = end_trial(running, 0.75)
    upload(running)
    finish(running)
    upload(running)
    folder = the_folder(aistore)
    node = f"{folder}/{folder.rpartition('/')[2]}"
    assert (aistore.nodes[node]["type"], aistore.nodes[node]["storageType"]) == ("AutoTune", 2)
    files = aistore.objects_of(node)
    assert set(files) == {
        "profile.json",
        f"{trial.key}/metadata.json",
        f"{trial.key}/metrics.yaml",
    }
    assert json.loads(files["profile.json"])["searchSpace"]["lr"]["_type"] == "loguniform"
    metadata = json.loads(files[f"{trial.key}/metadata.json"])
    assert metadata["parameters"]["parameters"] == trial.parameters
    assert [
        (r["type"], r["step"], r["value"])
        for r in yaml.safe_load(files[f"{trial.key}/metrics.yaml"])
    ] == [("PERIODICAL", 100, 0.25), ("PERIODICAL", 200, 1e-05), ("FINAL", 0, 0.75)]
    assert outbox.due_ids() == []


def test_the_original_form_is_off_by_default(
    running: Experiment, end_trial: MakeTrial, aistore: FakeAIStore
):
    end_trial(running)
    finish(running)
    upload(running)
    assert {n["type"] for n in aistore.nodes.values()} == {"Folder", "Run"}

"""The outbox: what is due when, and that one uploader at a time works it off."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from experiments.aistore import outbox
from experiments.models import Experiment, Upload
from experiments.selectors.present import aistore_by_id
from experiments.services import actions
from experiments.states import Phase, TrialState
from tests.aistore.conftest import (
    MakeTrial,
    card,
    folder_row,
    pass_time,
    the_folder,
    upload,
)
from tests.aistore.server import FakeAIStore

# ---- what is due


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

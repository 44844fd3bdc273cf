"""A running AIStore, an experiment that uploads to it, and how to pass time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from experiments.aistore import uploader, vault
from experiments.models import Experiment, Metric, Project, Trial, Upload
from experiments.selectors.present import aistore_by_id
from experiments.states import Phase, TrialState
from experiments.trials import changes
from tests.aistore.server import KEY, FakeAIStore, serve

MakeTrial = Callable[..., Trial]


@pytest.fixture
def aistore(settings: Any) -> Iterator[FakeAIStore]:
    """AIStore, named by AISTORE_HOST, with alice's folder ``results``."""
    store = FakeAIStore()
    server, url = serve(store)
    store.folder_id = store.add("/alice/results")  # type: ignore[attr-defined]
    store.url = url  # type: ignore[attr-defined]
    store.server = server  # type: ignore[attr-defined]
    settings.AISTORE_HOST = url
    yield store
    server.shutdown()
    server.server_close()


@pytest.fixture
def secret(db: None) -> None:
    vault.put(Project.default(), "my-key", KEY)


@pytest.fixture
def running(
    aistore: FakeAIStore, secret: None, make_experiment: Callable[..., Experiment]
) -> Experiment:
    """An experiment that has just started and uploads to alice's folder."""
    experiment = make_experiment(
        {"aistore": {"folder": aistore.folder_id, "secret": "my-key"}}  # type: ignore[attr-defined]
    )
    experiment.move(Phase.RUNNING, started_at=timezone.now())
    return experiment


@pytest.fixture
def end_trial(make_trial: Callable[..., Trial]) -> Callable[..., Trial]:
    """Run a trial to its end: reports, then the state; keywords are its columns."""

    def end(
        experiment: Experiment,
        value: float | None = 0.5,
        *,
        to: TrialState = TrialState.SUCCEEDED,
        reason: str = "",
        curve: tuple[Any, ...] = (0.25, 1e-05),
        **columns: Any,
    ) -> Trial:
        now = timezone.now()
        trial = make_trial(
            experiment, state=TrialState.RUNNING, started_at=now - timedelta(seconds=9), **columns
        )
        for sequence, number in enumerate(curve):
            report(trial, Metric.Kind.PERIODICAL, sequence, number, step=(sequence + 1) * 100)
        if value is not None:
            report(trial, Metric.Kind.FINAL, 0, value, step=0)
            trial.metrics, trial.has_final = {"default": value}, True
            trial.save(update_fields=["metrics", "has_final"])
        trial.move(to, reason=reason, finished_at=now, value=value)
        return trial

    return end


def report(
    trial: Trial, kind: str, sequence: int, value: Any, *, step: float | None, name: str = "default"
) -> None:
    is_word = isinstance(value, str)
    Metric.objects.create(
        trial=trial, experiment=trial.experiment, kind=kind, sequence=sequence, step=step,
        name=name, value=None if is_word else value, nonfinite=value if is_word else "",
        time=timezone.now(), seq=trial.experiment.next_seq(),
    )  # fmt: skip


def upload(experiment: Experiment) -> None:
    """One pass of the uploader."""
    uploader.upload(experiment.pk)


def pass_time() -> None:
    """Let every wait be over."""
    Upload.objects.update(next_try_at=timezone.now() - timedelta(seconds=1))


def row_of(trial: Trial) -> Upload:
    return Upload.objects.get(trial=trial)


def folder_row(experiment: Experiment) -> Upload:
    return Upload.objects.get(experiment=experiment, kind=Upload.Kind.FOLDER)


def the_folder(store: FakeAIStore) -> str:
    """Path of the one folder that an experiment has in alice's results."""
    (path,) = store.below("/alice/results")
    return path


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

"""Celery's thin calls: ids in, one call out. Every task may run twice or never."""

from __future__ import annotations

from celery import shared_task

from experiments.aistore.uploader import upload
from experiments.loop.reconcile import reconcile
from experiments.mirrors.passing import mirror
from experiments.notices.delivery import deliver


@shared_task(name="experiments.tasks.reconcile_experiment")
def reconcile_experiment(experiment_id: str) -> None:
    reconcile(experiment_id)


@shared_task(name="experiments.tasks.upload_experiment")
def upload_experiment(experiment_id: str) -> None:
    upload(experiment_id)


@shared_task(name="experiments.tasks.deliver_notices")
def deliver_notices(channel_id: str) -> None:
    deliver(channel_id)


@shared_task(name="experiments.tasks.mirror_experiment")
def mirror_experiment(mirror_id: str) -> None:
    mirror(mirror_id)

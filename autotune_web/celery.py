"""The Celery application: tasks are thin calls into ``experiments.loop.reconcile``."""

import os
import sys
from typing import Any

from celery import Celery
from celery.signals import heartbeat_sent, worker_init
from kombu.transport import TRANSPORT_ALIASES

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "autotune_web.settings")

TRANSPORT_ALIASES["folder"] = "autotune_web.folder_broker:Transport"

app = Celery("autotune_web")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["experiments.loop"])


@worker_init.connect
def _refuse_newer_database(**_: Any) -> None:
    """Old code must not write into a database that it does not know."""
    from experiments.embedded.health import refusal  # needs the settings, which load this module

    if words := refusal():
        sys.exit(words)

    from experiments.monitoring import door  # likewise

    door.serve("worker")


@heartbeat_sent.connect
def _live(**_: Any) -> None:
    """A worker's heartbeat, every two seconds unless it runs --without-heartbeat."""
    from experiments.embedded.health import beat  # needs the settings, which load this module

    beat()

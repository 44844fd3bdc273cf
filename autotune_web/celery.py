"""The Celery application: tasks are thin calls into ``experiments.reconcile``."""

import os

from celery import Celery
from kombu.transport import TRANSPORT_ALIASES

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "autotune_web.settings")

TRANSPORT_ALIASES["folder"] = "autotune_web.folder_broker:Transport"

app = Celery("autotune_web")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["experiments"])

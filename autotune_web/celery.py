"""The Celery application: tasks are thin calls into ``experiments.reconcile``."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "autotune_web.settings")

app = Celery("autotune_web")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["experiments"])

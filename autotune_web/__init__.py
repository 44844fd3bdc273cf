"""The Django project: settings, routes and entry points of AutoTune Web."""

from autotune_web.celery import app as celery_app  # so that senders know the broker

__all__ = ["celery_app"]

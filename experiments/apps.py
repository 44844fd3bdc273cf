"""Django's description of the app."""

from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class ExperimentsConfig(AppConfig):
    name = "experiments"
    verbose_name = "AutoTune experiments"

    def ready(self) -> None:
        post_migrate.connect(self._note_release, sender=self)

    def _note_release(self, using: str, **_: object) -> None:
        from experiments.models.release import note_release  # models are there only now

        note_release(using)

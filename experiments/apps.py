"""Django's description of the app."""

from __future__ import annotations

from django.apps import AppConfig
from django.conf import settings
from django.db.models.signals import post_migrate


class ExperimentsConfig(AppConfig):
    name = "experiments"
    verbose_name = "AutoTune experiments"

    def ready(self) -> None:
        """Have migrations signed with our version.

        And let what this process commits wake the browsers at other web processes, over Redis.
        """
        post_migrate.connect(self._note_release, sender=self)
        if settings.REDIS_URL:
            from experiments.live import relay  # loads the client of Redis

            relay.start()

    def _note_release(self, using: str, **_: object) -> None:
        from experiments.models.release import note_release  # models are there only now

        note_release(using)

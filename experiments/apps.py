"""Django's description of the app."""

from django.apps import AppConfig
from django.conf import settings


class ExperimentsConfig(AppConfig):
    name = "experiments"
    verbose_name = "AutoTune experiments"

    def ready(self) -> None:
        """Let what this process commits wake the browsers at other web processes, over Redis."""
        if settings.REDIS_URL:
            from experiments.live import relay  # loads the client of Redis

            relay.start()

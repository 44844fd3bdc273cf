"""Print the CustomResourceDefinition: ``./autotune manage crd | kubectl apply -f -``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from experiments.manifest.crd import as_yaml


class Command(BaseCommand):
    help = "Print the CustomResourceDefinition of AutoTuneExperiment as YAML."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(as_yaml(), ending="")

"""Write ``docs/algorithms.md`` from the registry: ``./autotune manage algorithms_page``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from experiments.algorithms.reference import algorithms_page


class Command(BaseCommand):
    help = "Write the page of all algorithms into docs/."

    def handle(self, *args: Any, **options: Any) -> None:
        path = Path(settings.BASE_DIR) / "docs" / "algorithms.md"
        path.write_text(algorithms_page(), encoding="utf-8")
        self.stdout.write(str(path))

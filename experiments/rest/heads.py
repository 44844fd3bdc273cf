"""What is answered of an experiment that was just made."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from rest_framework.request import Request

from experiments.models import Experiment


def head(request: Request, experiment: Experiment) -> dict[str, Any]:
    """Its id, name and phase, and where it is."""
    api_url = reverse("api-experiment", args=[experiment.pk])
    page = reverse("experiment-detail", args=[experiment.pk])
    return {
        "id": experiment.pk,
        "name": experiment.name,
        "phase": experiment.phase,
        "url": request.build_absolute_uri(page),
        "api_url": request.build_absolute_uri(api_url),
    }

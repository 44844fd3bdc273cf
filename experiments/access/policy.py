"""Who may do what: the only module that answers this. Members and roles will extend it here.

Today every signed-in person of this installation may see and change everything; a stranger sees
nothing and is told 404 (pages redirect to the sign-in page).
"""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import Http404

from experiments.models import Experiment


def visible_experiments(user: Any) -> QuerySet[Experiment]:
    """Experiments that this user may see: none for a stranger."""
    if not getattr(user, "is_authenticated", False):
        return Experiment.objects.none()
    return Experiment.objects.filter(deleting=False).select_related(
        "best_trial", "project", "cluster_object"
    )


def get_visible(user: Any, experiment_id: str) -> Experiment:
    """The experiment, or Http404 where it does not exist or is none of the user's business."""
    is_text = "\x00" not in experiment_id  # PostgreSQL refuses even to look for that
    experiment = visible_experiments(user).filter(pk=experiment_id).first() if is_text else None
    if experiment is None:
        raise Http404(f"No experiment {experiment_id!r}.")
    return experiment


def may_change(user: Any, experiment: Experiment) -> bool:
    """Edit limits, suspend, stop, delete, add trials."""
    return bool(getattr(user, "is_authenticated", False))


def may_keep_secrets(user: Any) -> bool:
    """List, set and delete secrets of the default project; nobody may read one back."""
    return bool(getattr(user, "is_authenticated", False))


def may_create(user: Any) -> bool:
    return bool(getattr(user, "is_authenticated", False))


def may_see_server_logs(user: Any) -> bool:
    """Read what this installation's own processes log; secrets are taken out of it."""
    return bool(getattr(user, "is_authenticated", False))


def may_see_metrics(user: Any) -> bool:
    """Read how much of what this installation does, as Prometheus has it: no names, no values."""
    return bool(getattr(user, "is_authenticated", False))


def may_run_locally(user: Any) -> bool:
    """Run a manifest's command on this host: as good as a shell account on it."""
    return bool(getattr(user, "is_authenticated", False))

"""Who may do what: the only module that answers this.

Accounts of this installation (the local administrator) may see and change everything. Whom a proxy
signed in (``proxy``) may, where AUTOTUNE_CHECK_NAMESPACES is on, what the cluster's roles let them
do with AutoTuneExperiments of a namespace (``namespaces``), and what they may not see is not there.
A stranger sees nothing and is told 404 (pages redirect to the sign-in page).

What asks the cluster raises ``namespaces.Unsure`` where it does not answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet
from django.http import Http404

from experiments.access.namespaces import Unsure, cluster, person_of
from experiments.models import Experiment, Project


def visible_experiments(user: Any) -> QuerySet[Experiment]:
    """Experiments that this user may see: none for a stranger."""
    if not _is_known(user):
        return Experiment.objects.none()
    person = person_of(user)
    if person is None:
        return _there()
    projects = {project.namespace: project.pk for project in Project.objects.all()}
    open_to = cluster.which(person, "get", projects)
    return _there().filter(project__in=[projects[name] for name in open_to])


def get_visible(user: Any, experiment_id: str) -> Experiment:
    """The experiment, or Http404 where it does not exist or is none of the user's business."""
    is_text = "\x00" not in experiment_id  # PostgreSQL refuses even to look for that
    person = person_of(user) if _is_known(user) else None
    rows = visible_experiments(user) if person is None else _there()  # asked of one namespace alone
    found = rows.filter(pk=experiment_id).first() if is_text else None
    if found is not None and person is not None:
        namespace = found.project.namespace
        found = found if cluster.may(person, "get", namespace, to_look=True) else None
    if found is None:
        raise Http404(f"No experiment {experiment_id!r}.")
    return found


def is_asked_of_the_cluster(user: Any) -> bool:
    """Whether what this user may can change without a word to us."""
    return _is_known(user) and person_of(user) is not None


def may_change(user: Any, experiment: Experiment) -> bool:
    """Edit limits, suspend, stop, add trials."""
    return _may(user, "patch", experiment.project.namespace)


def may_delete(user: Any, experiment: Experiment) -> bool:
    return _may(user, "delete", experiment.project.namespace)


def is_offered_changes(user: Any, experiment: Experiment) -> bool:
    """Whether a page shows what changes something; whether that may be, is asked again then."""
    try:
        return may_change(user, experiment)
    except Unsure:
        return False


def may_create(user: Any, namespace: str = "") -> bool:
    """Make experiments in a namespace; "" is the default project's."""
    return _may(user, "create", namespace or settings.NAMESPACE)


def creates_in(user: Any) -> Sequence[str]:
    """Served namespaces in which this user may make experiments, for a refusal to name them."""
    person = person_of(user)
    served = [name for name in settings.NAMESPACES if name != "*"]
    return served if person is None else cluster.which(person, "create", served)


def may_be_told(user: Any) -> Q:
    """Of their notices: those of experiments that they may see, and of none."""
    if not is_asked_of_the_cluster(user):
        return Q()
    return Q(experiment=None) | Q(experiment__in=visible_experiments(user))


def may_keep_secrets(user: Any) -> bool:
    """List, set and delete secrets of the default project; nobody may read one back."""
    return _may(user, "create", settings.NAMESPACE, of=("", "secrets"))


def may_see_server_logs(user: Any) -> bool:
    """Read what this installation's own processes log; secrets are taken out of it."""
    return _is_known(user) and person_of(user) is None


def may_see_metrics(user: Any) -> bool:
    """Read how much of what this installation does, as Prometheus has it: no names, no values."""
    return bool(getattr(user, "is_authenticated", False))


def may_run_locally(user: Any) -> bool:
    """Run a manifest's command on this host: as good as a shell account on it."""
    return _is_known(user)


def _there() -> QuerySet[Experiment]:
    return Experiment.objects.filter(deleting=False).select_related(
        "best_trial", "project", "cluster_object"
    )


def _is_known(user: Any) -> bool:
    return bool(getattr(user, "is_authenticated", False))


def _may(user: Any, verb: str, namespace: str, **more: Any) -> bool:
    if not _is_known(user):
        return False
    person = person_of(user)
    return person is None or cluster.may(person, verb, namespace, **more)

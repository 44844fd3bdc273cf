"""Whether a person may act in a namespace: the cluster is asked, by its own roles.

Called by ``policy`` for people whom a proxy signed in, with the name and the groups that the
cluster knows them by, where AUTOTUNE_CHECK_NAMESPACES is on. A LocalSubjectAccessReview: the
SubjectAccessReview of one namespace, which our account may make in the namespaces that are served
and nowhere else. Guarantees: an answer is used for YES_S or NO_S; while the API server is away
what somebody may look at is as it was, for KEPT_S at most, and nothing may be changed; nobody
waits longer than a request may take, and not each one after the other. A namespace that we may not
ask about is shut, and no other with it.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.utils import timezone

from experiments.manifest.crd import PLURAL
from experiments.manifest.fields import API_GROUP
from experiments.training.kubernetes.api import ApiError, KubeApi, Unreachable

logger = logging.getLogger(__name__)

YES_S, NO_S = 20.0, 5.0  # for how long an answer is used
KEPT_S = 600.0  # and for looking, while nobody can be asked
AWAY_S = 5.0  # after a failure nobody is kept waiting by another try
TIMEOUT_S = (2.0, 4.0)  # to connect, to answer
MOST_KEPT = 10_000  # answers
AT_ONCE = 8  # questions
GROUPS_LAST = timedelta(days=30)  # of who comes by API token alone
SIGNED_IN = "system:authenticated"  # the group that the API server adds to everybody's


class Unsure(Exception):
    """The cluster cannot say now whether this person may."""

    retry_after = int(AWAY_S)  # seconds, told to clients


class Person(NamedTuple):
    """Somebody by the names that the cluster's roles are bound to."""

    name: str
    groups: tuple[str, ...]


class Question(NamedTuple):
    person: Person
    verb: str
    namespace: str
    group: str
    resource: str


def person_of(user: Any) -> Person | None:
    """Whom to ask for; None where a user is this installation's own, and may as ever."""
    account = getattr(user, "proxy_account", None) if settings.CHECK_NAMESPACES else None
    if account is None:
        return None
    is_known = timezone.now() - account.seen_at < GROUPS_LAST
    # The cluster's own groups are nobody's to give.
    told = [f"{settings.GROUPS_PREFIX}{group}" for group in account.groups if is_known]
    groups = (*(g for g in told if not g.startswith("system:")), SIGNED_IN)
    return Person(f"{settings.USER_PREFIX}{account.name}", groups)


class Namespaces:
    """What the cluster said, and whom to ask; safe to use from several threads."""

    def __init__(self) -> None:
        self._api: KubeApi | None = None
        self._answers: OrderedDict[Question, tuple[bool, float]] = OrderedDict()
        self._lock = threading.Lock()
        self._away, self._away_until = "", 0.0
        self._shut: set[str] = set()

    def may(
        self, person: Person, verb: str, namespace: str, *, to_look: bool = False,
        of: tuple[str, str] = (API_GROUP, PLURAL),
    ) -> bool:  # fmt: skip
        """Whether this person may do that there.

        Args:
            to_look: an older answer will do while nobody can be asked.
            of: API group and resource.

        Raises:
            Unsure: nobody can be asked.
        """
        question = Question(person, verb, namespace, *of)
        known = self._known(question)
        if known is not None:
            return known
        try:
            answer = self._ask(question)
        except Unsure:
            kept = self._answers.get(question)
            if to_look and kept is not None and time.monotonic() - kept[1] < KEPT_S:
                return kept[0]
            raise
        with self._lock:
            self._answers[question] = (answer, time.monotonic())
            self._answers.move_to_end(question)
            while len(self._answers) > MOST_KEPT:
                self._answers.popitem(last=False)
        return answer

    def which(self, person: Person, verb: str, namespaces: Iterable[str]) -> list[str]:
        """Those in which this person may, to look. Raises Unsure."""
        names = list(namespaces)
        each = functools.partial(self.may, person, verb, to_look=True)
        if len(names) < 2:
            return [name for name in names if each(name)]
        with ThreadPoolExecutor(max_workers=min(AT_ONCE, len(names))) as pool:
            answers = list(pool.map(each, names))
        return [name for name, may in zip(names, answers, strict=True) if may]

    def forget(self) -> None:
        """Ask anew, of whatever cluster there is now."""
        self.__init__()  # type: ignore[misc]

    def _known(self, question: Question) -> bool | None:
        kept = self._answers.get(question)
        if kept is None or time.monotonic() - kept[1] > (YES_S if kept[0] else NO_S):
            return None
        return kept[0]

    def _ask(self, question: Question) -> bool:
        if time.monotonic() < self._away_until:
            raise Unsure(self._away)
        try:
            if self._api is None:
                self._api = KubeApi.from_environment()
                self._api.timeout_s = TIMEOUT_S
            answer = self._api.post(_path(question), _review(question))
        except ApiError as error:
            if error.status in (403, 404):  # not served (any more), or not there
                self._note_shut(question.namespace, error)
                return False
            raise self._unsure(error) from None
        except Unreachable as error:
            raise self._unsure(error) from None
        if self._away:
            logger.warning("The cluster says again who may do what.")
            self._away = ""
        return bool(answer.get("status", {}).get("allowed"))

    def _note_shut(self, namespace: str, error: ApiError) -> None:
        """Say once that nobody can be let into a namespace, since we may not ask about it."""
        if namespace not in self._shut:
            self._shut.add(namespace)
            logger.warning("Namespace %s is shut to everybody: %s", namespace, error)

    def _unsure(self, error: Exception) -> Unsure:
        words = f"The cluster does not say who may do what: {error}"
        if words != self._away:
            logger.warning("%s", words)
        self._away, self._away_until = words, time.monotonic() + AWAY_S
        return Unsure(words)


def _path(question: Question) -> str:
    where = f"namespaces/{question.namespace}/localsubjectaccessreviews"
    return f"/apis/authorization.k8s.io/v1/{where}"


def _review(question: Question) -> dict[str, Any]:
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "LocalSubjectAccessReview",
        "metadata": {"namespace": question.namespace},
        "spec": {
            "user": question.person.name,
            "groups": list(question.person.groups),
            "resourceAttributes": {
                "namespace": question.namespace,
                "verb": question.verb,
                "group": question.group,
                "resource": question.resource,
            },
        },
    }


cluster = Namespaces()

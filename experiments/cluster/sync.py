"""Rows to the cluster: status, Events, edits, deletions, and experiments made here.

One thread of the operator runs ``Sync.run``: a pass every second over the rows that are in the
cluster. Level-triggered: whatever a pass could not do (the API server is gone) the next one does,
from the rows. ``operator`` tells it of objects that it saw; both change an object and its row
under one lock.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import close_old_connections
from django.db.models import Q
from django.utils import timezone

from experiments import counted
from experiments.cluster import objects, status
from experiments.cluster.api import ClusterApi, ClusterRefused, ClusterUnavailable
from experiments.cluster.objects import ObjectKey
from experiments.models import ClusterObject, Event, Experiment
from experiments.problems import Problem
from experiments.selectors.present import TrialCounts, count_trials
from experiments.training.kubernetes.api import USER_AGENT

logger = logging.getLogger(__name__)

PERIOD_S = 1.0
LIST_AGAIN_S = 300.0  # then every object is looked at afresh
DISOWN_TRIES = 5
REFUSED_S = 2.0  # doubled with each refusal
ALL_NAMESPACES = "*"
KEPT_OUT = "Its namespace cannot be looked at:"


@dataclass
class _Place:
    """A namespace that is served (or all of them, by ""): when to list it, and what keeps us."""

    due: float = 0.0  # monotonic
    refused: int = 0  # times in a row
    trouble: str = ""


@dataclass
class _Seen:
    """What we know of an object: saves asking for it."""

    generation: int = 0
    status: dict[str, Any] = field(default_factory=dict)
    written_seq: int = -1  # the row's last_seq when its status was written last
    looked_at: float = 0.0  # monotonic


class Sync:
    """Keeps the objects of the served namespaces like their rows."""

    def __init__(self, api: ClusterApi, namespaces: list[str]) -> None:
        self.api = api
        self.namespaces = namespaces
        self.lock = threading.RLock()  # held while an object and its row are compared and changed
        self._seen: dict[str, _Seen] = {}
        everywhere = namespaces == [ALL_NAMESPACES]
        self._places = {name: _Place() for name in ([""] if everywhere else namespaces)}
        self._wake = threading.Event()
        self._stopping = False
        self._trouble = ""

    # ---------------------------------------------------------------- the thread

    def run(self) -> None:
        """Pass after pass until ``stop``; never raises."""
        while not self._stopping:
            close_old_connections()
            try:
                with counted.SYNC_SECONDS.time():
                    self.one_pass()
                counted.SYNC_AT.set_to_current_time()
                counted.KEPT_OUT.set(len(self.trouble()))
                self._say("")
            except ClusterUnavailable as error:
                self._say(f"The API server cannot be reached: {error}")
            except Exception as error:
                self._say(f"A pass was left out: {type(error).__name__}: {error}")
                logger.debug("The pass that was left out", exc_info=True)
            self._wake.wait(PERIOD_S)
            self._wake.clear()
        close_old_connections()

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()

    def soon(self) -> None:
        """Do not wait for the second to pass."""
        self._wake.set()

    def _say(self, trouble: str) -> None:
        """Log trouble when it begins, changes and ends, not every second."""
        if trouble != self._trouble:
            logger.warning("%s", trouble or "All is well again.")
            self._trouble = trouble

    def one_pass(self) -> None:
        """Bring every object up to date with its row."""
        for name, place in self._places.items():
            if time.monotonic() >= place.due:
                self._look_at(name, place)
        if settings.SEND_TO_CLUSTER:
            for experiment in objects.to_send():
                self._each(self._intend, experiment)
        links = ClusterObject.objects.select_related("experiment__best_trial")
        live = []
        for link in links:
            goes = link.experiment is None or link.experiment.deleting
            if not self._is_served(link.namespace):
                if link.experiment is None:  # and the object is nobody's business of ours any more
                    link.delete()
            elif self._is_kept_out(link.namespace):
                continue  # until it can be listed again
            elif goes:
                self._each(self._delete, link)
            elif link.uid is None:
                if not link.trouble:
                    self._each(self._create, link)
            else:
                live.append(link)
        self._write_back(live)

    def _each(self, act: Any, what: Any) -> None:
        """One object's trouble must not keep the others from being served."""
        try:
            act(what)
        except ClusterRefused as error:
            logger.warning("%s: %s", what, error)

    # ---------------------------------------------------------------- seeing objects

    def saw(self, body: Mapping[str, Any]) -> _Seen:
        """Remember an object that was listed or came through a handler."""
        uid = ObjectKey.of(body).uid
        seen = self._seen.setdefault(uid, _Seen())
        seen.generation = int(body["metadata"].get("generation", 0))
        seen.status = dict(body.get("status") or {})
        seen.written_seq = -1
        return seen

    def trouble(self) -> dict[str, str]:
        """Why which namespaces cannot be served now, by name."""
        return {name: place.trouble for name, place in self._places.items() if place.trouble}

    def _is_served(self, namespace: str) -> bool:
        return "" in self._places or namespace in self._places

    def _is_kept_out(self, namespace: str) -> bool:
        place = self._places.get(namespace)
        return place is not None and bool(place.trouble)

    def _look_at(self, namespace: str, place: _Place) -> None:
        """Compare with what is there: an object may have gone without a word to us.

        A namespace that may not be listed (its Role is forgotten, or it is going) keeps nobody
        else waiting; it is asked again less and less often.
        """
        links = ClusterObject.objects.exclude(uid=None)
        if namespace:
            links = links.filter(namespace=namespace)
        linked = {link.uid: link for link in links.select_related("experiment")}
        there = set()
        try:
            for body in self.api.list(namespace):
                with self.lock:
                    there.add(ObjectKey.of(body).uid)
                    self.saw(body)
        except ClusterRefused as error:
            place.refused += 1
            place.due = time.monotonic() + min(LIST_AGAIN_S, REFUSED_S * 2**place.refused)
            self._kept_out(namespace, place, str(error), linked.values())
            return
        if place.trouble:
            self._kept_out(namespace, place, "", linked.values())
        place.refused = 0
        place.due = time.monotonic() + LIST_AGAIN_S
        for uid, link in linked.items():
            if uid not in there:
                logger.info("%s is gone from the cluster.", link)
                self._gone(link)

    def _kept_out(
        self, namespace: str, place: _Place, words: str, links: Iterable[ClusterObject]
    ) -> None:
        """Say where it can be read, in the log and on the experiments' pages, what keeps us out."""
        if words != place.trouble:
            logger.warning("Namespace %s: %s", namespace or "*", words or "all is well again.")
            place.trouble = words
        for link in links:
            known = link.trouble.startswith(KEPT_OUT)
            if words or known:
                self._note_trouble(link, f"{KEPT_OUT} {words}" if words else "")

    def _gone(self, link: ClusterObject) -> None:
        if objects.release(str(link.uid)):
            self._seen.pop(str(link.uid), None)

    # ---------------------------------------------------------------- making and deleting objects

    def _intend(self, experiment: Experiment) -> None:
        wanted = experiment.project.namespace
        objects.intend(experiment, wanted if self._is_served(wanted) else self.namespaces[0])

    def _create(self, link: ClusterObject) -> None:
        """Make the object of an experiment that was made here; a taken name gets our id added."""
        manifest = objects.manifest_to_send(link)
        try:
            body = self.api.create(link.namespace, manifest)
        except ClusterRefused as error:
            if not error.is_conflict:
                self._note_trouble(link, f"The cluster refused it: {error}")
                return
            body = self.api.get(link.namespace, link.name)
            if not self._is_ours(body, link):
                link.name = f"{link.name[:54].rstrip('-.')}-{link.experiment_id}"
                ClusterObject.objects.filter(pk=link.pk).update(name=link.name)
                self.soon()
                return
        with self.lock:
            objects.claim(link, ObjectKey.of(body).uid)
            self.saw(body)
        self.soon()

    def _is_ours(self, body: Mapping[str, Any], link: ClusterObject) -> bool:
        annotations = body["metadata"].get("annotations") or {}
        return annotations.get(objects.EXPERIMENT) == link.experiment_id

    def _delete(self, link: ClusterObject) -> None:
        """The experiment was deleted here: so must be its object, then the link."""
        if link.uid is None:
            link.delete()
            return
        self.api.delete(link.namespace, link.name, link.uid)
        if link.experiment_id is None:
            try:
                still = ObjectKey.of(self.api.get(link.namespace, link.name)).uid == link.uid
            except ClusterRefused as error:
                if not error.is_missing:
                    raise
                still = False
            if not still:
                self._gone(link)

    def _note_trouble(self, link: ClusterObject, words: str) -> None:
        if words != link.trouble:
            ClusterObject.objects.filter(pk=link.pk).update(trouble=words)
            link.trouble = words
            if link.experiment is not None:
                link.experiment.announce()
            if words:
                logger.warning("%s: %s", link, words)

    # ---------------------------------------------------------------- edits, both ways

    def follow_edits(self, key: ObjectKey) -> None:
        """Bring limits and suspension of an object and its row together, whoever was edited."""
        with self.lock:
            link = ClusterObject.objects.select_related("experiment").filter(uid=key.uid).first()
            if link is None or link.experiment is None or link.experiment.deleting:
                return
            body = self.api.get(key.namespace, key.name)
            if ObjectKey.of(body).uid != key.uid:
                return
            there = objects.object_values(body)
            here = objects.row_values(link.experiment)
            from_object, from_row = objects.edits(link.agreed, there, here)
            refused = objects.carry_out(link.experiment, from_object)
            if from_row:
                patch = objects.object_changes(from_row)
                version = body["metadata"]["resourceVersion"]  # refused where edited meanwhile
                patch.setdefault("metadata", {})["resourceVersion"] = version
                body = self._disown(key, self.api.patch(key.namespace, key.name, patch))
            self.saw(body)
            agreed = objects.agreement(link, body)
            ClusterObject.objects.filter(pk=link.pk).update(agreed=agreed)
            words = refused or objects.not_editable(link.experiment, body)
            if words and words != link.trouble:
                self._say_of(key, "EditRefused", words, self._seen[key.uid])
            self._note_trouble(link, words)
        self.soon()

    def _disown(self, key: ObjectKey, body: dict[str, Any]) -> dict[str, Any]:
        """Leave what an edit on the page changed to nobody: its next server-side apply may set it.

        The API server had us own these fields, and would refuse whoever applies another value.
        """
        for _ in range(DISOWN_TRIES):
            owners = body["metadata"].get("managedFields") or []
            others = [o for o in owners if o.get("manager") != USER_AGENT or o.get("subresource")]
            if not others or len(others) == len(owners):  # an empty list would change nothing
                return body
            version = body["metadata"]["resourceVersion"]
            changes = {"metadata": {"resourceVersion": version, "managedFields": others}}
            try:
                return self.api.patch(key.namespace, key.name, changes)
            except ClusterRefused as error:
                if not error.is_conflict:
                    raise
                body = self.api.get(key.namespace, key.name)  # somebody wrote it meanwhile
        return body

    # ---------------------------------------------------------------- status and Events

    def _write_back(self, links: list[ClusterObject]) -> None:
        due = []
        for link in links:
            experiment = link.experiment
            assert experiment is not None
            if link.agreed != objects.row_values(experiment):
                self._each(self._follow, link)
            seen = self._seen.setdefault(str(link.uid), _Seen())
            stale = time.monotonic() - seen.looked_at >= status.CHECK_AGAIN.seconds / 10
            if seen.written_seq != experiment.last_seq or (stale and not experiment.is_ended):
                due.append((link, seen))
        counts = count_trials([link.experiment for link, _ in due if link.experiment])
        for link, _ in due:
            self._each(lambda one: self._write(one, counts), link)

    def _follow(self, link: ClusterObject) -> None:
        try:
            self.follow_edits(ObjectKey(link.namespace, link.name, str(link.uid)))
        except ClusterRefused as error:
            if not error.is_conflict:  # edited meanwhile: the next pass compares again
                raise

    def _write(self, link: ClusterObject, counts: dict[str, TrialCounts]) -> None:
        experiment, seen = link.experiment, self._seen[str(link.uid)]
        assert experiment is not None
        if not seen.generation:  # never seen: neither listed nor told of yet
            self.saw(self.api.get(link.namespace, link.name))
        self._tell(link, experiment)
        after = status.status_of(
            link, counts[experiment.pk], seen.generation, seen.status
        )  # fmt: skip
        self.write_status(ObjectKey(link.namespace, link.name, str(link.uid)), after)
        seen.written_seq = experiment.last_seq

    def write_status(self, key: ObjectKey, after: Mapping[str, Any]) -> None:
        """Write what differs from the status as it was last, if anything does."""
        seen = self._seen.setdefault(key.uid, _Seen())
        seen.looked_at = time.monotonic()
        patch = status.changes(seen.status, after)
        if not patch:
            return
        try:
            self.api.patch_status(key.namespace, key.name, key.uid, patch)
        except ClusterRefused as error:
            if error.is_missing or error.is_conflict:
                for place in self._places.values():  # look whether it is gone
                    place.due = place.due if place.trouble else 0.0
            raise
        seen.status = {**seen.status, **after}

    def refuse(self, body: Mapping[str, Any], problems: tuple[Problem, ...]) -> None:
        """Say in an object's status why its manifest cannot run."""
        with self.lock:
            seen = self.saw(body)
            after = status.refused_status(problems, seen.generation, seen.status)
            self.write_status(ObjectKey.of(body), after)
            self._say_of(ObjectKey.of(body), "InvalidManifest", after["serverNote"], seen)

    def _say_of(self, key: ObjectKey, reason: str, words: str, seen: _Seen) -> None:
        """Make a warning's Event of what was refused; the same of one generation once only."""
        about = {"namespace": key.namespace, "name": key.name, "uid": key.uid}
        digest = hashlib.sha256(f"{reason} {words}".encode()).hexdigest()[:8]
        once = f"refused-{digest}.{seen.generation}"
        try:
            self.api.tell(about, once, reason, words, timezone.now(), is_warning=True)
        except ClusterRefused as error:
            logger.warning("%s: no Event could be made: %s", key.name, error)

    def _tell(self, link: ClusterObject, experiment: Experiment) -> None:
        """Make Kubernetes Events of what happened since the last time."""
        news = Event.objects.filter(
            Q(trial=None) | Q(what__in=status.REASONS),
            experiment=experiment, seq__gt=link.announced_seq, seq__lte=experiment.last_seq,
        ).select_related("trial").order_by("seq")  # fmt: skip
        about = {"namespace": link.namespace, "name": link.name, "uid": str(link.uid)}
        for event in news:
            words = status.told(event)
            if words is None:
                continue
            reason, message, is_warning = words
            try:
                self.api.tell(
                    about, str(event.seq), reason, message, event.time, is_warning=is_warning
                )
            except ClusterRefused as error:
                logger.warning("%s: no Event could be made: %s", link, error)
        if news:
            ClusterObject.objects.filter(pk=link.pk).update(announced_seq=experiment.last_seq)

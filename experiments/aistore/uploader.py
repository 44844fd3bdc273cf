"""Works off the outbox of one experiment: its folder, its Runs, where the ``best`` label is.

Called by ``tasks`` for every hint and tick, as often as they like. Each step can be repeated: a
node that exists already is recognised as ours, an object sent again overwrites itself. Nothing here
touches a trial or the state of an experiment; what goes wrong is kept on the outbox's rows, told in
an Event when it changes, and tried again later, or not before a person has mended it.
"""

from __future__ import annotations

import logging
import threading

from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist
from django.utils import timezone

from experiments.aistore import original, outbox, vault
from experiments.aistore.client import (
    AUTOTUNE,
    FOLDER,
    RUN,
    AIStore,
    AIStoreError,
    NameTaken,
    NewNode,
    NotFound,
)
from experiments.aistore.facts import experiment_facts, log_tail, run_facts
from experiments.aistore.run_files import (
    alternative_name,
    folder_description,
    folder_extra,
    folder_labels,
    folder_name,
    other_folder_name,
    run_description,
    run_files,
    run_labels,
    run_name,
    unix,
)
from experiments.models import Experiment, Trial, Upload, uploads
from experiments.models.leases import Lease
from experiments.models.secrets import SecretError
from experiments.states import FINISHED, EventKind
from experiments.training.base import BackendUnavailable

logger = logging.getLogger(__name__)

GIVE_UP_PASS = 3  # failures in a row, then AIStore is left alone for a while
MOST_IN_PASS = 50  # rows, then other experiments have their turn
PATIENCE = 3  # attempts at a trial's log before the Run goes without it

# One upload at a time in a process: a slow AIStore must never take the loop's threads.
_slot = threading.Lock()


def upload(experiment_id: str) -> None:
    """Upload what is due of one experiment, unless somebody is at it right now."""
    if not settings.AISTORE_HOST or not _slot.acquire(blocking=False):
        return  # the ticker comes again
    try:
        lease = outbox.lease_of(experiment_id)
        if not lease.take():
            return
        try:
            _upload(experiment_id, lease)
        except ObjectDoesNotExist:
            if Experiment.objects.filter(pk=experiment_id).exists():
                raise
            logger.info("Experiment %s was deleted while it was uploaded", experiment_id)
        finally:
            lease.drop()
    finally:
        _slot.release()


def _upload(experiment_id: str, lease: Lease) -> None:
    experiment = Experiment.objects.select_related("project").filter(pk=experiment_id).first()
    if experiment is None or experiment.deleting or uploads.destination(experiment) is None:
        return
    folder = Upload.objects.get(experiment=experiment, kind=Upload.Kind.FOLDER)
    if folder.state == Upload.State.FAILED or folder.next_try_at > timezone.now():
        return
    before = folder.error
    error = ""
    try:
        store = AIStore(settings.AISTORE_HOST, vault.reveal_key(experiment))
        try:
            _Pass(experiment, folder, lease, store).run()
        finally:
            store.close()
        if folder.attempts:
            folder.done()
    except (AIStoreError, SecretError) as trouble:
        error = str(trouble)
        folder.put_off(error, for_good=trouble.permanent)
    except ObjectDoesNotExist:
        raise
    except Exception as defect:  # of ours; not to be met again every two seconds
        logger.exception("Experiment %s: upload to AIStore", experiment.pk)
        error = f"A defect in the upload ({type(defect).__name__}); the worker's log has it."
        folder.put_off(error)
    if error and error != before:
        _tell(experiment, EventKind.UPLOAD_FAILED, error)
    elif before and not error:
        _tell(experiment, EventKind.UPLOAD_WELL_AGAIN, before)
    else:
        experiment.announce()


class _Pass:
    """One pass over the experiment's rows. Raises what concerns all of them."""

    def __init__(
        self, experiment: Experiment, folder: Upload, lease: Lease, store: AIStore
    ) -> None:
        self.experiment = experiment
        self.folder = folder
        self.lease = lease
        self.store = store
        self.n_failed = 0  # in a row

    def run(self) -> None:
        if self.folder.state != Upload.State.DONE:
            self._make_folder()
        due = outbox.due_runs(timezone.now()).filter(experiment=self.experiment)
        for row in due.select_related("trial")[:MOST_IN_PASS]:
            if not self._still_ours():
                return
            self._try(row)
        for row in outbox.wrong_labels(timezone.now(), self.experiment):
            if not self._still_ours():
                return
            self._try(row)
        self._describe_folder()

    def _still_ours(self) -> bool:
        going = Experiment.objects.filter(pk=self.experiment.pk, deleting=False).exists()
        return going and self.lease.renew()

    def _try(self, row: Upload) -> None:
        """Do what a row asks for; a failure that is its own is kept on it."""
        try:
            if row.state == Upload.State.DONE:
                self._move_label(row)
            elif row.kind == Upload.Kind.AUTOTUNE:
                self._upload_original(row)
            else:
                self._upload_run(row)
        except AIStoreError as error:
            self.n_failed += 1
            is_missing = isinstance(error, NotFound)
            if is_missing and not self._folder_is_there():
                self._look_for_folder(error)
            if error.concerns_all or self.n_failed >= GIVE_UP_PASS:
                raise
            # A node that vanished while it was being filled is made again.
            self._put_off(row, str(error), for_good=error.permanent and not is_missing)
        except BackendUnavailable as error:
            self._put_off(row, f"The trial's log cannot be read now: {error}")
        else:
            self.n_failed = 0
            self._tell_if_complete()

    def _put_off(self, row: Upload, error: str, *, for_good: bool = False) -> None:
        is_new = error != row.error
        if for_good and row.state == Upload.State.DONE:
            for_good = False  # it is there; only its label is not
        row.put_off(error, for_good=for_good)
        if is_new:
            _tell(self.experiment, EventKind.UPLOAD_FAILED, error, trial=row.trial)

    # ---- the folder

    def _make_folder(self) -> None:
        """Create the experiment's folder, or find it where an earlier attempt made it."""
        self.store.user()  # a wrong key is told as such by this request
        destination = uploads.destination(self.experiment)
        assert destination is not None
        try:
            parent = self.store.path_of_folder(destination["folder"])
        except NotFound:
            raise NotFound(
                f"AIStore has no folder '{destination['folder']}' (spec.aistore.folder), "
                "or the API key's owner may not see it."
            ) from None
        facts = experiment_facts(self.experiment)
        description = folder_description(facts)
        for name in (folder_name(facts), other_folder_name(facts)):
            new = NewNode(
                parent, name, FOLDER, folder_labels(facts), description, folder_extra(facts)
            )
            node_id = self._create_or_find(new, "experiment", folder_extra(facts)["experiment"])
            if node_id:
                break
        else:
            raise NameTaken(f"The folder has nodes named '{folder_name(facts)}' and '{name}'.")
        path = self.store.info(node_id).path or new.path
        self.folder.done(node_id=node_id, node_path=path, sent=description, sent_phase=facts.phase)
        self.experiment.announce()

    def _create_or_find(self, new: NewNode, key: str, expected: object) -> str:
        """Id of the new node, or of the one of this name that is ours; "" if it is not ours."""
        try:
            return self.store.create(new)
        except NameTaken:
            there = self.store.info(new.path)
        return there.id if (there.extra or {}).get(key) == expected else ""

    def _folder_is_there(self) -> bool:
        try:
            return self.store.info(self.folder.node_path).id == self.folder.node_id
        except NotFound:
            return False

    def _look_for_folder(self, error: AIStoreError) -> None:
        """Our folder was moved, renamed or removed: find it by its id, or make it anew."""
        try:
            path = self.store.info(self.folder.node_id).path
        except NotFound:
            path = ""
        if path and path != self.folder.node_path:
            self.folder.node_path = path
            self.folder.keep("node_path")
        else:
            self.folder.state = Upload.State.WAITING
            self.folder.keep("state")
        raise _FolderLost(str(error))

    def _describe_folder(self) -> None:
        """Tell AIStore how the experiment stands, when its phase or its outcome has changed."""
        self.experiment.refresh_from_db()
        facts = experiment_facts(self.experiment)
        description = folder_description(facts)
        if description != self.folder.sent:
            self.store.update(self.folder.node_path, description=description)
        if (description, facts.phase) != (self.folder.sent, self.folder.sent_phase):
            self.folder.done(sent=description, sent_phase=facts.phase)

    # ---- Runs

    def _upload_run(self, row: Upload) -> None:
        trial = self._trial(row)
        log = log_tail(trial, patient=row.attempts < PATIENCE)
        facts = run_facts(self.experiment, trial, log=log)
        is_best = self._is_best(trial)
        name = alternative_name(facts)
        new = NewNode(
            self.folder.node_path,
            run_name(facts),
            RUN,
            run_labels(facts, is_best=is_best),
            run_description(facts),
            {"alternativeName": name},
        )
        node_id = self._create_or_find(new, "alternativeName", name)
        if not node_id:
            raise NameTaken(f"The folder has another node named '{new.name}' already.")
        for key, content in run_files(facts):
            self.store.upload(new.path, key, content)
        if row.attempts:  # an earlier attempt may have made it with other labels
            self.store.update(new.path, labels=list(new.labels))
        row.done(node_id=node_id, node_path=new.path, has_best_label=is_best)
        self.experiment.announce()

    def _move_label(self, row: Upload) -> None:
        trial = self._trial(row)
        is_best = self._is_best(trial)
        labels = run_labels(run_facts(self.experiment, trial), is_best=is_best)
        try:
            self.store.update(f"{self.folder.node_path}/{_last(row.node_path)}", labels=labels)
        except NotFound:
            if not self._folder_is_there():
                raise
            # Somebody removed the Run: there is nothing to label.
        row.done(has_best_label=is_best)

    def _trial(self, row: Upload) -> Trial:
        trial = row.trial
        assert trial is not None
        return trial

    def _is_best(self, trial: Trial) -> bool:
        return Experiment.objects.filter(pk=self.experiment.pk, best_trial=trial).exists()

    # ---- the AutoTune node

    def _upload_original(self, row: Upload) -> None:
        if self.experiment.trials.exclude(state__in=FINISHED).exists():
            return  # they are being stopped; the next tick comes again
        facts = experiment_facts(self.experiment)
        extra = {"experiment": {"id": self.experiment.pk}, "start": unix(facts.started_at)}
        new = NewNode(
            self.folder.node_path, folder_name(facts), AUTOTUNE, folder_labels(facts),
            folder_description(facts), extra,
        )  # fmt: skip
        node_id = self._create_or_find(new, "experiment", extra["experiment"])
        if not node_id:
            raise NameTaken(f"The folder has another node named '{new.name}' already.")
        for trial in self.experiment.trials.filter(state__in=FINISHED).order_by("number"):
            if not self._still_ours():
                return
            for key, content in original.trial_files(run_facts(self.experiment, trial)):
                self.store.upload(new.path, key, content)
        self.store.upload(new.path, *original.profile(facts, self.experiment.manifest))
        row.done(node_id=node_id, node_path=new.path)

    def _tell_if_complete(self) -> None:
        """One Event when everything of an ended experiment is there."""
        mine = Upload.objects.filter(experiment=self.experiment)
        self.experiment.refresh_from_db(fields=["phase"])
        if not self.experiment.is_ended or mine.exclude(state=Upload.State.DONE).exists():
            return
        n = mine.filter(kind=Upload.Kind.RUN).count()
        told = self.experiment.events.filter(what=EventKind.UPLOADED, data__runs=n).exists()
        if not told:
            reason = f"All {n} runs are in AIStore." if n != 1 else "The run is in AIStore."
            self.experiment.record(EventKind.UPLOADED, reason=reason, data={"runs": n})


class _FolderLost(AIStoreError):
    """The folder is not where it was; the next pass goes by what was found out."""

    permanent = False
    concerns_all = True


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _tell(
    experiment: Experiment, what: EventKind, reason: str, *, trial: Trial | None = None
) -> None:
    if what == EventKind.UPLOAD_FAILED:
        logger.warning("Experiment %s: upload to AIStore: %s", experiment.pk, reason)
    experiment.record(what, trial=trial, reason=reason)

"""Files that trials attach, on their way in. Called by ``trial_api``, in its threads.

A file comes in pieces, each a request of its own: announced (``begin``), sent (``put``), and
complete once all of it is there and is what was announced (``finish``). Each step may come again,
with the same outcome: a client that heard no answer repeats it, one that was started anew sends
what is missing, and the file is there once. Nothing is ever whole in memory.
"""

from __future__ import annotations

import hashlib
import re
from datetime import timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

from experiments.access.tokens import TrialClaim
from experiments.models import Artifact, ArtifactPiece, Experiment, Trial
from experiments.models.artifacts import MAX_NAME, PIECE_BYTES
from experiments.states import EventKind
from experiments.strict_json import JsonRefused, read_json

MOST_FILES = 100  # of a trial; docs/trials.md names it
MIB = 1024 * 1024
STALE = timedelta(hours=6)  # an unfinished file that old is not on its way any more
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHOWN = 80  # characters of a wrong value that an error repeats
# By their first bytes, never by what somebody calls them.
_IMAGES = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "image/webp"),
)


class Refused(Exception):
    """Status and the one line that the trial's log will show."""

    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status = status


class Announced(NamedTuple):
    name: str
    size: int
    sha256: str


def image_type(head: bytes) -> str:
    """The content type of a raster image that begins so, "" for anything else."""
    return next((kind for pattern, kind in _IMAGES if pattern.match(head)), "")


def begin(claim: TrialClaim, body: bytes) -> dict[str, Any]:
    """Announce a file: ``{"artifact": id, "piece_bytes", "missing": [numbers of pieces]}``.

    Raises:
        Refused: for what is no announcement of ours, and for what is too much.
    """
    wanted = _announced(body)
    with transaction.atomic():
        # Whoever announces of the same experiment waits here, so that limits hold together.
        experiment = Experiment.objects.select_for_update().filter(pk=claim.experiment_id).first()
        trial = Trial.objects.filter(pk=claim.trial_id, key=claim.key).first()
        if experiment is None or experiment.deleting or trial is None:
            raise Refused(404, f"unknown trial {claim.key}")
        mine = Artifact.objects.filter(trial=trial)
        Artifact.objects.filter(
            experiment=experiment, complete=False, created_at__lt=timezone.now() - STALE
        ).delete()
        found = mine.filter(name=wanted.name, sha256=wanted.sha256, size=wanted.size)
        artifact = found.order_by("complete").last()
        if artifact is None:
            _check_limits(trial, wanted)
            artifact = Artifact.objects.create(
                trial=trial, experiment=experiment, **wanted._asdict()
            )
        missing = [] if artifact.complete else _missing(artifact)
    return {"artifact": artifact.pk, "piece_bytes": PIECE_BYTES, "missing": missing}


def put(claim: TrialClaim, pk: int, number: int, data: bytes) -> None:
    """Keep one piece; the same one again changes nothing.

    Raises:
        Refused: where no such piece is awaited.
    """
    artifact = _on_its_way(claim, pk)
    if artifact.complete:
        return
    if number >= artifact.n_pieces:
        raise Refused(400, f"not attached: {artifact.name!r} has {artifact.n_pieces} pieces")
    awaited = artifact.bytes_of(number)
    if len(data) != awaited:
        words = f"piece {number} must have {awaited} bytes, but has {len(data)}"
        raise Refused(400, f"not attached: {words}")
    ArtifactPiece.objects.bulk_create(
        [ArtifactPiece(artifact=artifact, number=number, data=data)], ignore_conflicts=True
    )


def finish(claim: TrialClaim, pk: int) -> None:
    """Make it complete: from now on it is shown, in the place of an earlier one of its name.

    Raises:
        Refused: where a piece is missing, or it is not what was announced.
    """
    artifact = _on_its_way(claim, pk)
    if artifact.complete:
        return
    if missing := _missing(artifact):
        raise Refused(409, f"not attached: piece {missing[0]} of {artifact.name!r} is missing")
    digest, head = hashlib.sha256(), b""
    for number in range(artifact.n_pieces):
        data = bytes(artifact.pieces.values_list("data", flat=True).get(number=number))
        head = head or data[:16]
        digest.update(data)
    if digest.hexdigest() != artifact.sha256:
        artifact.delete()
        raise Refused(409, f"not attached: {artifact.name!r} changed while it was sent")
    with transaction.atomic():
        experiment = Experiment.objects.select_for_update().filter(pk=claim.experiment_id).first()
        if experiment is None:
            raise Refused(404, f"unknown trial {claim.key}")
        same = Artifact.objects.filter(trial=artifact.trial, name=artifact.name, complete=True)
        same.exclude(pk=pk).delete()
        won = Artifact.objects.filter(pk=pk, complete=False).update(
            complete=True, image_type=image_type(head), created_at=timezone.now()
        )
        if won:
            experiment.record(
                EventKind.ATTACHED,
                trial=artifact.trial,
                reason=artifact.name,
                data={"artifact": pk, "size": artifact.size},
            )


def _on_its_way(claim: TrialClaim, pk: int) -> Artifact:
    found = Artifact.objects.filter(pk=pk, trial_id=claim.trial_id).select_related("trial").first()
    if found is None:
        raise Refused(404, "not attached: no such file was announced by this trial")
    return found


def _missing(artifact: Artifact) -> list[int]:
    there = set(artifact.pieces.values_list("number", flat=True))
    return [number for number in range(artifact.n_pieces) if number not in there]


def _announced(body: bytes) -> Announced:
    try:
        given = read_json(body)
    except JsonRefused as error:
        raise Refused(400, f"not attached: the body must be JSON, but {error}") from None
    if not isinstance(given, dict):
        raise Refused(400, f"not attached: the body must be a JSON object, but is {_show(given)}")
    name, size, sha256 = given.get("name"), given.get("size"), given.get("sha256")
    if not isinstance(name, str) or not _may_be_named(name):
        rule = f"must be 1 to {MAX_NAME} printable characters without / and \\"
        raise Refused(400, f"not attached: name {rule}, but is {_show(name)}")
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size < 2**62:
        words = f"must be a whole number of bytes, but is {_show(size)}"
        raise Refused(400, f"not attached: size {words}")
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        words = f"must be 64 digits in lower case, 0 to 9 and a to f, but is {_show(sha256)}"
        raise Refused(400, f"not attached: sha256 {words}")
    return Announced(name, size, sha256)


def _may_be_named(name: str) -> bool:
    is_plain = name.isprintable() and not any(c in "/\\" for c in name)
    return 0 < len(name) <= MAX_NAME and is_plain and name.strip() == name and name.strip(".") != ""


def _show(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _check_limits(trial: Trial, wanted: Announced) -> None:
    """What is on its way counts as if it were there; what it takes the place of does not count."""
    limits = {name: mib * MIB for name, mib in settings.ARTIFACT_LIMITS_MIB.items()}
    if not all(limits.values()):
        raise Refused(413, "not attached: this server keeps no files (AUTOTUNE_ARTIFACT_FILE_MIB)")
    others = Artifact.objects.exclude(trial=trial, name=wanted.name, complete=True)
    of_trial = others.filter(trial=trial)
    kept = {
        "file": 0,
        "trial": of_trial.aggregate(n=Sum("size"))["n"] or 0,
        "experiment": others.filter(experiment=trial.experiment_id).aggregate(n=Sum("size"))["n"]
        or 0,
    }
    for of, limit in limits.items():
        if kept[of] + wanted.size > limit:
            whose = {"file": "a file", "trial": "a trial", "experiment": "an experiment"}[of]
            beside = f", beside {_mib(kept[of])} that are there" if kept[of] else ""
            raise Refused(
                413,
                f"not attached: {wanted.name!r} has {_mib(wanted.size)}{beside}; {whose} may have "
                f"{_mib(limit)} (AUTOTUNE_ARTIFACT_{of.upper()}_MIB)",
            )
    if of_trial.count() >= MOST_FILES:
        raise Refused(413, f"not attached: a trial may have {MOST_FILES} files")


def _mib(size: int) -> str:
    return f"{size / MIB:.4g} MiB" if size >= MIB / 100 else f"{size} bytes"

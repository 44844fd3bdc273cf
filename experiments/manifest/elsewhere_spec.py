"""The manifest's ``elsewhere`` section: trials that no engine starts, but programs ask for.

Called by ``spec``. It stands in place of ``trainingConfig``: there is nothing to run, as whoever
asks for a trial runs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from experiments.manifest import reading
from experiments.manifest.fields import ELSEWHERE
from experiments.manifest.reading import Notes, at

LOST_AFTER_S = 60
# Tuners that search whatever stands in the search space now: they are rebuilt from the history at
# each question, and need nothing that an earlier, smaller space noted.
GROWING = ("Auto", "TPE", "Random", "Anneal", "GPTuner", "MetisTuner", "Evolution")


@dataclass(frozen=True)
class ElsewhereSpec:
    """How programs take trials."""

    lost_after_s: int = LOST_AFTER_S  # of silence
    grows: bool = False  # the search space does, as programs meet parameters

    def as_manifest(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self.lost_after_s != LOST_AFTER_S:
            found["lostAfterSeconds"] = self.lost_after_s
        if self.grows:
            found["grows"] = True
        return found


def parse_elsewhere(notes: Notes, raw: Mapping[str, Any], path: str) -> ElsewhereSpec | None:
    """Read the section of a ``spec``; None where it is absent."""
    given = raw.get("elsewhere")
    if given is None:
        return None
    hint = "A section that may be empty: programs ask for the trials."
    section = reading.mapping(notes, given, path, hint=hint)
    reading.check_keys(notes, section, path, ELSEWHERE.keys)
    where = at(path, "lostAfterSeconds")
    check = ELSEWHERE.whole("lostAfterSeconds").check
    seconds = reading.whole_number(notes, section.get("lostAfterSeconds"), where, **check)
    grows = reading.flag(notes, section.get("grows"), at(path, "grows"))
    for key, why in (
        ("trainingConfig", "programs elsewhere run the trials, so that there is nothing to start"),
        ("metrics", "whoever runs a trial tells its result"),
    ):
        if raw.get(key) is not None:
            message = f"must not stand beside spec.elsewhere: {why}."
            notes.error(f"spec.{key}", message, "Leave one of them out.")
    if raw.get("local") is not None:
        notes.warn("spec.local", "Trials run elsewhere: it is ignored.")
    return ElsewhereSpec(seconds or LOST_AFTER_S, grows)

"""How phases, states and events look to a person: word, icon, tone and colour, in this one place.

Pages and their scripts, charts, ``kubectl describe`` and tests read it; nobody else writes a word
for a state. Plain English, marked for translation: who shows one calls gettext on ``label``.
``tone`` names a CSS class (``state-…`` and ``fill-…`` in app.css), ``icon`` one of icons.svg, and
``colour`` what charts draw with and app.css fills with on light pages. Never by colour alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from experiments.states import FINISHED as FINISHED_STATES
from experiments.states import PHASE_ENDED, EventKind, Phase, TrialState

GREEN = "#14a37c"
BLUE = "#2f86dd"
AMBER = "#d09a10"
VERMILION = "#e0602b"
PURPLE = "#b06ac9"
GREY = "#8d96a5"
PALE = "#b3bbc7"


def _(words: str) -> str:
    """Mark words for makemessages; whoever shows them translates them."""
    return words


class Look(NamedTuple):
    label: str
    icon: str
    tone: str
    colour: str = ""


# In the order of the segments of the progress bar.
STATES: dict[TrialState, Look] = {
    TrialState.SUCCEEDED: Look(_("Succeeded"), "check-circle", "succeeded", GREEN),
    TrialState.EARLY_STOPPED: Look(_("Stopped early"), "early", "early", AMBER),
    TrialState.FAILED: Look(_("Failed"), "x-octagon", "failed", VERMILION),
    TrialState.LOST: Look(_("Lost"), "lost", "lost", PURPLE),
    TrialState.CANCELED: Look(_("Canceled"), "slash", "canceled", GREY),
    TrialState.RUNNING: Look(_("Running"), "running", "running", BLUE),
    TrialState.WAITING: Look(_("Waiting"), "waiting", "waiting", PALE),
}

PHASES: dict[Phase, Look] = {
    Phase.PENDING: Look(_("Pending"), "waiting", "waiting"),
    Phase.RUNNING: Look(_("Running"), "running", "running"),
    Phase.DONE: Look(_("Done"), "check-circle", "succeeded"),
    Phase.TIMEOUT: Look(_("Timed out"), "clock", "early"),
    Phase.ERROR: Look(_("Error"), "x-octagon", "failed"),
}
# Done without a single success: trials failed, or none got so far.
ALL_FAILED = Look(_("Done"), "x-octagon", "failed")
NONE_SUCCEEDED = Look(_("Done"), "check-circle", "canceled")
SUSPENDED = Look(_("Suspended"), "pause", "suspended")
FINISHING = Look(_("Finishing"), "stop", "early")

# How far the upload of an experiment to AIStore is; the words of ``selectors.present``.
UPLOADS: dict[str, Look] = {
    "off": Look(_("Off"), "pause", "waiting"),
    "waiting": Look(_("Uploading"), "running", "running"),
    "retrying": Look(_("Will be tried again"), "clock", "early"),
    "failed": Look(_("Stopped"), "x-octagon", "failed"),
    "done": Look(_("Up to date"), "check-circle", "succeeded"),
}

# What a timeline says. A change of state says more by the state that it leads to: _BY_STATE.
EVENTS: dict[EventKind, Look] = {
    EventKind.CREATED: Look(_("Created"), "plus", "waiting"),
    EventKind.BORROWED: Look(_("Learns from an earlier experiment"), "refresh", "waiting"),
    EventKind.PHASE: Look(_("Phase changed"), "flask", "running"),
    EventKind.STATE: Look(_("State changed"), "info", "waiting"),
    EventKind.STOPPING: Look(_("Being stopped"), "scissors", "canceled"),
    EventKind.LIMITS: Look(_("Limits changed"), "sliders", "waiting"),
    EventKind.DETAILS: Look(_("Name, notes or tags changed"), "edit", "waiting"),
    EventKind.SUSPENDED: Look(_("Suspended"), "pause", "waiting"),
    EventKind.RESUMED: Look(_("Resumed"), "play", "waiting"),
    EventKind.FINISH: Look(_("Finish early"), "stop", "waiting"),
    EventKind.EXHAUSTED: Look(_("Nothing left to try"), "check", "waiting"),
    EventKind.RETRIED: Look(_("Tried again"), "refresh", "waiting"),
    EventKind.EXCLUDED: Look(_("Excluded from the results"), "eye-off", "waiting"),
    EventKind.RESTORED: Look(_("Included in the results again"), "eye", "waiting"),
    EventKind.REMARK: Look(_("News of its job"), "info", "waiting"),
    EventKind.NOT_JUDGED: Look(_("Not judged"), "warning", "waiting"),
    EventKind.LET_FINISH: Look(_("Let run on, not stopped"), "scissors", "early"),
    EventKind.BAD_REPORT: Look(_("A report could not be read"), "warning", "failed"),
    EventKind.LATE_FINAL: Look(_("A second final result was not used"), "warning", "waiting"),
    EventKind.TROUBLE: Look(_("Trouble"), "warning", "failed"),
    EventKind.SLEPT: Look(_("The machine slept"), "pause", "waiting"),
    EventKind.WELL_AGAIN: Look(_("All is well again"), "check-circle", "succeeded"),
    EventKind.UPLOAD_FAILED: Look(_("Upload to AIStore failed"), "warning", "failed"),
    EventKind.UPLOAD_WELL_AGAIN: Look(_("Upload to AIStore goes on"), "upload", "waiting"),
    EventKind.UPLOADED: Look(_("Uploaded to AIStore"), "upload", "waiting"),
    EventKind.ATTACHED: Look(_("File attached"), "file", "waiting"),
    EventKind.DETACHED: Look(_("File deleted"), "trash", "waiting"),
    EventKind.FIGURE_KEPT: Look(_("Figure kept"), "chart", "waiting"),
    EventKind.FIGURE_DELETED: Look(_("Figure deleted"), "trash", "waiting"),
}
NEW_TRIAL = Look(_("New"), "waiting", "waiting")
_BY_STATE: dict[tuple[EventKind, str], Look] = {
    **{(EventKind.STATE, state): look for state, look in STATES.items()},
    (EventKind.PHASE, Phase.PENDING): Look(_("Now pending"), "flask", "running"),
    (EventKind.PHASE, Phase.RUNNING): Look(_("Now running"), "flask", "running"),
    (EventKind.PHASE, Phase.DONE): Look(_("Now done"), "flask", "running"),
    (EventKind.PHASE, Phase.TIMEOUT): Look(_("Now timed out"), "flask", "running"),
    (EventKind.PHASE, Phase.ERROR): Look(_("Now in error"), "x-octagon", "failed"),
    (EventKind.STOPPING, TrialState.EARLY_STOPPED): Look(
        _("Stopped by the assessor"), "scissors", "early"
    ),
}


def event_look(what: str, old: str = "", new: str = "") -> Look:
    """How an event looks; one of a later release's kind stands in its own words."""
    if what == EventKind.STATE and not old:
        return NEW_TRIAL
    if what not in set(EventKind):
        return Look(what, "info", "waiting")
    kind = EventKind(what)
    return _BY_STATE.get((kind, new), EVENTS[kind])


def experiment_look(
    phase: str, *, finishing: bool, suspended: bool, has_best: bool = True, message: str = ""
) -> Look:
    """How an experiment's badge looks: its phase, or that it is suspended or being finished.

    The message of one that is done tells why nothing succeeded, if trials failed.
    """
    if phase not in PHASE_ENDED:
        if finishing:
            return FINISHING
        if suspended:
            return SUSPENDED
    if phase == Phase.DONE and not has_best:
        return ALL_FAILED if message else NONE_SUCCEEDED
    return PHASES[Phase(phase)]


def for_scripts(say: Callable[[str], str] = str) -> dict[str, Any]:
    """All of it as plain JSON, for the pages' scripts: the same words and tones as everywhere.

    ``say`` gives a label in the reader's language.

    Each look is ``{label, icon, tone, colour}``. ``events`` has a key ``WHAT`` for each kind,
    ``WHAT STATE`` where the state that an event leads to says more, and ``new`` for a trial's
    first.
    """

    def plain(look: Look) -> dict[str, str]:
        return look._replace(label=say(look.label))._asdict()

    return {
        "states": {state.value: plain(look) for state, look in STATES.items()},
        "phases": {phase.value: plain(look) for phase, look in PHASES.items()},
        "all_failed": plain(ALL_FAILED),
        "none_succeeded": plain(NONE_SUCCEEDED),
        "suspended": plain(SUSPENDED),
        "finishing": plain(FINISHING),
        "events": {
            "new": plain(NEW_TRIAL),
            **{kind.value: plain(look) for kind, look in EVENTS.items()},
            **{f"{kind} {state}": plain(look) for (kind, state), look in _BY_STATE.items()},
        },
        "uploads": {state: plain(look) for state, look in UPLOADS.items()},
        "finished": sorted(FINISHED_STATES),
        "ended": sorted(PHASE_ENDED),
    }

"""NNI's experiment configurations, version 1 and 2: ``config.yml`` with its search space file.

Names are read as NNI reads them: without case and underscores. The trial's command is a shell line
there, so it becomes ``sh -c``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from experiments.algorithms import registry
from experiments.convert.choosing import FALLBACK, fit_to_space, put_algorithm
from experiments.convert.draft import Draft, Section, limits
from experiments.convert.nni_space import ReadFile, put_space
from experiments.convert.nni_trial import put_training
from experiments.manifest.reading import kind_of

_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([smhd]?)\s*\Z")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
# What NNI's own default is; the others' is to maximize.
_MINIMIZES = frozenset({"TPE", "Anneal"})
_NEAREST = {
    "smac": (FALLBACK, "SMAC's forest is not here"),
    "dngo": (FALLBACK, "DNGO's network is not here"),
    "regularizedevolution": ("Evolution", "RegularizedEvolution is for architectures"),
    "tpelegacy": ("TPE", ""),
}
_MANAGER = "concerns NNI's own manager and is not needed."
_OF_THE_MANAGER = (
    "authorName", "debug", "logLevel", "logCollection", "nniManagerIp", "nniManagerVersion",
    "versionCheck", "multiThread", "experimentWorkingDirectory", "tunerGpuIndices",
    "webPort", "restPort", "description",
)  # fmt: skip


def convert_nni(draft: Draft, data: Mapping[str, Any], read: ReadFile, otherwise: str) -> None:
    """Fill the draft. ``otherwise`` is a name where the file has none."""
    top = Section(draft, data, "", loose=True)
    name = top.text("experimentName")
    draft.name_it(name, top.where("experimentName"), otherwise)
    _annotation(draft, top)
    trials, duration = (
        ("maxTrialNum", "maxTrialNumber"),
        ("maxExecDuration", "maxExperimentDuration"),
    )
    limits(
        draft,
        trials=(top.whole(*trials, low=1), top.where(top.named(*trials))),
        at_once=(top.whole("trialConcurrency", low=1), top.where("trialConcurrency")),
        seconds=(_seconds(draft, top, *duration), top.where(top.named(*duration))),
        duration=top.take(*duration),
    )
    put_space(draft, top, read)
    _trial_duration(draft, top)
    put_training(draft, top, read)
    assessor_mode = _assessor(draft, top)
    _chooser(draft, top, assessor_mode)
    if top.take("multiPhase"):
        message = "A trial has one set of parameters here, not one after the other."
        draft.leave(top.where("multiPhase"), message, "Let each set be a trial.")
    for key in _OF_THE_MANAGER:
        if key in top and top.take(key) not in (None, False, "default"):
            top.leave(key, _MANAGER)
    top.leave_rest()
    fit_to_space(draft, top.where("tuner"))


def _annotation(draft: Draft, top: Section) -> None:
    given = top.take("useAnnotation")
    if given is None or str(given).lower() == "false":
        return
    draft.refuse(
        top.where("useAnnotation"),
        "The search space stands in comments of the code (useAnnotation), which is not read here.",
        "Write it into a search space file: `nnictl ss_gen` of NNI 1 or 2 does that, and set "
        "useAnnotation: false; the code calls nni.get_next_parameter().",
    )


def _seconds(draft: Draft, top: Section, *names: str) -> int | None:
    value = top.take(*names)
    if value is None:
        return None
    found = _DURATION.match(str(value)) if not isinstance(value, bool) else None
    length = float(found[1]) * _SECONDS[found[2]] if found else 0.0
    if not 1 <= length < math.inf:
        message = f"must be a duration like 90s, 30m, 1h or 2d, but got {kind_of(value)}."
        draft.refuse(top.where(top.named(*names)), message)
        return None
    return int(length)


def _trial_duration(draft: Draft, top: Section) -> None:
    given = _seconds(draft, top, "maxTrialDuration")
    if given is None:
        return
    path = top.where("maxTrialDuration")
    if draft.knows("maxTrialSeconds"):
        draft.put("spec.maxTrialSeconds", given, path, top.take("maxTrialDuration"))
        return
    hint = "Let the command end itself: timeout SECONDS COMMAND."
    draft.leave(path, "A trial has no time limit of its own here.", hint)


def _assessor(draft: Draft, top: Section) -> str:
    """Set the assessor; return its mode, "" where it says none."""
    section = top.section("assessor")
    if not section.data:
        return ""
    name = section.text("name", "builtinAssessorName")
    path = section.where(section.named("name", "builtinAssessorName"))
    args = section.section("classArgs")
    mode = args.data.get("optimize_mode")
    entry = registry.find("assessor", name) if name else None
    if not isinstance(entry, registry.Entry):
        what = name or section.text("className") or "of your own"
        hint = "Medianstop and Curvefitting are here."
        draft.leave(section.path, f"The assessor {what} is not here: no trial is stopped.", hint)
        return str(mode or "")
    paths = {key: args.where(key) for key in args.data}
    put_algorithm(draft, "assessor", entry.name, args.data, path, name, paths)
    section.leave_rest()
    return str(mode or "")


def _chooser(draft: Draft, top: Section, assessor_mode: str) -> None:
    kind = "tuner" if top.data and "tuner" in top else "advisor"
    section = top.section(kind)
    if not section.data:
        if any(problem.path == section.path for problem in draft.problems):  # it is no mapping
            return
        draft.refuse("", "There is neither tuner nor advisor.", "E.g. tuner: {name: TPE}.")
        return
    names = ("name", "builtinTunerName", "builtinAdvisorName")
    name, path = section.text(*names), section.where(section.named(*names))
    arguments = section.section("classArgs")
    args = dict(arguments.data)
    paths = {key: arguments.where(key) for key in args}
    plain = re.sub(r"tuner\Z", "", name.lower().replace("_", ""))
    if plain == "networkmorphism":
        draft.refuse(
            path,
            "NetworkMorphism builds its own networks from classArgs; nothing here does.",
            "Describe what varies as a searchSpace and take another tuner.",
        )
        return
    ours_kind, ours, why = _ours(name, plain)
    if plain == "tpelegacy":
        args["engine"] = "hyperopt"
    if ours_kind == "tuner" and not name:
        why = f"The {kind} {section.text('className') or ''} is code of your own".replace("  ", " ")
    if why:
        args = {key: args[key] for key in ("optimize_mode", "seed") if key in args}
        draft.leave(path if name else section.path, f"{why}: the tuner is {ours}.",
                    "Choose one of Algorithms in the documentation.")  # fmt: skip
        for key in ("codeDir", "codeDirectory", "classFileName", "className"):
            section.take(key)
    if args.get("optimize_mode") is None:
        args["optimize_mode"] = assessor_mode or ("minimize" if ours in _MINIMIZES else "maximize")
        message = f"{name or 'The tuner'} is given no optimize_mode: {args['optimize_mode']}."
        draft.leave(section.path, message, "Check which way is better.")
    put_algorithm(draft, ours_kind, ours, args, path if name else section.path, name, paths)
    section.leave_rest()


def _ours(name: str, plain: str) -> tuple[str, str, str]:
    """Kind and name of the algorithm to take, and why it is another one, if it is."""
    if plain in _NEAREST:
        ours, why = _NEAREST[plain]
        return "tuner", ours, why
    for kind in ("tuner", "advisor"):
        entry = registry.find(kind, name) if name else None
        if isinstance(entry, registry.Entry):
            return kind, entry.name, ""
    return "tuner", FALLBACK, f"'{name}' is no algorithm of NNI's own"

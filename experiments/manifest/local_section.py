"""The manifest's ``spec.local``: what only the local engine reads, a section of our own.

Called by ``spec``. Where an experiment runs on a cluster it means nothing, which ``forecast`` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.manifest import reading
from experiments.manifest.fields import GPU_MEMORY, LOCAL
from experiments.manifest.local_spec import LocalSpec
from experiments.manifest.reading import Notes, at

_PATH = "spec.local"


def parse_local(notes: Notes, raw: Any) -> LocalSpec:
    """Read the section, noting every problem."""
    section = reading.mapping(notes, raw, _PATH, hint="E.g. local: {trialsPerGpu: 2}.")
    reading.check_keys(
        notes, section, _PATH, LOCAL.keys,
        {"maxTrialNumberPerGpu": "Here it is called 'trialsPerGpu'.",
         "gpuNum": "How many GPUs a trial gets stands in its container: "
         "resources.limits, nvidia.com/gpu."},
    )  # fmt: skip
    per_gpu = LOCAL.whole("trialsPerGpu")
    memory = reading.one_of(
        notes, section.get("gpuMemory"), at(_PATH, "gpuMemory"), GPU_MEMORY, is_given=True
    )
    return LocalSpec(
        python=_python(notes, section),
        trials_per_gpu=reading.whole_number(
            notes, section.get("trialsPerGpu"), at(_PATH, "trialsPerGpu"), **per_gpu.check
        ),
        measures_memory=bool(memory),
        use_active_gpu=reading.flag(notes, section.get("useActiveGpu"), at(_PATH, "useActiveGpu")),
        gpu_indices=_indices(notes, section),
        preload=_modules(notes, section),
    )


def _python(notes: Notes, section: Mapping[str, Any]) -> str:
    path, declared = at(_PATH, "python"), LOCAL.text("python")
    given = section.get("python")
    name = reading.text(notes, given, path, **declared.check)
    assert declared.pattern is not None
    if given == "" or (name and not declared.pattern.match(name)):
        message = (
            "must be a path or a name, without blanks at its ends and on one line, but got "
            f"{reading.kind_of(given)}."
        )
        notes.error(path, message, declared.hint)
        return ""
    return name


def _indices(notes: Notes, section: Mapping[str, Any]) -> tuple[int, ...]:
    path, declared = at(_PATH, "gpuIndices"), LOCAL.rows("gpuIndices")
    hint = "A list of their numbers as nvidia-smi shows them, e.g. [0, 2]."
    rows = reading.listing(notes, section.get("gpuIndices"), path, most=declared.most, hint=hint)
    if section.get("gpuIndices") == []:
        notes.error(path, "must be a list with at least one entry.", "Left out, all are used.")
    found: list[int] = []
    for number, row in enumerate(rows):
        where = at(path, number)
        index = reading.whole_number(notes, row, where, **LOCAL.whole_of("gpuIndices").check)
        if index is not None and index in found:
            notes.error(where, f"GPU {index} is given twice.")
        elif index is not None:
            found.append(index)
    return tuple(found)


def _modules(notes: Notes, section: Mapping[str, Any]) -> tuple[str, ...]:
    path, declared = at(_PATH, "preload"), LOCAL.rows("preload")
    hint = "A list of modules, e.g. [torch]."
    rows = reading.listing(notes, section.get("preload"), path, most=declared.most, hint=hint)
    module = LOCAL.text_of("preload")
    assert module.pattern is not None
    found: list[str] = []
    for number, row in enumerate(rows):
        where = at(path, number)
        name = reading.text(notes, row, where, **module.check)
        if name and not module.pattern.match(name):
            message = f"must be the dotted name of a module, but got '{name[:60]}'."
            notes.error(where, message, module.hint)
        elif name in found:
            notes.error(where, f"The module '{name}' is given twice.")
        elif name:
            found.append(name)
    return tuple(found)

"""What there is to choose from, written from what the code itself declares: as data, as a page.

``catalogue`` is what REST and the form tell of the algorithms, and ``docs/algorithms.md`` is made
of the same rows, with the description of each from its module. The page is written by the command
``algorithms_page``; a test compares it with the one in the repository.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from experiments.algorithms.registry import ADVISORS, ALL, ASSESSORS, KINDS, TUNERS, Entry
from experiments.algorithms.settings import describe
from experiments.algorithms.space.reading import TYPES

HEAD = """\
# Algorithms

A manifest names a **tuner**, which chooses the parameters of each trial, and may name an
**assessor** beside it, which stops trials that will not get anywhere. An **advisor** stands in
place of a tuner and also decides how long each trial trains; where both are given the tuner wins,
and an assessor beside an advisor is ignored. Names are accepted with and without `Tuner`,
`Assessor` or `Advisor` at their end, in any case.

```yaml
tuner:
  builtinTunerName: TPE
  classArgs: {"optimize_mode": "minimize"}
```

`optimize_mode` is `maximize` unless given. It is the engine that turns a value round, in one place:
algorithms only ever minimise. An argument of another tuner is a warning and ignored, an unknown one
is an error.

What holds for all of them, by test: the same seed and history propose the same, in any process of
one installation, so a restart in the middle changes nothing; failed, killed, excluded, imported and
custom trials, NaN and infinite results are survived; no configuration is tried twice while a finite
space has untried ones (advisors and PBTTuner repeat on purpose); several trials at a time are told
apart from each other.

"One installation" means one kind of processor, the same versions of the libraries and the same BLAS
settings. Elsewhere the last bits of a sum differ, and with them what a model proposes next: those
proposals are just as legal and as good, and go on from any history, but are not the same numbers.

Any finite result may be reported; beyond ±1e300 algorithms see ±1e300. A tuner that cannot compute
with what was reported draws the next trials at random, an assessor gives no verdict; the events of
those trials say so, and the experiment goes on.
"""

BUDGETS = """\
A trial of an advisor finds how long it may train in its parameters, as `TRIAL_BUDGET`, beside those
of the search space, which may not define that name itself:

```python
parameters = autotune_trial.get_parameters()
for epoch in range(parameters["TRIAL_BUDGET"]):
    ...
```

A configuration that is promoted runs again as a new trial with a larger budget, from the start
unless the script keeps a checkpoint of its own. Advisors go on until `maxTrialNum` or
`maxExecSeconds`.
"""

CHECKPOINTS = """\
A trial of PBTTuner finds two directories in its parameters: it resumes from what it finds in
`load_checkpoint_dir` (nothing, in the first generation), trains a while, writes to
`save_checkpoint_dir` and reports its result. Locally both exist when the trial starts; without
`all_checkpoint_dir` they lie below the server's data and are removed with the experiment. On a
cluster `all_checkpoint_dir` must be given: a path on a volume that every trial mounts.
"""


def catalogue(say: Callable[[str], str] = str) -> dict[str, list[dict[str, Any]]]:
    """Every algorithm as plain JSON: ``tuners``, ``assessors`` and ``advisors``.

    ``say`` gives its words in the reader's language.
    """
    return {
        f"{kind}s": [described(entry, say) for entry in entries.values()]
        for kind, entries in KINDS.items()
    }


def described(entry: Entry, say: Callable[[str], str] = str) -> dict[str, Any]:
    """One algorithm as plain JSON, its settings in the order of its Args."""

    def said(words: str) -> str:
        return say(words) if words else ""  # the header of a catalogue goes by no words

    return {
        "kind": entry.kind,
        "name": entry.name,
        "label": said(entry.label),
        "summary": said(entry.summary),
        "available": entry.available,
        "types": [name for name in TYPES if name in entry.types],
        "needs": said(entry.needs),
        "numeric_choice_only": entry.numeric_choice_only,
        "settings": [
            {
                "name": info.name,
                "type": info.type,
                "default": info.default,
                "help": said(info.help),
                "low": info.low,
                "high": info.high,
                "above": info.above,
                "below": info.below,
                "limits": info.shown_limits(said),
                "choices": list(info.choices),
                "optional": info.optional,
            }
            for info in describe(entry.args)
        ],
    }


def algorithms_page() -> str:
    """Return the page as Markdown."""
    parts = [HEAD, _types_table()]
    parts.append("## Tuners\n")
    parts += [_section(entry) for entry in TUNERS.values() if entry.available]
    parts.append("## Advisors\n")
    parts.append(BUDGETS)
    parts += [_section(entry) for entry in ADVISORS.values() if entry.available]
    parts.append("## Assessors\n")
    parts += [_section(entry) for entry in ASSESSORS.values() if entry.available]
    return "\n".join(parts).rstrip() + "\n"


def _types_table() -> str:
    """Which algorithm searches which types."""
    choosers = [e for e in [*TUNERS.values(), *ADVISORS.values()] if e.available]
    lines = ["## Types of the search space\n", "| | " + " | ".join(f"`{t}`" for t in TYPES) + " |"]
    lines.append("|---|" + "---|" * len(TYPES))
    for entry in choosers:
        cells = []
        for name in TYPES:
            numeric = name == "choice" and entry.numeric_choice_only
            cells.append(("numbers" if numeric else "yes") if name in entry.types else "–")
        lines.append(f"| [{entry.name}](#{_anchor(entry)}) | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def title(entry: Entry) -> str:
    return entry.label if entry.label.startswith(entry.name) else f"{entry.name}: {entry.label}"


def _anchor(entry: Entry) -> str:
    return re.sub(r"[^a-z0-9 -]", "", title(entry).lower()).replace(" ", "-")


def _section(entry: Entry) -> str:
    lines = [f"### {title(entry)}\n", entry.summary + "\n"]
    if entry.kind != "assessor":
        lines.append(f"Search types: {_types(entry)}.\n")
    if entry.name == "PBTTuner":
        lines.append(CHECKPOINTS)
    lines += ["| argument | type | default | limits | meaning |", "|---|---|---|---|---|"]
    lines += [_row(setting) for setting in described(entry)["settings"]]
    lines.append("")
    lines += [paragraph + "\n" for paragraph in _description(entry)]
    return "\n".join(lines)


def _types(entry: Entry) -> str:
    if entry.types == ALL:
        return "all"
    names = ", ".join(f"`{name}`" for name in described(entry)["types"])
    numbers = " (of `choice`, numbers only)" if entry.numeric_choice_only else ""
    needs = f"; {entry.needs}" if entry.needs else ""
    return names + numbers + needs


def _row(setting: Mapping[str, Any]) -> str:
    if setting["choices"]:
        kind = "text"
        limits = "one of " + ", ".join(f"`{choice}`" for choice in setting["choices"])
    else:
        kind, limits = setting["type"], setting["limits"]
    default = "–" if setting["default"] is None else f"`{_shown(setting['default'])}`"
    return f"| `{setting['name']}` | {kind} | {default} | {limits} | {setting['help']} |"


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _description(entry: Entry) -> Iterator[str]:
    """Yield the paragraphs of the module that holds an algorithm, without its heading."""
    module = importlib.import_module(entry.where.partition(":")[0])
    for paragraph in inspect.cleandoc(module.__doc__ or "").split("\n\n")[1:]:
        if any(line.startswith("    ") for line in paragraph.splitlines()):
            yield f"```\n{inspect.cleandoc(paragraph)}\n```"
        else:
            yield paragraph.replace("``", "`")

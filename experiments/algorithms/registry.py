"""Every algorithm by name: what it is for, what it takes, which spaces it searches.

Read by ``manifest.spec``, the forms, the docs page and the tests. Importing this module loads no
algorithm: ``Entry.load`` does, so that the web server starts with numpy, but without scipy
and hyperopt, which take seconds.

To add an algorithm: write its file, its Args in ``arguments``, one entry here and one in the docs.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from experiments.algorithms import arguments
from experiments.algorithms.base import BUDGET_KEY, LOAD_KEY, SAVE_KEY
from experiments.algorithms.settings import Args
from experiments.algorithms.space.choices import Choice
from experiments.algorithms.space.parameters import join
from experiments.algorithms.space.reading import TYPES
from experiments.algorithms.space.search_space import SearchSpace
from experiments.problems import Problem, nearest

ALL = frozenset(TYPES)
FINITE = frozenset({"choice", "randint", "quniform", "qloguniform", "layer_choice", "input_choice"})


@dataclass(frozen=True)
class Entry:
    """One algorithm."""

    kind: str  # "tuner", "assessor" or "advisor"
    name: str  # the specification's spelling
    label: str
    summary: str  # one sentence: what it does and when to choose it
    args: type[Args]
    where: str = ""  # "module:Class" below experiments.algorithms; empty: not available yet
    types: frozenset[str] = ALL
    numeric_choice_only: bool = False  # choice counts only with numbers as members
    n_parameters: int | None = None  # the only number of parameters it can search
    adds: tuple[str, ...] = ()  # what it adds to a trial's parameters, beside the search space

    @property
    def available(self) -> bool:
        """Whether it can run; the others are known by name only."""
        return bool(self.where)

    @property
    def needs(self) -> str:
        """What it asks of the search space beyond types, as a phrase; empty if nothing."""
        return f"exactly {self.n_parameters} parameter" if self.n_parameters is not None else ""

    def load(self) -> type[Any]:
        """Import and return the algorithm's class."""
        if not self.available:
            raise ValueError(f"{self.name} is not available yet.")
        module, name = self.where.split(":")
        found: type[Any] = getattr(importlib.import_module(module), name)
        return found


def _by_name(*entries: Entry) -> dict[str, Entry]:
    return {entry.name: entry for entry in entries}


TUNERS = _by_name(
    Entry(
        kind="tuner",
        name="Auto",
        label="Auto (recommended)",
        summary="Picks by the search space, the trials so far and how many run at once: a Gaussian "
        "process while trials are few, TPE for many; the default to start with.",
        args=arguments.AutoArgs,
        where="experiments.algorithms.tuners.auto:AutoTuner",
    ),
    Entry(
        kind="tuner",
        name="Random",
        label="Random search",
        summary="Draws every trial from the search space independently; the baseline to beat, and "
        "a good choice when trials are cheap and all run at once.",
        args=arguments.HyperoptArgs,
        where="experiments.algorithms.tuners.random:RandomTuner",
    ),
    Entry(
        kind="tuner",
        name="Anneal",
        label="Simulated annealing",
        summary="Searches ever closer around the best trials so far; simple and strong on smooth "
        "problems with few good regions.",
        args=arguments.HyperoptArgs,
        where="experiments.algorithms.tuners.anneal:AnnealTuner",
    ),
    Entry(
        kind="tuner",
        name="TPE",
        label="Tree-structured Parzen estimator",
        summary="Learns where good trials lie and where bad ones do, and proposes what is likelier "
        "among the good; a sound default for any search space.",
        args=arguments.TPEArgs,
        where="experiments.algorithms.tuners.tpe:TPETuner",
    ),
    Entry(
        kind="tuner",
        name="Evolution",
        label="Evolution",
        summary="Breeds new trials from the better ones of a population; for long experiments with "
        "many trials.",
        args=arguments.EvolutionArgs,
        where="experiments.algorithms.tuners.evolution:EvolutionTuner",
    ),
    Entry(
        kind="tuner",
        name="CMA-ES",
        label="CMA-ES",
        summary="A normal distribution that moves and narrows to the best trials; for smooth "
        "problems whose parameters depend on each other, and long experiments.",
        args=arguments.CMAESArgs,
        where="experiments.algorithms.tuners.cmaes:CMAESTuner",
    ),
    Entry(
        kind="tuner",
        name="Batch",
        label="Batch",
        summary="Runs a given list of configurations in order; for a comparison fixed beforehand.",
        args=arguments.BatchArgs,
        where="experiments.algorithms.tuners.batch:BatchTuner",
        types=frozenset({"choice"}),
        n_parameters=1,
    ),
    Entry(
        kind="tuner",
        name="GridSearch",
        label="Grid search",
        summary="Tries every configuration of a finite search space in order; for small spaces "
        "that must be covered completely.",
        args=arguments.GridSearchArgs,
        where="experiments.algorithms.tuners.grid:GridSearchTuner",
        types=FINITE,
    ),
    Entry(
        kind="tuner",
        name="MetisTuner",
        label="Metis",
        summary="A Gaussian process that also says which trial to repeat; for noisy objectives.",
        args=arguments.MetisArgs,
        where="experiments.algorithms.tuners.metis:MetisTuner",
    ),
    Entry(
        kind="tuner",
        name="GPTuner",
        label="Gaussian process",
        summary="A Gaussian process with an acquisition function; the fewest trials where each "
        "one is expensive.",
        args=arguments.GPArgs,
        where="experiments.algorithms.tuners.gp:GPTuner",
    ),
    Entry(
        kind="tuner",
        name="PPOTuner",
        label="Proximal policy optimization",
        summary="Reinforcement learning over layers and inputs; for architecture search.",
        args=arguments.PPOArgs,
        where="experiments.algorithms.tuners.ppo:PPOTuner",
        types=frozenset({"layer_choice", "input_choice"}),
    ),
    Entry(
        kind="tuner",
        name="PBTTuner",
        label="Population based training",
        summary="Trains a population whose worst members copy and perturb the best; finds "
        "schedules, for trials that can resume from checkpoints.",
        args=arguments.PBTArgs,
        where="experiments.algorithms.tuners.pbt:PBTTuner",
        adds=(LOAD_KEY, SAVE_KEY),
        types=ALL - {"layer_choice", "input_choice"},
    ),
)

ASSESSORS = _by_name(
    Entry(
        kind="assessor",
        name="Medianstop",
        label="Median stop",
        summary="Stops a trial whose best result so far is worse than the median of finished "
        "trials at the same step; a safe first choice.",
        args=arguments.MedianstopArgs,
        where="experiments.algorithms.assessors.medianstop:MedianstopAssessor",
    ),
    Entry(
        kind="assessor",
        name="Curvefitting",
        label="Curve fitting",
        summary="Stops a trial whose forecast final result is worse than the best so far; for "
        "long trials with smooth curves.",
        args=arguments.CurvefittingArgs,
        where="experiments.algorithms.assessors.curve_fitting:CurvefittingAssessor",
    ),
)

ADVISORS = _by_name(
    Entry(
        kind="advisor",
        name="Hyperband",
        label="Hyperband",
        summary="Gives many trials a small budget and the best of them more; for trials whose "
        "early results tell.",
        args=arguments.HyperbandArgs,
        where="experiments.algorithms.advisors.hyperband:HyperbandAdvisor",
        adds=(BUDGET_KEY,),
    ),
    Entry(
        kind="advisor",
        name="BOHB",
        label="BOHB",
        summary="Hyperband whose configurations are drawn from a model of the good ones.",
        args=arguments.BOHBArgs,
        where="experiments.algorithms.advisors.bohb:BOHBAdvisor",
        adds=(BUDGET_KEY,),
    ),
    Entry(
        kind="advisor",
        name="ASHA",
        label="Asynchronous successive halving",
        summary="Promotes a trial to a larger budget as soon as it is among the best of its rung; "
        "never waits, for many trials at once.",
        args=arguments.ASHAArgs,
        where="experiments.algorithms.advisors.asha:ASHAAdvisor",
        adds=(BUDGET_KEY,),
    ),
)

KINDS = {"tuner": TUNERS, "assessor": ASSESSORS, "advisor": ADVISORS}


def _plain(name: str) -> str:
    """Return a name as aliases compare: without case, hyphens and its kind as a suffix."""
    plain = name.strip().lower().replace("-", "")
    for suffix in KINDS:
        if plain.endswith(suffix) and plain != suffix:
            plain = plain.removesuffix(suffix)
    return plain


def names_pattern(kind: str) -> re.Pattern[str]:
    """What ``find`` takes for a name of an algorithm that can run."""
    spelled = ["-*".join(_plain(e.name)) for e in KINDS[kind].values() if e.available]
    suffixes = [f"(?:{'-*'.join(suffix)}-*)?" for suffix in reversed(KINDS)]
    return re.compile(rf"(?i:[\s-]*(?:{'|'.join(spelled)})-*{''.join(suffixes)}\s*)\Z")


def find(kind: str, name: object, path: str = "") -> Entry | Problem:
    """Return the algorithm of that name or alias, available or not, or what is wrong with it."""
    entries = KINDS[kind]
    if isinstance(name, str):
        for entry in entries.values():
            if _plain(entry.name) == _plain(name):
                return entry
    known = ", ".join(entries)
    close = nearest(name, entries) if isinstance(name, str) else None
    return Problem(
        path,
        f"must be one of {known}, but got {name!r}.",
        f"Did you mean {close}?" if close else "",
    )


def not_available(entry: Entry, path: str) -> Problem:
    """Return the refusal of an algorithm that is known but cannot run."""
    others = ", ".join(e.name for e in KINDS[entry.kind].values() if e.available)
    hint = f"Available: {others}." if others else ""
    return Problem(path, f"{entry.name} is not available yet.", hint)


def unsupported(entry: Entry, space: SearchSpace, path: str = "spec.searchSpace") -> list[Problem]:
    """Say why an algorithm cannot search a space, naming types and algorithms that would work."""
    problems = list(_unsupported(entry, space, path))
    if not problems:
        return []
    able = [e.name for e in TUNERS.values() if e.available and not any(_unsupported(e, space, ""))]
    kinds = ", ".join(name for name in TYPES if name in entry.types)
    hint = f"{entry.name} supports {kinds}."
    if entry.numeric_choice_only:
        hint = f"{entry.name} supports {kinds} (choice of numbers only)."
    if able:
        hint = f"{hint} This space works with {', '.join(able)}."
    return [Problem(p.path, p.message, hint) for p in problems]


def _unsupported(entry: Entry, space: SearchSpace, path: str) -> Iterator[Problem]:
    if entry.kind != "tuner" and entry.kind != "advisor":
        return
    if entry.n_parameters is not None and len(space.parameters) != entry.n_parameters:
        yield Problem(path, f"{entry.name} needs {entry.needs}, but got {len(space.parameters)}.")
    for name in entry.adds:
        if name in space.parameters:
            yield Problem(join(path, name), f"is a name that {entry.name} itself gives to trials.")
    for here, parameter in space.walk(path):
        if parameter.type not in entry.types:
            yield Problem(f"{here}._type", f"{entry.name} cannot search {parameter.type}.")
        elif (
            entry.numeric_choice_only and isinstance(parameter, Choice) and not parameter.is_numeric
        ):
            yield Problem(f"{here}._value", f"{entry.name} can search a choice of numbers only.")

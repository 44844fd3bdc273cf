"""What every algorithm speaks: observations in, proposals and verdicts out.

Called by ``engine.session``; nothing here or below knows Django, clocks, files or whether the user
maximises. A tuner is a function of (space, args, seed, history): it keeps nothing between calls
that it could not rebuild from the history, so a crash loses nothing. Promised exactly: rebuilt
from its history it proposes equal parameters on one machine (one kind of processor, the same
libraries and BLAS settings); anywhere else legal ones of the same quality, since the last bits of
floating-point sums differ there.

Vocabulary: a *loss* is what algorithms minimise; the user's *value* has its sign flipped once, in
``engine.session``. ``sequence`` counts a trial's intermediate reports from 0.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, TypeVar

import numpy as np

from experiments.algorithms.space.search_space import SearchSpace


class Outcome(StrEnum):
    """What a trial's history means to an algorithm."""

    RUNNING = "running"  # waiting or running: parameters are taken, loss is not known yet
    DONE = "done"  # ended with a finite loss (a final result, or the last one of a stopped trial)
    FAILED = "failed"  # ended without a usable loss


Curve = tuple[tuple[int, float], ...]  # (sequence, value) of each intermediate report


@dataclass(frozen=True)
class Observation:
    """One trial as an algorithm sees it.

    Raises:
        ValueError: if ``loss`` is not finite exactly when the outcome is DONE.
    """

    number: int
    parameters: Mapping[str, Any]
    outcome: Outcome
    loss: float | None = None
    curve: Curve = ()  # finite losses, by sequence
    note: Mapping[str, Any] = field(default_factory=dict)  # what Suggestion.note held
    completed: bool = False  # ran to its own end; False for early-stopped trials
    # FAILED for reasons outside its parameters: stopped by the user, lost, or its result excluded
    blameless: bool = False
    seconds: float | None = None  # from its start to its end, where both are known

    def __post_init__(self) -> None:
        finite = self.loss is not None and abs(self.loss) < float("inf")
        if finite != (self.outcome is Outcome.DONE):
            raise ValueError(
                f"Observation {self.number}: a finite loss goes with outcome DONE and no other, "
                f"but got outcome={self.outcome.value!r}, loss={self.loss!r}."
            )


@dataclass(frozen=True)
class Suggestion:
    """Parameters for one new trial. ``note`` must be plain JSON; it is stored with the trial."""

    parameters: dict[str, Any]
    note: dict[str, Any] = field(default_factory=dict)
    origin: str = ""  # one of ORIGINS, shown to the user as the trial's badge
    remark: str = ""  # what the user should know of how it came to be; told with the trial's start


# How a suggestion came to be: shown as a badge, filterable. "exploit" goes on "… of #17".
ORIGINS = (
    "start-up", "model", "grid", "batch", "random", "promoted", "exploit", "continued", "borrowed",
    "initial",
)  # fmt: skip

# In a note: how likely the trial was to run, where its tuner had learnt from failures
LIKELY = "likely"

# What an advisor adds to the parameters of a trial: how long it may train. NNI's name.
BUDGET_KEY = "TRIAL_BUDGET"
# What population based training adds: where a trial resumes from and where it must save to.
LOAD_KEY, SAVE_KEY = "load_checkpoint_dir", "save_checkpoint_dir"


@dataclass(frozen=True)
class Proposal:
    """Answer of a tuner: no suggestions and not exhausted means "wait for a running trial"."""

    suggestions: tuple[Suggestion, ...] = ()
    exhausted: bool = False


@dataclass(frozen=True)
class Verdict:
    """Answer of an assessor. ``reason`` is a sentence for the user, ``data`` its numbers (JSON).

    A reason of a verdict that does not stop says why the trial could not be judged.
    Numbers named ``…loss`` or ``…losses`` get the user's sign and become ``…value``, ``…values``;
    the sentence is a format string over the result: "The best value {best_value:.6g} is worse …".

    Raises:
        ValueError: if a trial is stopped without a reason.
    """

    stop: bool
    reason: str = ""
    data: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.stop and not self.reason:
            raise ValueError("A verdict that stops a trial must carry a reason, but reason=''.")


A = TypeVar("A")


class Tuner(ABC, Generic[A]):
    """Chooses parameters of new trials."""

    # Trials of the whole experiment, where the caller knows: explore while many are left
    budget: int | None = None

    def __init__(self, space: SearchSpace, args: A, seed: int) -> None:
        self.space = space
        self.args = args
        self.seed = seed

    @abstractmethod
    def propose(self, history: Sequence[Observation], count: int) -> Proposal:
        """Suggest up to ``count`` new trials.

        ``history`` holds every trial of the experiment by number. Asking for two at once gives what
        asking for one, adding it to the history as RUNNING, and asking again would give.
        """

    def propose_blind(self, history: Sequence[Observation], count: int) -> Proposal:
        """Suggest ``count`` trials drawn at random: asked where ``propose`` could not compute.

        A tuner whose trials carry notes or parameters of its own gives them these here too, so
        that it can go on from such trials.
        """
        numbers = range(len(history), len(history) + count)
        rngs = (np.random.default_rng([self.seed % 2**64, number]) for number in numbers)
        drawn = (Suggestion(self.space.sample(rng), origin="random") for rng in rngs)
        return Proposal(tuple(drawn))


class Assessor(ABC, Generic[A]):
    """Stops trials that will not get anywhere."""

    def __init__(self, args: A) -> None:
        self.args = args

    @abstractmethod
    def assess(self, trial: Observation, others: Sequence[Observation]) -> Verdict:
        """Judge the running ``trial`` by its curve and those of the ``others``."""

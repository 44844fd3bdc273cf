"""Between the experiment and its algorithms: rows to observations, answers back; flips the sign.

Called by ``loop.reconcile``. Algorithms minimise a loss; the user's value is negated here,
and nowhere else, when the algorithm's own ``optimize_mode`` is ``maximize`` (tuner and assessor may
differ).

Any finite float may have been reported. Beyond ±LARGEST algorithms see ±LARGEST, which keeps sums
and differences of results finite. Where an algorithm cannot compute all the same (it raises what
numbers make Python and numpy raise, or answers NaN), the experiment goes on: the tuner's next
trials are drawn at random, the assessor gives no verdict, and both say so. Whatever else an
algorithm raises, or answers that it must not, is a defect and becomes an AlgorithmError.
"""

from __future__ import annotations

import json
import logging
import math
import random
import re
import traceback
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from experiments.algorithms.base import (
    Assessor,
    Curve,
    Observation,
    Outcome,
    Proposal,
    Suggestion,
    Tuner,
    Verdict,
)
from experiments.algorithms.borrowed.sources import Source
from experiments.algorithms.borrowed.warm import WarmTuner
from experiments.algorithms.space.search_space import SearchSpace
from experiments.engine.initial import propose_initial
from experiments.manifest.algorithm_spec import AlgorithmSpec
from experiments.manifest.spec import ExperimentSpec
from experiments.states import FINISHED, TrialState

logger = logging.getLogger(__name__)

LARGEST = 1e300
_BLAMELESS = frozenset({TrialState.CANCELED, TrialState.LOST})  # not for their parameters
# What float arithmetic, numpy and scipy raise for numbers that they cannot use: overflow, division
# by zero, a matrix that has no factor.
CANNOT_COMPUTE = (ArithmeticError, np.linalg.LinAlgError)
# They raise a plain ValueError too, as does nearly every mistake in a program: its words tell.
# "cannot convert float NaN to integer", "math domain error", "array must not contain infs or NaNs"
_OF_NUMBERS = re.compile(
    r"\b(?:nans?|infs?|infinity|finite|infinite|math domain error|probabilities"
    r"|expected a (?:positive|nonnegative) input|out of range float)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class TrialSoFar:
    """One trial in the user's own numbers."""

    number: int
    parameters: Mapping[str, Any]
    state: str  # a TrialState
    value: float | None = None  # its result, None while there is none
    curve: Curve = ()  # (sequence, value) of its intermediate reports; non-finite ones may be there
    note: Mapping[str, Any] = field(default_factory=dict)  # what the tuner's suggestion carried
    excluded: bool = False  # the user wants its result left out
    seconds: float | None = None  # from its start to its end


class AlgorithmError(Exception):
    """An algorithm failed or broke its contract; the experiment cannot go on.

    ``str()`` is one sentence for the user, ``detail`` the traceback.
    """

    def __init__(self, kind: str, name: str, message: str, detail: str = "") -> None:
        super().__init__(f"The {kind} {name} failed: {message}")
        self.kind = kind
        self.name = name
        self.detail = detail


def propose(
    spec: ExperimentSpec,
    records: Sequence[TrialSoFar],
    count: int,
    seed: int,
    borrowed: Sequence[Source] = (),
    max_trials: int | None = None,
) -> Proposal:
    """Ask the tuner for up to ``count`` new trials, the first of them as ``spec.initial`` says.

    ``borrowed`` are the trials of earlier experiments.

    Built anew for each call from its whole history, so a restart changes nothing. Where it cannot
    compute they are drawn at random, with a remark. ``max_trials`` is how many there will be in
    all, where that is not what the spec says.

    Raises:
        AlgorithmError: the tuner has a defect: it raised, or proposed what it must not.
    """
    chosen = spec.tuner or spec.advisor
    if chosen is None:
        raise AlgorithmError("tuner", "(none)", "the experiment has neither tuner nor advisor.")
    ordered = sorted(records, key=lambda record: record.number)
    try:
        if spec.elsewhere is not None and spec.elsewhere.grows:
            if not spec.space.parameters:  # nobody has met any yet
                return Proposal(tuple(Suggestion({}, origin="start-up") for _ in range(count)))
            ordered = [_completed(record, spec.space, seed) for record in ordered]
        history = [observation(record, maximizes=chosen.maximizes) for record in ordered]
        tuner: Tuner[Any] = chosen.entry.load()(spec.space, chosen.args, seed)
        tuner.budget = spec.max_trials if max_trials is None else max_trials
        if borrowed:
            tuner = WarmTuner(tuner, chosen.name, borrowed, spec.space, seed)

        def ask(seen: Sequence[Observation], wanted: int) -> Proposal:
            return _proposed(tuner, chosen, seen, wanted)

        proposal = propose_initial(ask, spec.initial, spec.space, history, count, seed)
    except Exception as error:
        raise _failure(chosen, error) from error
    _check_proposal(spec, chosen, proposal, count)
    is_stuck = not proposal.suggestions and not proposal.exhausted and count > 0
    if is_stuck and all(record.state in FINISHED for record in records):
        raise AlgorithmError(
            chosen.kind, chosen.name, "it waits for a running trial, but none is running."
        )
    return proposal


def _completed(record: TrialSoFar, space: SearchSpace, seed: int) -> TrialSoFar:
    """The trial with a value for every parameter, where the search space has grown since.

    One that it did not have is drawn as if nobody had chosen: for this trial always the same, and
    over all trials without a leaning, so that a tuner learns nothing from it.
    """
    values = dict(record.parameters)
    for name, parameter in space.parameters.items():
        if name not in values or not parameter.contains(values[name]):
            rng = np.random.default_rng([seed, record.number, zlib.crc32(name.encode())])
            values[name] = parameter.sample(rng)
    return replace(record, parameters={name: values[name] for name in space.parameters})


def _proposed(
    tuner: Tuner[Any], chosen: AlgorithmSpec, history: Sequence[Observation], count: int
) -> Proposal:
    """Return the tuner's proposal, or random ones that say why, where it cannot compute."""
    try:
        proposal = tuner.propose(history, count)
        if not any(_holds_nonfinite(s.parameters) for s in proposal.suggestions):
            return proposal
        why = "its numbers came out as NaN or infinite"
    except (*CANNOT_COMPUTE, ValueError) as error:
        if not _is_of_numbers(error):
            raise
        why = f"{type(error).__name__}: {error}"
        logger.warning("The %s %s could not compute", chosen.kind, chosen.name, exc_info=True)
    remark = f"Drawn at random: the {chosen.kind} {chosen.name} could not compute ({why})."
    blind = tuner.propose_blind(history, count)
    return replace(
        blind, suggestions=tuple(replace(each, remark=remark) for each in blind.suggestions)
    )


def _is_of_numbers(error: Exception) -> bool:
    """Whether numbers are the reason, not a defect of the algorithm."""
    return isinstance(error, CANNOT_COMPUTE) or bool(_OF_NUMBERS.search(str(error)))


def assess(spec: ExperimentSpec, record: TrialSoFar, others: Sequence[TrialSoFar]) -> Verdict:
    """Ask the assessor whether to go on with a running trial, judged by its curve so far.

    Where it cannot compute the trial goes on, and the verdict's reason says why.

    Raises:
        AlgorithmError: the assessor has a defect.
    """
    chosen = spec.assessor
    if chosen is None or not record.curve:
        return Verdict(stop=False)
    rivals = sorted(
        (other for other in others if other.number != record.number and not other.excluded),
        key=lambda other: other.number,
    )
    try:
        trial = observation(record, maximizes=chosen.maximizes)
        if not trial.curve or trial.curve[-1][0] != _last_sequence(record):
            return Verdict(stop=False)  # the newest report is no number: nothing to judge by
        seen = [observation(other, maximizes=chosen.maximizes) for other in rivals]
        assessor: Assessor[Any] = chosen.entry.load()(chosen.args)
        return _judged(assessor, chosen, trial, seen)
    except Exception as error:
        raise _failure(chosen, error) from error


def lets_finish(spec: ExperimentSpec, number: int, seed: int) -> bool:
    """Whether the trial runs on although its assessor would stop it: one in so many, drawn."""
    every = 0 if spec.assessor is None else spec.assessor.args.let_finish
    return every > 0 and random.Random(f"{seed} {number}").randrange(every) == 0


def _judged(
    assessor: Assessor[Any],
    chosen: AlgorithmSpec,
    trial: Observation,
    others: Sequence[Observation],
) -> Verdict:
    try:
        return _as_user_sees(assessor.assess(trial, others), chosen)
    except (*CANNOT_COMPUTE, ValueError) as error:
        if not _is_of_numbers(error):
            raise
        logger.warning("The assessor %s could not compute", chosen.name, exc_info=True)
        why = f"{type(error).__name__}: {error}"
        return Verdict(
            stop=False,
            reason=f"Not judged: the assessor {chosen.name} could not compute ({why}).",
        )


def unjudged(record: TrialSoFar, judged: int) -> Iterator[TrialSoFar]:
    """Yield the record as it stood at each report after sequence ``judged``, oldest first."""
    curve = sorted(record.curve)
    for index, (sequence, _) in enumerate(curve):
        if sequence > judged:
            yield replace(record, curve=tuple(curve[: index + 1]))


def source(
    name: str, trials: Iterable[tuple[Mapping[str, Any], float]], *, maximizes: bool
) -> Source:
    """Trials of an earlier experiment, with the user's values, as algorithms see them."""
    sign = -1.0 if maximizes else 1.0
    pairs = list(trials)
    return Source(name, [p for p, _ in pairs], [sign * _within(value) for _, value in pairs])


def observation(record: TrialSoFar, *, maximizes: bool) -> Observation:
    """Translate one trial for an algorithm that minimises; beyond ±LARGEST counts as ±LARGEST."""
    sign = -1.0 if maximizes else 1.0
    finite = {sequence: _within(value) for sequence, value in record.curve if math.isfinite(value)}
    curve = tuple((sequence, sign * finite[sequence]) for sequence in sorted(finite))
    outcome, loss = Outcome.FAILED, None
    if record.state not in FINISHED:
        outcome = Outcome.RUNNING
    elif not record.excluded and (value := _result(record)) is not None:
        outcome, loss = Outcome.DONE, sign * _within(value)
    return Observation(
        number=record.number,
        parameters=dict(record.parameters),
        outcome=outcome,
        loss=loss,
        curve=curve,
        note=dict(record.note),
        completed=record.state == TrialState.SUCCEEDED and outcome is Outcome.DONE,
        seconds=record.seconds,
        blameless=outcome is Outcome.FAILED and (record.excluded or record.state in _BLAMELESS),
    )


def _within(value: float) -> float:
    return min(max(value, -LARGEST), LARGEST)


def _result(record: TrialSoFar) -> float | None:
    """Return the value that stands for a finished trial, None where there is none to use."""
    if record.state == TrialState.SUCCEEDED:
        candidates = [record.value]
    elif record.state == TrialState.EARLY_STOPPED:
        candidates = [value for _, value in sorted(record.curve, reverse=True)]
        candidates.append(record.value)
    else:
        return None
    finite = (value for value in candidates if value is not None and math.isfinite(value))
    return next(finite, None)


def _last_sequence(record: TrialSoFar) -> int:
    return max(sequence for sequence, _ in record.curve)


def _failure(chosen: AlgorithmSpec, error: Exception) -> AlgorithmError:
    message = f"{type(error).__name__}: {error}"
    return AlgorithmError(chosen.kind, chosen.name, message, traceback.format_exc())


def _check_proposal(
    spec: ExperimentSpec, chosen: AlgorithmSpec, proposal: Proposal, count: int
) -> None:
    def refuse(message: str) -> AlgorithmError:
        return AlgorithmError(chosen.kind, chosen.name, message)

    if len(proposal.suggestions) > count:
        raise refuse(f"asked for {count} trials, it proposed {len(proposal.suggestions)}.")
    for suggestion in proposal.suggestions:
        searched = {n: v for n, v in suggestion.parameters.items() if n not in chosen.entry.adds}
        problems = spec.space.contains(searched)
        if problems:
            shown = "; ".join(f"{problem.path}: {problem.message}" for problem in problems)
            raise refuse(f"it proposed parameters outside the search space: {shown}")
        for what, data in (("parameters", suggestion.parameters), ("notes", suggestion.note)):
            if not _is_plain(data):
                raise refuse(f"it proposed {what} that are not plain JSON: {data!r}")


def _holds_nonfinite(data: Any) -> bool:
    if isinstance(data, Mapping):
        return any(_holds_nonfinite(value) for value in data.values())
    if isinstance(data, list | tuple):
        return any(_holds_nonfinite(value) for value in data)
    return isinstance(data, float) and not math.isfinite(data)


def _is_plain(data: Any) -> bool:
    """Say whether data survives JSON unchanged; numpy's numbers, tuples and NaN do not."""
    if isinstance(data, dict):
        return all(type(key) is str and _is_plain(value) for key, value in data.items())
    if isinstance(data, list):
        return all(_is_plain(value) for value in data)
    if data is None or type(data) in (bool, int, str):
        return True
    return type(data) is float and math.isfinite(data)


def _as_user_sees(verdict: Verdict, chosen: AlgorithmSpec) -> Verdict:
    """Give a verdict's losses the user's sign and name, as ``base.Verdict`` promises."""
    data: dict[str, Any] = {}
    for name, value in verdict.data.items():
        if name.endswith("loss"):
            data[name.removesuffix("loss") + "value"] = _flip(value, chosen.maximizes)
        elif name.endswith("losses"):
            data[name.removesuffix("losses") + "values"] = _flip(value, chosen.maximizes)
        else:
            data[name] = value
    json.dumps(data, allow_nan=False)  # NaN raises here, in the assessor's name, not later
    return Verdict(verdict.stop, verdict.reason.format(**data), data)


def _flip(value: Any, maximizes: bool) -> Any:
    if not maximizes or value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Mapping):
        return {key: _flip(inner, maximizes) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_flip(inner, maximizes) for inner in value]
    return -value

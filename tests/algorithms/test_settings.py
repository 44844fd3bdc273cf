"""Settings: declared once, parsed with every problem, described for forms."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError, dataclass, fields
from typing import Any, ClassVar

import pytest

from experiments.algorithms import arguments
from experiments.algorithms.registry import ADVISORS, ASSESSORS, TUNERS
from experiments.algorithms.settings import LARGEST_EXACT, Args, describe, parse_settings, setting
from experiments.problems import Problem, ProblemsError


@dataclass(frozen=True)
class Sample(Args):
    ignored: ClassVar[frozenset[str]] = frozenset({"elsewhere"})

    mode: str = setting("a", choices=("alpha", "a"), help="Mode.")
    count: int = setting(3, low=1, high=9, help="Count.")
    rate: float = setting(0.5, above=0, below=1, help="Rate.")
    flag: bool = setting(False, help="Flag.")
    cap: int | None = setting(None, low=1, help="Cap.")


def problems_of(raw: Any) -> tuple[Problem, ...]:
    with pytest.raises(ProblemsError) as caught:
        parse_settings(Sample, raw, "args")
    return caught.value.problems


def test_what_is_not_given_has_its_default() -> None:
    args, warnings = parse_settings(Sample, {}, "args")
    assert args == Sample(mode="a", count=3, rate=0.5, flag=False, cap=None)
    assert warnings == ()
    with pytest.raises(FrozenInstanceError):
        args.count = 4  # type: ignore[misc]


def test_whole_floats_are_integers_and_integers_are_numbers() -> None:
    args, _ = parse_settings(Sample, {"count": 4.0, "cap": None}, "args")
    assert (args.count, type(args.count)) == (4, int)
    args, _ = parse_settings(arguments.GPArgs, {"kappa": 3}, "args")
    assert (args.kappa, type(args.kappa)) == (3.0, float)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("mode", "b", "must be one of alpha, a"),
        ("mode", 3, "must be one of alpha, a"),
        ("count", 0, "at least 1 and at most 9, but got 0"),
        ("count", 10, "at most 9"),
        ("count", 2.5, "must be a whole number, but got 2.5"),
        ("count", "3", 'must be a whole number, but got "3"'),
        ("count", True, "must be a whole number, but got true"),
        ("count", None, "must be a whole number, but got null"),
        ("rate", 0, "above 0 and below 1"),
        ("rate", 1, "below 1"),
        ("rate", math.nan, "must be a number"),
        ("rate", 10**400, "must be a number"),
        ("flag", 1, "must be true or false"),
        ("flag", "true", "must be true or false"),
        ("cap", 0, "at least 1"),
    ],
)
def test_a_wrong_value_says_what_must_hold(name: str, value: Any, words: str) -> None:
    (problem,) = problems_of({name: value})
    assert problem.path == f"args.{name}"
    assert words in problem.message


def test_an_unknown_key_suggests_the_nearest_and_all_problems_come_at_once() -> None:
    unknown, bad = problems_of({"coutn": 3, "rate": 7})
    assert unknown.path == "args.coutn"
    assert unknown.hint == "Did you mean count?"
    assert bad.path == "args.rate"
    assert "object" in problems_of([1])[0].message


def test_an_argument_of_another_algorithm_is_a_warning() -> None:
    _, warnings = parse_settings(Sample, {"elsewhere": 1}, "args")
    assert [w.path for w in warnings] == ["args.elsewhere"]
    given = {"optimize_mode": "minimize", "population_size": 32}
    args, warnings = parse_settings(arguments.BatchArgs, given, "args")
    assert args.optimize_mode == "minimize"
    assert [w.path for w in warnings] == ["args.population_size"]


def test_describe_tells_a_form_all_it_needs() -> None:
    mode, count, rate, flag, cap = describe(Sample)
    assert (mode.type, mode.choices, mode.default) == ("text", ("alpha", "a"), "a")
    assert (count.type, count.low, count.high, count.help) == ("integer", 1, 9, "Count.")
    assert (rate.type, rate.above, rate.below) == ("number", 0, 1)
    assert flag.type == "true or false"
    assert (cap.type, cap.optional) == ("integer", True)


@pytest.mark.parametrize(
    "entry", [*TUNERS.values(), *ASSESSORS.values(), *ADVISORS.values()], ids=lambda e: e.name
)
def test_every_default_passes_its_own_check_and_has_help(entry: Any) -> None:
    infos = describe(entry.args)
    given = {info.name: info.default for info in infos}
    args, warnings = parse_settings(entry.args, given, "args")
    assert args == entry.args()
    assert warnings == ()
    assert all(info.help.endswith((".", ".)")) for info in infos)
    assert args.optimize_mode == "maximize"  # the default when none is given


@pytest.mark.parametrize(
    ("entries", "base"),
    [(TUNERS, arguments.TunerArgs), (ASSESSORS, arguments.AssessorArgs)],
    ids=["tuners", "assessors"],
)
def test_every_argument_of_one_algorithm_is_known_to_its_peers(entries: Any, base: Any) -> None:
    every = {field.name for entry in entries.values() for field in fields(entry.args)}
    assert every - {field.name for field in fields(base)} <= base.ignored


TPE_ARGS = {
    "constant_liar_type": "best", "n_startup_jobs": 5, "n_ei_candidates": 30,
    "linear_forgetting": 25, "prior_weight": 0.5, "gamma": 0.3,
}  # fmt: skip


def test_what_nni_documents_for_tpe_is_understood() -> None:
    raw = {"optimize_mode": "minimize", "seed": 12345, "tpe_args": TPE_ARGS}
    args, warnings = parse_settings(arguments.TPEArgs, raw, "classArgs")
    assert (args.seed, args.optimize_mode, args.constant_liar_type) == (12345, "minimize", "min")
    assert (args.n_startup_jobs, args.n_ei_candidates) == (5, 30)
    assert (args.prior_weight, args.gamma) == (0.5, 0.3)
    assert [w.path for w in warnings] == ["classArgs.tpe_args.linear_forgetting"]


@pytest.mark.parametrize(
    ("given", "ours"), [("best", "min"), ("worst", "max"), ("mean", "mean"), (None, "max")]
)
def test_nnis_liars_have_other_names(given: str | None, ours: str) -> None:
    raw = {"tpe_args": {"constant_liar_type": given}}
    args, warnings = parse_settings(arguments.TPEArgs, raw, "classArgs")
    assert args.constant_liar_type == ours
    assert bool(warnings) == (given is None)


@pytest.mark.parametrize(
    ("raw", "path", "words"),
    [
        ({"tpe_args": 5}, "a.tpe_args", "must be an object, but got 5"),
        ({"tpe_args": {"gama": 1}}, "a.tpe_args.gama", "is not one of tpe_args"),
        ({"tpe_args": {"gamma": 0.2}, "gamma": 0.3}, "a.tpe_args.gamma", "is given as a.gamma too"),
        ({"tpe_args": {"gamma": 2}}, "a.gamma", "above 0 and at most 1, but got 2"),
        ({"tpe_args": {"constant_liar_type": []}}, "a.constant_liar_type", "one of min, max"),
        ({"seed": -1}, "a.seed", "at least 0"),
        ({"seed": "x"}, "a.seed", "must be a whole number"),
    ],
)
def test_what_is_wrong_with_them_is_named(raw: dict[str, Any], path: str, words: str) -> None:
    with pytest.raises(ProblemsError) as caught:
        parse_settings(arguments.TPEArgs, raw, "a")
    (problem,) = caught.value.problems
    assert problem.path == path
    assert words in problem.message


def test_arguments_of_nni_without_a_meaning_here_are_warned_about() -> None:
    for name in ("Random", "Anneal", "Evolution"):
        _, warnings = parse_settings(TUNERS[name].args, {"tpe_args": {}}, "a")
        assert [w.path for w in warnings] == ["a.tpe_args"]
    _, warnings = parse_settings(ADVISORS["BOHB"].args, {"config_space": "x.pcs"}, "a")
    assert [w.path for w in warnings] == ["a.config_space"]


@pytest.mark.parametrize("entry", [*TUNERS.values(), *ADVISORS.values()], ids=lambda e: e.name)
def test_every_tuner_and_advisor_takes_a_seed(entry: Any) -> None:
    args, _ = parse_settings(entry.args, {"seed": 7}, "a")
    assert args.seed == 7


def test_limits_are_shown_as_people_count() -> None:
    @dataclass(frozen=True)
    class Bounded(Args):
        seed: int | None = setting(None, low=0, high=LARGEST_EXACT, help="Seed.")
        weight: float = setting(1.0, above=0, high=1e6, help="Weight.")
        share: float = setting(0.5, low=0.25, below=1.0, help="Share.")

    seed, weight, share = describe(Bounded)
    assert seed.shown_limits() == "at least 0", "nobody counts so far"
    assert seed.limits() == f"at least 0 and at most {LARGEST_EXACT}", "who did is told why not"
    assert weight.shown_limits() == "above 0 and at most 1000000"
    assert share.shown_limits() == "at least 0.25 and below 1"

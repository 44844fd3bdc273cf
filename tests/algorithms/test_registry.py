"""The registry: names, aliases, availability, and which space suits which algorithm."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from experiments.algorithms.base import Assessor, Tuner
from experiments.algorithms.registry import (
    ADVISORS,
    ASSESSORS,
    TUNERS,
    Entry,
    find,
    not_available,
    unsupported,
)
from experiments.algorithms.space.search_space import SearchSpace
from experiments.problems import Problem


def names_of(kind: str, *names: str) -> set[str]:
    found = [find(kind, name) for name in names]
    assert all(isinstance(entry, Entry) for entry in found)
    return {entry.name for entry in found if isinstance(entry, Entry)}


def test_the_specifications_names_are_all_known() -> None:
    assert list(TUNERS)[:4] == ["Auto", "Random", "Anneal", "TPE"]
    assert set(TUNERS) >= {"Evolution", "Batch", "GridSearch", "MetisTuner", "GPTuner"}
    assert set(TUNERS) >= {"PPOTuner", "PBTTuner"}
    assert set(ASSESSORS) == {"Medianstop", "Curvefitting"}
    assert set(ADVISORS) >= {"Hyperband", "BOHB"}


def test_names_work_with_and_without_suffix_in_any_case() -> None:
    assert names_of("tuner", "GPTuner", "gp", "GP", "gptuner") == {"GPTuner"}
    assert names_of("tuner", "TPE", "TPETuner", "tpe") == {"TPE"}
    assert names_of("tuner", "Metis", "gridsearch", "GridSearchTuner") == {
        "MetisTuner",
        "GridSearch",
    }
    assert names_of("assessor", "medianstop", "MedianstopAssessor") == {"Medianstop"}


def test_an_unknown_name_suggests_the_nearest() -> None:
    problem = find("tuner", "GridSerch", "spec.tuner.builtinTunerName")
    assert isinstance(problem, Problem)
    assert problem.path == "spec.tuner.builtinTunerName"
    assert problem.hint == "Did you mean GridSearch?"
    for nonsense in ("", "Tuner", 7, None):
        assert isinstance(find("tuner", nonsense), Problem)


@pytest.mark.parametrize(
    "entry", [*TUNERS.values(), *ASSESSORS.values(), *ADVISORS.values()], ids=lambda e: e.name
)
def test_every_entry_loads_or_says_that_it_cannot(entry: Entry) -> None:
    assert entry.label
    assert entry.summary.endswith(".")
    if entry.available:
        assert issubclass(entry.load(), Assessor if entry.kind == "assessor" else Tuner)
        return
    assert "not available yet" in not_available(entry, "x").message
    with pytest.raises(ValueError, match="not available yet"):
        entry.load()


def test_importing_the_registry_loads_no_numeric_library() -> None:
    """The web server imports it at start; hyperopt alone would take a second."""
    code = (
        "import sys, experiments.algorithms.registry; "
        "print(sorted({'hyperopt', 'scipy', 'sklearn', 'django'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_type_that_a_tuner_cannot_search_names_what_would_work() -> None:
    space = SearchSpace.parse(
        {
            "n": {"_type": "randint", "_value": [0, 4]},
            "net": {
                "_type": "choice",
                "_value": [{"_name": "a", "lr": {"_type": "uniform", "_value": [0, 1]}}],
            },
        }
    )
    (problem,) = unsupported(TUNERS["GridSearch"], space)
    assert problem.path == "spec.searchSpace.net._value[0].lr._type"
    assert "cannot search uniform" in problem.message
    assert "choice, randint, quniform" in problem.hint
    assert "TPE" in problem.hint
    assert "Batch" not in problem.hint
    assert unsupported(TUNERS["TPE"], space) == []
    assert unsupported(ASSESSORS["Medianstop"], space) == []


def test_batch_needs_exactly_one_choice() -> None:
    one = SearchSpace.parse({"lr": {"_type": "choice", "_value": [0.1, 0.2]}})
    assert unsupported(TUNERS["Batch"], one) == []
    two = SearchSpace.parse({n: {"_type": "choice", "_value": [1]} for n in ("a", "b")})
    (problem,) = unsupported(TUNERS["Batch"], two)
    assert "exactly 1 parameter, but got 2" in problem.message
    number = SearchSpace.parse({"lr": {"_type": "randint", "_value": [0, 3]}})
    assert unsupported(TUNERS["Batch"], number)[0].path == "spec.searchSpace.lr._type"


def test_a_space_may_not_use_the_names_that_an_algorithm_gives_to_trials() -> None:
    space = SearchSpace.parse({"TRIAL_BUDGET": {"_type": "randint", "_value": [1, 9]}})
    (problem,) = unsupported(ADVISORS["Hyperband"], space)
    assert problem.path == "spec.searchSpace.TRIAL_BUDGET"
    assert "itself gives to trials" in problem.message
    assert unsupported(TUNERS["Random"], space) == []


def test_a_choice_of_words_is_refused_where_only_numbers_work() -> None:
    entry = replace(TUNERS["Random"], numeric_choice_only=True)
    words = SearchSpace.parse({"opt": {"_type": "choice", "_value": ["sgd", "adam"]}})
    (problem,) = unsupported(entry, words)
    assert problem.path == "spec.searchSpace.opt._value"
    numbers = SearchSpace.parse({"n": {"_type": "choice", "_value": [1, 2.5]}})
    assert unsupported(entry, numbers) == []

"""Whatever is thrown at the parser, it answers with a spec that works or with problems."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

from experiments.manifest.forecast import forecast_of
from experiments.manifest.spec import Parsed, parse_manifest, parse_text, to_manifest
from experiments.manifest.yaml_text import dump_yaml
from experiments.problems import Problem, ProblemsError
from tests.manifest.manifests import SPECIFICATION, at_random
from tests.many_cases import each

ODD: list[Any] = [
    None, "", " ", "x", "50", 0, -1, 1, 0.5, 1e308, 10**30, True, False, [], {}, [None], [[]], [{}],
    {"x": 1}, {"": ""}, {"a.b": {"_type": "choice"}}, {"_type": "choice", "_value": []},
    {"_type": "uniform", "_value": ["a", None]}, {"_type": 3, "_value": {}}, "{}", "[]", "null",
    '{"x": {}}', "{x}", "\n", "é", "a\0", "\ud800", float("nan"), float("-inf"), "x" * 10_000,
]  # fmt: skip


def places(data: Any) -> list[tuple[Any, Any]]:
    """Return every (container, key) of nested data."""
    keys: Any = ()
    if isinstance(data, dict):
        keys = list(data)
    elif isinstance(data, list):
        keys = range(len(data))
    found: list[tuple[Any, Any]] = [(data, key) for key in keys]
    for key in keys:
        found += places(data[key])
    return found


def attempt(
    parse: Callable[[Any], Parsed], given: Any
) -> tuple[Parsed | None, tuple[Problem, ...]]:
    try:
        return parse(given), ()
    except ProblemsError as error:
        return None, error.problems


def check_works(parsed: Parsed) -> None:
    spec = parsed.spec
    for runs_here in (True, False):
        forecast_of(spec, runs_here=runs_here)
    assert parse_text(dump_yaml(to_manifest(spec))).spec == spec


@each("seed", range(100))
def test_mutated_data_is_accepted_and_works_or_is_refused_with_paths(seed: int) -> None:
    rng = random.Random(seed)
    manifest = at_random(seed)
    for _ in range(rng.randint(1, 3)):
        container, key = rng.choice(places(manifest))
        what = rng.random()
        if what < 0.7:
            container[key] = rng.choice(ODD)
        elif what < 0.85 and isinstance(container, dict):
            container[str(key) + rng.choice(["x", ".", " "])] = container.pop(key)
        else:
            del container[key]
    parsed, problems = attempt(parse_manifest, manifest)
    assert bool(parsed) != bool(problems)
    assert all(problem.message for problem in problems)
    json.dumps([problem.as_dict() for problem in problems])
    if parsed:
        check_works(parsed)


@each("seed", range(100))
def test_mutated_text_is_accepted_and_works_or_is_refused_with_lines(seed: int) -> None:
    rng = random.Random(seed)
    text = SPECIFICATION.read_text("utf-8")
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(text))
        inserted = rng.choice(
            ["\t", " ", "\n", ":", "- ", "&a ", "*a", "|", "'", '"', "{", "]", ","]
        )
        text = text[:at] + inserted + text[at + rng.randint(0, 3) :]
    parsed, problems = attempt(parse_text, text)
    assert bool(parsed) != bool(problems)
    n_lines = text.count("\n") + 1
    assert all(problem.line is None or 1 <= problem.line <= n_lines for problem in problems)
    if parsed:
        check_works(parsed)

"""The benchmark adapter drives the tuners that experiments run."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from experiments.algorithms.arguments import HyperoptArgs
from experiments.algorithms.base import Observation, Outcome
from experiments.algorithms.registry import TUNERS
from experiments.algorithms.space.search_space import SearchSpace

SPACE = {
    "x": {"_type": "uniform", "_value": [0, 1]},
    "c": {"_type": "choice", "_value": ["a", "b"]},
}


def adapter() -> Any:
    path = Path(__file__).parents[2] / "benchmarks" / "hpo_adapter.py"
    spec = importlib.util.spec_from_file_location("hpo_adapter", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["autotune_random", "autotune_anneal", "autotune_tpe"])
def test_maximising_through_the_adapter_is_minimising_the_negative(name: str) -> None:
    module = adapter()
    assert "choice_str" in module.OPTIMIZERS[name]["types"]
    down, up = module.make(name, SPACE, "minimize", 3), module.make(name, SPACE, "maximize", 3)
    for _ in range(12):
        pair = [(down.ask(), up.ask()), (down.ask(), up.ask())]  # two outstanding at a time
        for low, high in pair:
            assert low == high
            down.tell(low, low["x"] ** 2)
            up.tell(high, -(high["x"] ** 2))


def test_the_adapter_asks_the_registry_tuner_with_the_whole_history() -> None:
    optimizer = adapter().make("autotune_anneal", SPACE, "maximize", 5)
    optimizer.warm([({"x": 0.2, "c": "a"}, 1.0), ({"x": 0.9, "c": "b"}, float("nan"))])
    history = [
        Observation(0, {"x": 0.2, "c": "a"}, Outcome.DONE, -1.0, completed=True),
        Observation(1, {"x": 0.9, "c": "b"}, Outcome.FAILED),
    ]
    tuner = TUNERS["Anneal"].load()(SearchSpace.parse(SPACE), HyperoptArgs(), 5)
    assert optimizer.ask() == tuner.propose(history, 1).suggestions[0].parameters

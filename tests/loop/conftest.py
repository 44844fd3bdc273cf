"""A scripted far side under the loop, and an experiment for it."""

from __future__ import annotations

import pytest

from experiments.embedded import shutdown
from experiments.loop import reconcile, starting
from experiments.models import Experiment
from tests.loop.scripted import ScriptedBackend


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> ScriptedBackend:
    scripted = ScriptedBackend()
    for module in (reconcile, starting, shutdown):
        monkeypatch.setattr(module, "backend", lambda: scripted)
    return scripted


@pytest.fixture
def experiment(make_experiment) -> Experiment:
    return make_experiment()

"""The machine's GPUs over REST and in the shell: what is there, who has it, who waits."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import Client

from experiments.models import Experiment
from experiments.rest.devices import DevicesShape
from experiments.services import devices
from experiments.training.base import NotYet
from experiments.training.local.backend import LocalBackend
from experiments.training.local.gpus import Gpus
from experiments.training.local.placing import Request
from experiments.training.local.slots import Granted
from tests.loop.scripted import ScriptedBackend

GIB = 1024**3


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalBackend:
    found = LocalBackend(
        tmp_path / "trials", settings.CLIENT_DIR, slots=tmp_path / "slots", gpus=Gpus([0, 1])
    )
    monkeypatch.setattr(devices, "backend", lambda: found)
    return found


@pytest.fixture
def held(
    local: LocalBackend, make_experiment: Callable[..., Experiment]
) -> Iterator[tuple[Experiment, Granted]]:
    """GPU 0 is an experiment's of ours, GPU 1 somebody else's, and one waits."""
    experiment = make_experiment()
    slots, machine = local.sharing.slots, local.sharing._machine()
    granted = slots.take(Request("/a", experiment.pk, 3, gpus=(1,), cpu=0.5, memory=GIB), machine)
    other = slots.take(Request("/b", "xother", 0, gpus=(1,)), machine)
    with pytest.raises(NotYet):
        slots.take(Request("/c", experiment.pk, 4, gpus=(2,)), machine)
    yield experiment, granted
    granted.let_go()
    other.let_go()


def test_who_has_what_is_told(client: Client, held: tuple[Experiment, Granted]) -> None:
    experiment, _ = held
    answer: dict[str, Any] = client.get("/api/v1/devices/").json()
    assert set(answer) == set(DevicesShape().fields)
    (first, second) = answer["gpus"]
    assert set(first) == set(DevicesShape().fields["gpus"].child.fields)
    who = {"experiment": experiment.pk, "name": experiment.name}
    assert first["trials"] == [{**who, "trial": 3, "memory_used": None}]
    assert second["trials"] == [
        {"experiment": "xother", "name": None, "trial": 0, "memory_used": None}
    ]
    (waits,) = answer["waiting"]
    assert waits == {**who, "trial": 4, "gpus": 2, "since": waits["since"]}
    assert (answer["cpu"]["taken"], answer["memory"]["taken"]) == (0.5, GIB)
    assert answer["here"] is True


def test_a_cluster_sees_to_its_devices_itself(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "backend", ScriptedBackend)
    answer = client.get("/api/v1/devices/").json()
    assert (answer["here"], answer["gpus"]) == (False, [])


def test_a_stranger_is_told_nothing(stranger: Client, local: LocalBackend) -> None:
    assert stranger.get("/api/v1/devices/").status_code == 401


def test_the_shell_shows_the_same(held: tuple[Experiment, Granted]) -> None:
    experiment, _ = held
    out = StringIO()
    call_command("gpus", stdout=out)
    first, second, cores, waits = out.getvalue().splitlines()
    assert first == f"GPU 0: trial 3 of {experiment.pk} ({experiment.name})"
    assert second == "GPU 1: trial 0 of xother"
    assert cores.startswith("Cores: 0.5 of ")
    assert waits == f"Waits: trial 4 of {experiment.pk} ({experiment.name}), for 2 GPUs"
    out = StringIO()
    call_command("gpus", "--json", stdout=out)
    assert len(json.loads(out.getvalue())["gpus"]) == 2

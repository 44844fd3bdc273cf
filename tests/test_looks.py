"""How states and events look: every one has a word, an icon and a tone, the same everywhere."""

from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.test import Client

from experiments import looks
from experiments.charts import style
from experiments.cluster import status
from experiments.engine.plan import TIME_UP
from experiments.models import Event, Experiment, Project, Trial
from experiments.services.actions import n_in_budget
from experiments.states import EventKind, Phase, TrialState
from tests.many_cases import each

ROOT = Path(__file__).resolve().parent.parent
CSS = (ROOT / "static/css/app.css").read_text()
ICONS = set(re.findall(r'id="([a-z-]+)"', (ROOT / "static/img/icons.svg").read_text()))
ALL = [
    *looks.STATES.values(), *looks.PHASES.values(), *looks.EVENTS.values(),
    *looks.UPLOADS.values(),
    looks.SUSPENDED, looks.FINISHING, looks.NEW_TRIAL,
    *(looks.event_look(kind, "x", to) for kind in EventKind for to in (*TrialState, *Phase)),
]  # fmt: skip


@pytest.fixture
def experiment(db: None) -> Experiment:
    return Experiment.objects.create(
        project=Project.default(), name="looks", manifest={}, max_exec_seconds=9, max_trials=3,
        concurrency=1,
    )  # fmt: skip


@each("look", sorted(set(ALL)))
def test_every_look_has_a_word_an_icon_and_a_tone_that_exist(look: looks.Look) -> None:
    assert look.label[0].isupper()
    assert look.icon in ICONS
    assert f".state-{look.tone}," in CSS


def test_every_state_phase_and_kind_of_event_has_a_look() -> None:
    assert set(looks.STATES) == set(TrialState)
    assert set(looks.PHASES) == set(Phase)
    assert set(looks.EVENTS) == set(EventKind)
    assert all(f".fill-{look.tone} {{" in CSS for look in looks.STATES.values())


@pytest.mark.parametrize("state", list(TrialState))
def test_charts_and_pages_fill_with_one_colour(state: TrialState) -> None:
    look = looks.STATES[state]
    light = CSS[: CSS.index('[data-bs-theme="dark"] {')]
    assert f"--{look.tone}-fill: {look.colour};" in light
    assert (style.STATE_COLOURS[state], style.state_name(state)) == (look.colour, look.label)


def test_an_event_of_a_later_release_stands_in_its_own_words() -> None:
    assert looks.event_look("moved house") == looks.Look("moved house", "info", "waiting")


def test_a_trials_first_state_is_news_and_its_later_ones_are_the_states_own() -> None:
    assert looks.event_look("state", "", "WAITING") == looks.NEW_TRIAL
    assert looks.event_look("state", "RUNNING", "WAITING") == looks.STATES[TrialState.WAITING]
    assert looks.event_look("stopping", "", "EARLY_STOPPED").label == "Stopped by the assessor"
    assert looks.event_look("stopping", "", "CANCELED").label == "Being stopped"
    assert looks.event_look("phase", "RUNNING", "TIMEOUT").label == "Now timed out"


def test_no_event_can_be_written_that_nobody_has_words_for(experiment: Experiment) -> None:
    with pytest.raises(ValueError, match="hullabaloo"):
        experiment.record("hullabaloo")  # type: ignore[arg-type]
    assert not Event.objects.exists()


def test_pages_hand_all_looks_to_their_scripts(client: Client, db: None) -> None:
    page = client.get("/sign-in/", follow=True).content.decode()
    found = re.search(r'<script id="looks" type="application/json">(.*?)</script>', page)
    assert found is not None
    handed = json.loads(found[1])
    assert handed == looks.for_scripts()
    assert handed["events"]["well again"]["label"] == "All is well again"
    assert handed["events"]["stopping EARLY_STOPPED"]["tone"] == "early"
    assert list(handed["states"]) == [state.value for state in looks.STATES], "the bar's order"


def test_the_scripts_are_tested_with_the_looks_that_there_are() -> None:
    """Mend by writing ``looks.for_scripts()`` there, with two spaces."""
    assert json.loads((ROOT / "tests/js/looks.json").read_text()) == looks.for_scripts()


# ---------------------------------------------------------------- kubectl describe


def _event(what: str, **fields: Any) -> Any:
    defaults = {"reason": "", "data": {}, "trial": None, "from_state": "", "to_state": ""}
    return SimpleNamespace(what=what, **{**defaults, **fields})


def test_the_cluster_is_told_of_every_kind_but_the_trials_routine() -> None:
    assert set(status.REASONS) | status.UNTOLD | {EventKind.PHASE} == set(EventKind)
    assert not set(status.REASONS) & status.UNTOLD
    assert all(re.fullmatch("([A-Z][a-z]+)+", reason) for reason in status.REASONS.values())


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (_event("exhausted", reason="All was tried."),
         ("Exhausted", "Nothing left to try: All was tried.", False)),
        (_event("retried", trial=SimpleNamespace(number=3), reason="As trial 7."),
         ("TrialRetried", "Trial 3: tried again: As trial 7.", False)),
        (_event("late final", trial=SimpleNamespace(number=0), reason="not used"),
         ("LateFinal", "Trial 0: a second final result was not used: not used", False)),
        (_event("suspended", data={"user": "ann"}), ("Suspended", "Suspended (by ann)", False)),
        (_event("trouble", reason="Gone."), ("Trouble", "Trouble: Gone.", True)),
        (_event("well again"), ("WellAgain", "All is well again", False)),
        (_event("remark", reason="pulling"), None),
        (_event("a kind of the next release"), None),
    ],
)  # fmt: skip
def test_an_event_becomes_words_in_the_cluster(event: Any, told: Any) -> None:
    assert status.told(event) == told


# ---------------------------------------------------------------- what the time cut off


def _cut(experiment: Experiment, number: int, **columns: Any) -> Trial:
    return Trial.objects.create(
        experiment=experiment, number=number, parameters={},
        **{"state": TrialState.CANCELED, "stop_as": TrialState.CANCELED, **columns},
    )  # fmt: skip


def test_no_sentence_decides_a_budget(experiment: Experiment) -> None:
    _cut(experiment, 0, stop_reason="Die Zeit ist um.", cut_off=True)
    _cut(experiment, 1, stop_reason=TIME_UP)  # somebody's own words
    _cut(experiment, 2, state=TrialState.SUCCEEDED, cut_off=True)  # it made it all the same
    assert n_in_budget(experiment) == 2


def test_rows_of_the_last_release_know_that_the_time_cut_them_off(experiment: Experiment) -> None:
    _cut(experiment, 0, stop_reason="maxExecSeconds of active time have passed.")
    _cut(experiment, 1, stop_reason="Killed by the user.")
    migration = import_module("experiments.migrations.0008_event_kinds_cut_off")
    migration.mark_cut_off(apps, None)
    assert list(experiment.trials.filter(cut_off=True).values_list("number", flat=True)) == [0]
    assert n_in_budget(experiment) == 1


def test_the_last_release_can_still_insert_trials(experiment: Experiment) -> None:
    """It names no column that it does not know."""
    _cut(experiment, 0)
    known = [f.column for f in Trial._meta.concrete_fields if f.name not in ("id", "cut_off")]
    columns = ", ".join(f'"{name}"' for name in known)
    given = columns.replace('"number"', "1").replace('"key"', "'abcde'")
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {Trial._meta.db_table} ({columns})"
            f" SELECT {given} FROM {Trial._meta.db_table}"
        )
    assert Trial.objects.get(number=1).cut_off is False

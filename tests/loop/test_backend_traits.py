"""What callers need to know of a backend it says of itself: they believe it, whatever its name."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from rest_framework.exceptions import PermissionDenied

from experiments.aistore import vault
from experiments.aistore.facts import run_facts
from experiments.embedded import shutdown
from experiments.manifest.spec import parse_manifest
from experiments.models import Project
from experiments.models.secrets import SecretError
from experiments.rest import experiments as rest
from experiments.services.intake import forecast_here
from experiments.training.base import Backend, experiment_of_job, name_of_job
from experiments.training.kubernetes.backend import KubernetesBackend
from experiments.training.local.backend import LocalBackend
from experiments.trials import checkpoints
from experiments.trials.backends import backend
from tests.aistore.server import KEY
from tests.conftest import MANIFEST

ROOT = Path(__file__).resolve().parents[2]
ADDED = ("save_checkpoint_dir",)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Backend:
    """A backend that runs trials on other machines without a cluster, e.g. over ssh."""
    for trait in ("runs_here", "shares_files", "has_cluster_secrets", "tells_exits"):
        monkeypatch.setattr(LocalBackend, trait, False)
    return backend()


def test_this_machines_backend_and_the_clusters_say_what_they_are() -> None:
    here, cluster = LocalBackend, KubernetesBackend
    assert (here.runs_here, here.shares_files, here.has_cluster_secrets) == (True, True, False)
    assert (cluster.runs_here, cluster.shares_files) == (False, False)
    assert cluster.has_cluster_secrets
    assert here.tells_exits
    assert not cluster.tells_exits


def test_a_jobs_name_names_its_experiment() -> None:
    assert experiment_of_job(name_of_job("a1b2c3d4", 17, 2)) == "a1b2c3d4"


def test_who_may_not_run_commands_here_may_run_them_elsewhere(alice, settings, elsewhere):
    settings.LOCAL_TRIALS = False
    rest._require_permission(alice)
    assert not any("LOCAL_TRIALS" in p.message for p in forecast_here(_parsed()).problems)


def test_commands_on_this_host_need_the_setting(alice, settings):
    settings.LOCAL_TRIALS = False
    with pytest.raises(PermissionDenied, match="AUTOTUNE_LOCAL_TRIALS"):
        rest._require_permission(get_user_model().objects.get())
    assert any("LOCAL_TRIALS" in p.message for p in forecast_here(_parsed()).problems)


def test_files_are_made_only_where_trials_see_them(tmp_path, monkeypatch, elsewhere):
    path = tmp_path / "there"
    checkpoints.make({"save_checkpoint_dir": str(path)}, ADDED)
    assert not path.exists()
    monkeypatch.setattr(LocalBackend, "shares_files", True)
    checkpoints.make({"save_checkpoint_dir": str(path)}, ADDED)
    assert path.is_dir()


def test_keys_are_rows_of_ours_unless_a_cluster_has_them(monkeypatch, make_experiment):
    experiment = make_experiment({"aistore": {"folder": "f", "secret": "my-key"}})
    vault.put(Project.default(), "my-key", KEY)
    assert vault.reveal_key(experiment) == KEY
    monkeypatch.setattr(LocalBackend, "has_cluster_secrets", True)
    monkeypatch.setattr(vault, "_from_kubernetes", lambda name, namespace: f"{name} {namespace}")
    with pytest.raises(SecretError, match="my-key"):
        vault.reveal_key(experiment)


def test_trials_elsewhere_go_on_when_this_machine_stops(make_experiment, make_trial, elsewhere):
    trial = make_trial(make_experiment(phase="RUNNING"), state="RUNNING", handle={"name": "x"})
    assert shutdown.requeue_local_trials() == 0
    trial.refresh_from_db()
    assert trial.state == "RUNNING"


def test_a_run_elsewhere_does_not_carry_this_hosts_name(make_experiment, make_trial, monkeypatch):
    experiment = make_experiment()
    trial = make_trial(experiment)
    assert run_facts(experiment, trial).hostname
    monkeypatch.setattr(LocalBackend, "runs_here", False)
    assert run_facts(experiment, trial).hostname == ""


def test_nobody_else_asks_which_backend_it_is() -> None:
    """The name is asked where the backend is made; everybody else asks for a trait."""
    asking = []
    for path in sorted((ROOT / "experiments").rglob("*.py")):
        text = path.read_text()
        if "TRAINING_ENGINE" not in text and not ("isinstance" in text and "Backend" in text):
            continue
        for node in ast.walk(ast.parse(text)):
            named = isinstance(node, ast.Attribute) and node.attr == "TRAINING_ENGINE"
            typed = isinstance(node, ast.Call) and "isinstance" in ast.unparse(node.func)
            if named or (typed and re.search(r"Backend\b", ast.unparse(node))):
                asking.append(str(path.relative_to(ROOT)))
    assert set(asking) == {"experiments/trials/backends.py"}


def _parsed():
    return parse_manifest(MANIFEST)

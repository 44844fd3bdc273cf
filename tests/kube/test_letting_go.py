"""What is to go goes, though a cluster no longer lets us see to it: kinds and rights that went."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import pytest

from experiments.loop import patience
from experiments.models import Experiment
from experiments.training.kubernetes import cluster
from tests.kube.control_plane import CRDS, ControlPlane
from tests.kube.driving import drive, experiment, tasks

pytestmark = pytest.mark.usefixtures("kubelet", "trial_url")

KIND = "xgboostjobs.kubeflow.org"


def reports(row: Experiment) -> bool:
    return row.trials.filter(n_reports__gt=0).exists()


def deletions(plane: ControlPlane, namespace: str) -> int:
    return sum(
        event["verb"] == "delete"
        and event["objectRef"].get("namespace") == namespace
        and event["objectRef"]["resource"] == KIND.partition(".")[0]
        for event in plane.audit()
    )


def test_a_kind_that_went_holds_no_experiment(
    namespace: str,
    use_engine: Any,
    control_plane: ControlPlane,
    monkeypatch: pytest.MonkeyPatch,
):
    """The training operator was removed, CRD and all, while a trial ran; then its experiment is."""
    monkeypatch.setattr(cluster, "UNKNOWN_AFTER_S", 2.0)
    use_engine("kubeflow")
    row = experiment(namespace, "xgboost", tasks("xgboost", {"master": 1}, 600), maxTrialNum=1)
    drive(row, lambda: reports(row), "its reports")
    control_plane.kubectl("delete", "crd", KIND, "--timeout=60s")
    try:
        Experiment.objects.filter(pk=row.pk).update(deleting=True)
        drive(row, lambda: not Experiment.objects.filter(pk=row.pk).exists(), "its end")
        assert deletions(control_plane, namespace) <= 3, "no request a second"
    finally:
        control_plane.kubectl("apply", "-f", str(Path(CRDS) / "kubeflow.yaml"))
        control_plane.kubectl("wait", "--for=condition=Established", "crd", KIND)


def test_rights_that_went_hold_an_experiment_for_a_time_only(
    namespace: str,
    use_engine: Any,
    control_plane: ControlPlane,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    """As in a namespace that is deleted: the RoleBinding goes first, and never comes back."""
    monkeypatch.setattr(patience, "LET_GO_S", 3.0)
    use_engine("batch")
    row = experiment(namespace, "pytorch", tasks("pytorch", {"worker": 1}, 600), maxTrialNum=1)
    drive(row, lambda: reports(row), "its reports")
    control_plane.kubectl("-n", namespace, "delete", "rolebinding", "autotune-worker")
    began = time.monotonic()
    Experiment.objects.filter(pk=row.pk).update(deleting=True)
    with caplog.at_level(logging.WARNING):
        drive(row, lambda: not Experiment.objects.filter(pk=row.pk).exists(), "its end")
    assert time.monotonic() - began >= 3.0
    assert "goes, and its jobs are left" in caplog.text
    assert control_plane.kubectl("get", "jobs", "-n", namespace, "-o", "name"), "its job stays"
    control_plane.kubectl("delete", "jobs", "--all", "-n", namespace)

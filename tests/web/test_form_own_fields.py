"""Fields of our own (``spec.local``, ``spec.metrics``, …) in the form: kept, and edited."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from experiments.web.form_fields import field_of
from experiments.web.manifest_form import form_from_manifest, merge_form
from tests.web.test_form_manifest import RICH

LOCAL = {
    "python": "my-env",
    "trialsPerGpu": 2,
    "gpuMemory": "measured",
    "useActiveGpu": True,
    "gpuIndices": [0, 2],
    "preload": ["torch", "a.b"],
}


def with_local(local: Any) -> dict[str, Any]:
    manifest = copy.deepcopy(RICH)
    manifest["spec"]["local"] = local
    return manifest


@pytest.mark.parametrize(
    "local", [LOCAL, {}, None, 3, {"trialsPerGpu": "x", "gpuIndices": "0,1", "gpuMemory": 4}]
)
def test_how_trials_share_this_machine_stays_as_it_is(local: Any) -> None:
    manifest = with_local(local)
    form = form_from_manifest(manifest)
    assert merge_form(manifest, form) == manifest
    assert merge_form(manifest, {**form, "name": "b"})["spec"].get("local") == local


def test_how_trials_share_this_machine_is_edited() -> None:
    form = form_from_manifest(with_local(LOCAL))
    assert form["local"] == {
        "python": "my-env", "trials_per_gpu": "2", "measured": True, "use_active_gpu": True,
        "gpu_indices": "0, 2", "preload": "torch, a.b",
    }  # fmt: skip
    edited = {**form["local"], "gpu_indices": "1 x,", "measured": False, "python": " ",
              "trials_per_gpu": "1.5", "preload": ""}  # fmt: skip
    merged = merge_form(with_local(LOCAL), {**form, "local": edited})["spec"]["local"]
    assert merged == {"trialsPerGpu": 1.5, "useActiveGpu": True, "gpuIndices": [1, "x"]}
    nothing = {name: False if value is True else "" for name, value in form["local"].items()}
    assert "local" not in merge_form(with_local(LOCAL), {**form, "local": nothing})["spec"]
    empty = form_from_manifest(RICH)
    edited = {**empty["local"], "use_active_gpu": True}
    assert merge_form(RICH, {**empty, "local": edited})["spec"]["local"] == {"useActiveGpu": True}


METRICS = {"objective": "loss", "stdout": {"pattern": "(.*)", "x": 1}, "file": "m.csv", "y": 2,
           "tensorboard": "runs"}  # fmt: skip


@pytest.mark.parametrize("metrics", [METRICS, {}, None, 3, {"stdout": {}}, {"stdout": [1]}])
def test_where_metrics_come_from_stays_as_it_is(metrics: Any) -> None:
    manifest = copy.deepcopy(RICH)
    manifest["spec"] |= {"metrics": metrics, "maxTrialSeconds": 90}
    form = form_from_manifest(manifest)
    assert form["trial_time"] == {"amount": "90", "unit": "s"}
    assert merge_form(manifest, form) == manifest
    assert merge_form(manifest, {**form, "name": "b"})["spec"].get("metrics") == metrics


def test_where_metrics_come_from_and_the_time_of_a_trial_are_edited() -> None:
    form = form_from_manifest(RICH)
    form["metrics"] |= {"objective": " loss ", "pattern": "(.*)", "file": ""}
    form["trial_time"] = {"amount": "1.5", "unit": "h"}
    merged = merge_form(RICH, form)
    assert merged["spec"]["metrics"] == {"objective": "loss", "stdout": {"pattern": "(.*)"}}
    assert merged["spec"]["maxTrialSeconds"] == 5400
    form = form_from_manifest(merged)
    assert form["trial_time"] == {"amount": "90", "unit": "m"}
    form["metrics"] |= {"objective": "loss", "pattern": "", "file": "m.csv"}
    form["trial_time"]["amount"] = ""
    merged = merge_form(merged, form)
    assert merged["spec"]["metrics"] == {"objective": "loss", "file": "m.csv"}
    form = form_from_manifest(merged)
    form["metrics"] = dict.fromkeys(form["metrics"], "")
    assert merge_form(merged, form) == RICH
    form["metrics"] = {"objective": "loss", "tensorboard": "runs"}
    written = merge_form(RICH, form)["spec"]["metrics"]
    assert written == {"objective": "loss", "tensorboard": "runs"}
    kept = copy.deepcopy(RICH)
    kept["spec"]["metrics"] = METRICS
    form = form_from_manifest(kept)
    form["metrics"] |= {"pattern": "", "objective": "acc"}
    assert merge_form(kept, form)["spec"]["metrics"] == {
        **METRICS,
        "objective": "acc",
        "stdout": {"x": 1},
    }


def test_gpus_of_a_task_are_edited_and_all_else_it_asks_for_stays() -> None:
    manifest = copy.deepcopy(RICH)
    container = manifest["spec"]["trainingConfig"]["tasks"][0]["template"]["spec"]["containers"][1]
    container["resources"] = {"limits": {"cpu": 1}, "requests": {"memory": "1Gi"}}
    form = form_from_manifest(manifest)
    assert form["training"]["tasks"][0]["gpus"] == ""
    form["training"]["tasks"][0]["gpus"] = "2"
    merged = merge_form(manifest, form)
    container["resources"]["limits"]["nvidia.com/gpu"] = 2
    assert merged == manifest
    form = form_from_manifest(merged)
    assert form["training"]["tasks"][0]["gpus"] == "2"
    form["training"]["tasks"][0]["gpus"] = ""
    del container["resources"]["limits"]["nvidia.com/gpu"]
    assert merge_form(merged, form) == manifest


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("spec.local", "local.trials_per_gpu"),
        ("spec.local.gpuIndices[1]", "local.gpu_indices"),
        ("spec.local.gpuMemory", "local.measured"),
        ("spec.local.preload[0]", "local.preload"),
        ("spec.metrics", "metrics.objective"),
        ("spec.metrics.stdout.pattern", "metrics.pattern"),
        ("spec.metrics.file", "metrics.file"),
        ("spec.metrics.tensorboard", "metrics.tensorboard"),
        ("spec.maxTrialSeconds", "trial_time"),
        (
            'spec.trainingConfig.tasks[0].template.spec.containers[1].resources.limits["nvidia.'
            'com/gpu"]',
            "tasks.0.gpus",
        ),
    ],
)
def test_problems_of_our_own_fields_are_marked_at_theirs(path: str, field: str) -> None:
    assert field_of(path, form_from_manifest(RICH)) == field

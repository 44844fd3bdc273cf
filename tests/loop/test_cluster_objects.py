"""What an AutoTuneExperiment object and an experiment's row are to each other, as plain data."""

from __future__ import annotations

import copy
from datetime import datetime
from typing import Any

import pytest

from experiments.cluster import objects, status
from experiments.cluster.objects import SUSPEND
from experiments.manifest.crd import _status as status_schema
from experiments.manifest.crd import schema_of
from experiments.manifest.fields import SPEC
from experiments.models import ClusterObject, Experiment, Trial
from experiments.problems import ProblemsError
from experiments.selectors.blocked import WORDS
from experiments.selectors.present import TrialCounts
from experiments.services import actions
from experiments.services.intake import take_in
from experiments.states import Phase
from experiments.training.kubernetes.blocked import obstacle
from experiments.trials import changes
from tests.conftest import MANIFEST
from tests.many_cases import each

pytestmark = pytest.mark.django_db


def an_object(name: str = "sample", uid: str = "u-1", **spec: Any) -> dict[str, Any]:
    """An object as the API server hands it out."""
    body = copy.deepcopy(MANIFEST)
    body["metadata"] = {
        "name": name,
        "namespace": "team-a",
        "uid": uid,
        "generation": 1,
        "resourceVersion": "7",
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "mine": "kept"},
    }
    body["spec"].update(spec)
    return body


def created(body: dict[str, Any]) -> ClusterObject:
    objects.create_from(body)
    return ClusterObject.objects.select_related("experiment").get(uid=body["metadata"]["uid"])


def test_an_object_becomes_an_experiment_of_its_namespace():
    link = created(an_object())
    experiment = link.experiment
    assert (experiment.name, experiment.project.name) == ("sample", "team-a")
    assert (experiment.origin, experiment.phase) == ("kubernetes", Phase.PENDING)
    assert experiment.manifest["metadata"]["annotations"] == {"mine": "kept"}
    assert link.agreed == objects.row_values(experiment)


def test_in_a_cluster_both_limits_are_needed_whatever_its_schema_says(make_experiment, settings):
    body = an_object()
    del body["spec"]["maxTrialNum"]
    with pytest.raises(ProblemsError, match=r"spec.maxTrialNum: is required in a cluster"):
        objects.create_from(body)
    assert not Experiment.objects.exists()
    link = created(an_object())
    with pytest.raises(ProblemsError, match="its AutoTuneExperiment in the cluster must have it"):
        actions.change_limits(link.experiment, {"max_exec_seconds": None})
    here = make_experiment(max_exec_seconds=None)
    assert objects.to_send() == [], "what the cluster would refuse is not sent to it"
    actions.change_limits(here, {"max_exec_seconds": 60})
    assert [each.pk for each in objects.to_send()] == [here.pk]
    settings.SEND_TO_CLUSTER = True
    manifest = copy.deepcopy(MANIFEST)
    del manifest["spec"]["maxTrialNum"]
    assert "spec.maxTrialNum" in {problem.path for problem in take_in(manifest).warnings}


def test_the_same_object_never_becomes_two():
    body = an_object()
    objects.create_from(body)
    objects.create_from(body)  # another operator, or a handler that is run again
    assert Experiment.objects.count() == ClusterObject.objects.count() == 1


def test_an_object_that_is_suspended_from_the_first_starts_nothing():
    body = an_object()
    body["metadata"]["annotations"][SUSPEND] = "true"
    assert created(body).experiment.suspended


def test_all_problems_of_a_manifest_are_in_the_status_and_no_row_is_made():
    body = an_object(maxTrialNum=0, searchSpace="{")
    with pytest.raises(ProblemsError) as caught:
        objects.create_from(body)
    assert not Experiment.objects.exists()
    refused = status.refused_status(caught.value.problems, 3, {})
    assert (refused["phase"], refused["observedGeneration"]) == ("ERROR", 3)
    assert "spec.maxTrialNum: must be at least 1" in refused["serverNote"]
    assert "spec.searchSpace: is not valid JSON" in refused["serverNote"]
    (accepted,) = refused["conditions"]
    assert (accepted["status"], accepted["reason"]) == ("False", "InvalidManifest")


def test_edits_are_told_from_what_both_agreed_on():
    agreed = {"max_trials": 4, "concurrency": 2, "suspended": False}
    there = {"max_trials": 9, "concurrency": 2, "suspended": False}
    here = {"max_trials": 4, "concurrency": 3, "suspended": True}
    assert objects.edits(agreed, there, here) == (
        {"max_trials": 9},
        {"concurrency": 3, "suspended": True},
    )
    # edited on both sides: the object wins, and nothing is sent back
    here["max_trials"] = 7
    assert objects.edits(agreed, there, here)[0] == {"max_trials": 9}
    # alike already, e.g. after a crash between the edit and the note of it
    assert objects.edits(agreed, there, there) == ({}, {})


def test_an_edited_object_changes_limits_and_suspends():
    experiment = created(an_object()).experiment
    assert objects.carry_out(experiment, {"max_trials": 9, "suspended": True}) == ""
    experiment.refresh_from_db()
    assert (experiment.max_trials, experiment.suspended) == (9, True)


def test_a_refused_edit_is_told_and_is_not_taken_back():
    body = an_object()
    link = created(body)
    link.experiment.move(Phase.ERROR)
    body["metadata"]["annotations"][SUSPEND] = "true"
    body["spec"]["maxTrialNum"] = 9
    link.experiment.refresh_from_db()
    here = objects.row_values(link.experiment)
    from_object, from_row = objects.edits(link.agreed, objects.object_values(body), here)
    assert "nothing to suspend" in objects.carry_out(link.experiment, from_object)
    assert from_row == {}
    # the limit is agreed on, the suspension is not: the row is no edit to be sent
    agreed = objects.agreement(link, body)
    assert (agreed["max_trials"], agreed["suspended"]) == (9, False)
    assert agreed == objects.row_values(link.experiment)


def test_an_edit_of_anything_else_is_told():
    body = an_object()
    experiment = created(body).experiment
    assert objects.not_editable(experiment, body) == ""
    body["spec"]["maxTrialNum"] = 40
    assert objects.not_editable(experiment, body) == ""
    body["spec"]["tuner"] = {"builtinTunerName": "TPE"}
    assert "without the edit of tuner" in objects.not_editable(experiment, body)
    body["spec"]["searchSpace"] = "{"
    assert "not valid" in objects.not_editable(experiment, body)


def test_a_merge_patch_carries_only_what_was_edited():
    assert objects.object_changes({"max_trials": 9}) == {"spec": {"maxTrialNum": 9}}
    assert objects.object_changes({"suspended": True}) == {
        "metadata": {"annotations": {SUSPEND: "true"}}
    }
    assert objects.object_changes({"suspended": False}) == {
        "metadata": {"annotations": {SUSPEND: None}}
    }


def test_a_released_object_goes_once_the_rows_have_gone():
    link = created(an_object())
    assert not objects.release("u-1")
    experiment = Experiment.objects.get()
    assert experiment.deleting
    experiment.delete()  # the loop, once nothing runs any more
    link.refresh_from_db()
    assert link.experiment is None  # still known: the object must not become a new experiment
    assert objects.link_of(an_object()) == link
    assert objects.release("u-1")
    assert objects.release("never seen")
    assert not ClusterObject.objects.exists()


def test_an_experiment_made_here_is_found_again_after_a_crash(make_experiment):
    experiment = make_experiment()
    (waiting,) = objects.to_send()
    link = objects.intend(waiting, "team-a")
    assert objects.intend(waiting, "team-a") == link
    assert objects.to_send() == []
    body = objects.manifest_to_send(link)
    assert body["metadata"]["annotations"][objects.EXPERIMENT] == experiment.pk
    body["metadata"]["uid"] = "u-9"
    # the object was made, and then we died before its uid was written down
    assert objects.link_of(body) == link
    link.refresh_from_db()
    assert link.uid == "u-9"
    # a copy of it under another name is nothing of ours
    copied = copy.deepcopy(body)
    copied["metadata"] |= {"uid": "u-10", "name": "copy"}
    assert objects.link_of(copied) is None


def test_ended_and_deleted_experiments_are_not_sent(make_experiment):
    actions.delete(make_experiment())
    make_experiment(phase="DONE", finished_at=datetime.fromisoformat("2026-01-01T00:00:00Z"))
    assert objects.to_send() == []


# ---------------------------------------------------------------- status


def counts(**given: int) -> TrialCounts:
    names = ("WAITING", "RUNNING", "SUCCEEDED", "FAILED", "EARLY_STOPPED", "CANCELED", "LOST")
    return TrialCounts(dict.fromkeys(names, 0) | given, 0, sum(given.values()))


def test_the_status_tells_counts_best_and_conditions(make_trial):
    link = created(an_object())
    trial = make_trial(link.experiment, state="SUCCEEDED", value=0.5, has_final=True, key="ab3x9")
    changes.update_best(link.experiment)
    link = ClusterObject.objects.select_related("experiment__best_trial").get()
    told = status.status_of(link, counts(SUCCEEDED=1, EARLY_STOPPED=2), 1, {})
    assert told["progress"] == "3/4"
    assert told["trials"]["earlyStopped"] == 2
    assert told["best"] == {
        "trial": 0, "id": "ab3x9", "value": 0.5, "parameters": trial.parameters,
    }  # fmt: skip
    held = {row["type"]: row["status"] for row in told["conditions"]}
    assert held == {
        "Accepted": "True", "Synced": "True", "Suspended": "False", "Blocked": "False",
        "Finished": "False",
    }  # fmt: skip
    assert told.keys() <= status_schema()["properties"].keys()
    assert told["trials"].keys() == status_schema()["properties"]["trials"]["properties"].keys()
    assert "spec" not in schema_of(SPEC)["properties"]


def conditions(link: ClusterObject) -> tuple[str, tuple[str, str]]:
    """The note, and what the condition Blocked says."""
    link = ClusterObject.objects.select_related("experiment__best_trial").get()
    told = status.status_of(link, counts(), 1, {})
    (held,) = [row for row in told["conditions"] if row["type"] == "Blocked"]
    assert held["message"] in told["serverNote"]
    return told["serverNote"], (held["status"], held["reason"])


def test_the_status_tells_when_nothing_can_run_and_why(make_trial, settings):
    settings.TRAINING_ENGINE = "batch"
    link = created(an_object())
    Experiment.objects.update(phase="RUNNING")
    free = ("False", "NotBlocked")
    assert conditions(link) == ("", free)
    pull = "worker-0: ImagePullBackOff: Back-off pulling image"
    first = make_trial(link.experiment, state="RUNNING", handle={"name": "a"}, reason=pull)
    second = make_trial(link.experiment, state="RUNNING", handle={"name": "b"})
    assert conditions(link) == ("", free), "the other one may start any moment"
    queue = "It waits in the queue 'q' (Kueue)."
    Trial.objects.filter(pk=second.pk).update(state="WAITING", reason=queue)
    note, told = conditions(link)
    assert told == ("True", "ImagePull")
    assert note == f"No trial can run (2 wait). Trial 0: {pull}"
    Trial.objects.filter(pk=first.pk).update(n_reports=3)
    assert conditions(link) == ("", free), "it has reported: it ran"
    Trial.objects.filter(pk=first.pk).delete()
    assert conditions(link)[1] == ("True", "Queued")
    Experiment.objects.update(suspended=True)
    assert conditions(link) == ("", free)
    Trial.objects.all().delete()
    words = 'Kubernetes: jobs.batch "x" is forbidden: exceeded quota: small'
    Experiment.objects.update(suspended=False, message=words)
    note, told = conditions(link)
    assert told == ("True", "Quota")
    assert note.count(words) == 1


@each(
    "told",
    [
        ('FailedCreate: pods "a" is forbidden: violates PodSecurity "restricted:latest"',
         "PodSecurity"),
        ('FailedCreate: Error creating: pods "a" is forbidden: exceeded quota: small', "Quota"),
        ("FailedCreate: admission webhook denied the request: no", "Forbidden"),
        ("worker-0: Unschedulable: 0/3 nodes are available", "Unschedulable"),
        ("worker-0: the scheduler volcano has found no node for it yet", "Unschedulable"),
        ("worker-0: ErrImagePull: not found; worker-1: ErrImagePull: not found", "ImagePull"),
        ("worker-0: CreateContainerConfigError: secret x not found", "Configuration"),
        ("It waits in the queue 'team' (Kueue). Pending: no room", "Queued"),
        ("worker-0: container 'pytorch' ended with exit code 1", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_an_obstacle_is_told_by_the_clusters_words(told):
    words, reason = told
    assert obstacle(words) == reason
    assert not reason or reason in WORDS


def test_an_unchanged_status_is_not_written_again():
    link = created(an_object())
    first = status.status_of(link, counts(), 1, {})
    written = {key: value for key, value in first.items() if value is not None}
    assert status.changes({}, first)
    link.experiment.active_seconds += 5
    again = status.status_of(link, counts(), 1, written)
    assert status.changes(written, again) == {}
    # until the time it was promised for has come
    written["nextCheckedTime"] = "2020-01-01T00:00:00Z"
    assert status.changes(written, again)["nextCheckedTime"] > "2026"


def test_parameters_that_the_new_best_lacks_are_removed():
    before = {"best": {"trial": 1, "parameters": {"a": 1, "b": 2}}, "operator": {"x": 1}}
    after = {"best": {"trial": 2, "parameters": {"a": 1, "c": 3}}}
    assert status.changes(before, after) == {
        "best": {"trial": 2, "parameters": {"b": None, "c": 3}}
    }


def test_a_condition_that_does_not_turn_keeps_its_time():
    link = created(an_object())
    earlier = status.status_of(link, counts(), 1, {})
    for row in earlier["conditions"]:
        row["lastTransitionTime"] = "2020-01-01T00:00:00Z"
    link.experiment.suspended = True
    later = status.status_of(link, counts(), 1, earlier)
    times = {row["type"]: row["lastTransitionTime"] for row in later["conditions"]}
    assert times["Accepted"] == times["Finished"] == "2020-01-01T00:00:00Z"
    assert times["Suspended"] > "2026"


def test_phase_changes_and_edits_are_told_to_the_cluster(make_trial):
    experiment = created(an_object()).experiment
    make_trial(experiment)
    actions.change_limits(experiment, {"max_trials": 9})
    experiment.move(Phase.RUNNING, reason="Started.")
    experiment.move(Phase.ERROR, reason="It broke.")
    told = [status.told(event) for event in experiment.events.order_by("seq")]
    assert told == [
        ("Created", "Created", False),
        ("LimitsChanged", "Limits changed: max_trials 4 → 9", False),
        ("Running", "PENDING → RUNNING. Started.", False),
        ("Error", "RUNNING → ERROR. It broke.", True),
    ]


def test_an_object_whose_trials_run_elsewhere_is_refused_with_the_reason():
    body = an_object(elsewhere={})
    del body["spec"]["trainingConfig"]
    with pytest.raises(ProblemsError) as refused:
        objects.create_from(body)
    (problem,) = refused.value.problems
    assert problem.path == "spec.elsewhere"
    shown = status.refused_status((problem,), 1, {})
    (accepted,) = [each for each in shown["conditions"] if each["type"] == "Accepted"]
    assert accepted["status"] == "False"
    assert "not for a cluster's objects" in accepted["message"]


def test_what_runs_elsewhere_is_not_sent_to_the_cluster(make_experiment):
    manifest = copy.deepcopy(MANIFEST)
    manifest["spec"] |= {"elsewhere": {}}
    del manifest["spec"]["trainingConfig"]
    make_experiment(manifest=manifest)
    there = make_experiment()
    assert objects.to_send() == [there]

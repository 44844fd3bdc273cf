"""Which experiment is which AutoTuneExperiment of a cluster."""

from __future__ import annotations

from django.db import models

from experiments.models.state import Experiment


class ClusterObject(models.Model):
    """The AutoTuneExperiment of a cluster that an experiment came from, or was sent to.

    Outlives its experiment until the object is gone too, so that an object whose experiment was
    deleted here is never taken for a new one.
    """

    experiment = models.OneToOneField(
        Experiment, null=True, blank=True, on_delete=models.SET_NULL, related_name="cluster_object"
    )
    namespace = models.CharField(max_length=63)
    name = models.CharField(max_length=253)
    uid = models.CharField(max_length=64, null=True, unique=True)  # null: about to be created
    # Limits and suspension as both sides had them last: who differs from it was edited.
    agreed = models.JSONField(default=dict)
    announced_seq = models.PositiveBigIntegerField(default=0)  # events so far told to the cluster
    trouble = models.TextField(blank=True, default="")  # why the cluster refused it

    class Meta:
        indexes = [
            # an object of this name that we meant to create
            models.Index(fields=["namespace", "name"], name="cluster_object_place")
        ]

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

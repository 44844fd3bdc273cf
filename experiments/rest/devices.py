"""REST: the GPUs, cores and memory of this machine, and which trials have them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from experiments.access import policy
from experiments.rest.base import BUSY, NO_TOKEN, ApiView
from experiments.services.devices import devices_json


class HolderShape(serializers.Serializer[Any]):
    experiment = serializers.CharField(help_text="Its id.")
    name = serializers.CharField(
        allow_null=True, help_text="Null where it is another server's on this machine."
    )
    trial = serializers.IntegerField(help_text="Its number.")


class GpuTrialShape(HolderShape):
    memory_used = serializers.IntegerField(
        allow_null=True, help_text="Bytes; null where NVML does not tell."
    )


class WaiterShape(HolderShape):
    gpus = serializers.IntegerField(help_text="So many it waits for, among other things.")
    since = serializers.FloatField(help_text="Seconds since the epoch.")


class GpuShape(serializers.Serializer[Any]):
    index = serializers.IntegerField(allow_null=True, help_text="As nvidia-smi shows it.")
    uuid = serializers.CharField(help_text='"" where it was given by its number.')
    name = serializers.CharField()
    memory_total = serializers.IntegerField(allow_null=True, help_text="Bytes.")
    memory_used = serializers.IntegerField(allow_null=True, help_text="Bytes, by whomever.")
    load = serializers.IntegerField(allow_null=True, help_text="Percent.")
    other_processes = serializers.IntegerField(help_text="That are no trials, and compute on it.")
    gone = serializers.BooleanField(help_text="A trial has it, but the machine has it no more.")
    trials = GpuTrialShape(many=True)


class AmountShape(serializers.Serializer[Any]):
    total = serializers.FloatField()
    taken = serializers.FloatField(help_text="Asked for by the trials that run.")


class DevicesShape(serializers.Serializer[Any]):
    here = serializers.BooleanField(help_text="False on a cluster: the rest is empty then.")
    problem = serializers.CharField(help_text="Why there are no GPUs, or not all.")
    gpus = GpuShape(many=True)
    cpu = AmountShape(allow_null=True, help_text="Cores.")
    memory = AmountShape(allow_null=True, help_text="Bytes.")
    waiting = WaiterShape(many=True, help_text="In the order in which they are served.")


class Devices(ApiView):
    @extend_schema(
        operation_id="devices",
        summary="GPUs, cores and memory of this machine, and which trials have them",
        responses={200: DevicesShape, 401: NO_TOKEN, 503: BUSY},
    )
    def get(self, request: Request) -> Response:
        return Response(devices_json(policy.visible_experiments(request.user)))

"""Show this machine's GPUs and which trials have them: ``./autotune gpus [--json]``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from experiments.management.commands.sign_in_link import is_there
from experiments.models import Experiment
from experiments.services.devices import devices_json
from experiments.shell import screen
from experiments.training.base import BackendUnavailable
from experiments.training.local.placing import gpus

_GIB = 1024**3


class Command(BaseCommand):
    help = "Show the GPUs of this machine, and which trials have them or wait for them."
    requires_system_checks: list[str] = []  # they load every page; tests/test_checks.py runs them

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="as GET /api/v1/devices/ sends it")

    def handle(self, *args: Any, **options: Any) -> None:
        # Without a database here it shows what other servers of this machine have.
        visible = Experiment.objects.all() if is_there() else Experiment.objects.none()
        try:
            found = devices_json(visible)
        except BackendUnavailable as error:
            raise CommandError(str(error)) from None
        if options["json"]:
            self.stdout.write(json.dumps(found))
            return
        if not found["here"]:
            self.stdout.write("Trials run on a cluster, which sees to its GPUs itself.")
            return
        for gpu in found["gpus"]:
            self.stdout.write(_line(gpu))
        if problem := found["problem"]:
            self.stdout.write(problem if found["gpus"] else f"No GPUs. {problem}")
        cpu, memory = found["cpu"], found["memory"]
        self.stdout.write(
            f"Cores: {cpu['taken']:g} of {cpu['total']:g} asked for; memory: "
            f"{memory['taken'] / _GIB:.1f} of {memory['total'] / _GIB:.1f} GiB."
        )
        for each in found["waiting"]:
            asks = f", for {gpus(each['gpus'])}" if each["gpus"] else ""
            self.stdout.write(f"Waits: {_who(each)}{asks}")


def _line(gpu: Mapping[str, Any]) -> str:
    if gpu["gone"]:
        return f"GPU {gpu['uuid'] or gpu['index']}: gone; {_holders(gpu)}"
    parts = [f"GPU {gpu['index']}"]
    if gpu["name"]:
        parts.append(gpu["name"])
    if gpu["memory_total"]:
        used, total = gpu["memory_used"] / _GIB, gpu["memory_total"] / _GIB
        parts.append(f"{used:.1f} of {total:.1f} GiB")
    if gpu["load"] is not None:
        parts.append(f"{gpu['load']} %")
    return f"{', '.join(parts)}: {_holders(gpu)}"


def _holders(gpu: Mapping[str, Any]) -> str:
    words = [_who(trial) for trial in gpu["trials"]]
    if others := gpu["other_processes"]:
        words.append(f"{others} other process{'es' if others > 1 else ''}")
    return ", ".join(words) or "free"


def _who(trial: Mapping[str, Any]) -> str:
    name = f" ({trial['name']})" if trial["name"] else ""
    return screen.clean(f"trial {trial['trial']} of {trial['experiment']}{name}")

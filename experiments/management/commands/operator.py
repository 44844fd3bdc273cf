"""The operator role: AutoTuneExperiment objects of a cluster as experiments, and back."""

from __future__ import annotations

import logging
import signal
import sys
import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from experiments.cluster import operator
from experiments.cluster.api import ClusterApi, ClusterRefused, ClusterUnavailable
from experiments.cluster.sync import ALL_NAMESPACES, Sync
from experiments.embedded import health
from experiments.monitoring import door
from experiments.trials.backends import backend

logger = logging.getLogger(__name__)

LOOK_AGAIN_S = 3.0


class Command(BaseCommand):
    help = "Serve AutoTuneExperiment objects of the cluster that KUBECONFIG (or the pod) names."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--health",
            default="",
            metavar="URL",
            help="answer probes, e.g. at http://:8081/healthz",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if words := health.refusal():
            raise CommandError(words)
        if backend().runs_here:
            raise CommandError(
                "AUTOTUNE_TRAINING_ENGINE must not be local for an operator: the cluster's "
                "experiments would run on this machine. Set it to auto, here and for "
                f"{settings.COMMAND} up beside it."
            )
        namespaces = settings.NAMESPACES
        if ALL_NAMESPACES in namespaces and namespaces != [ALL_NAMESPACES]:
            raise CommandError("AUTOTUNE_NAMESPACES must be names, or * alone for every namespace.")
        try:
            api = ClusterApi()
        except ClusterUnavailable as error:
            raise CommandError(str(error)) from None
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # until kopf takes it over
        door.serve("operator")
        health.wait_until_migrated(logger.warning)
        kept_out = self._wait_until_served(api, namespaces)
        served = [name for name in namespaces if name not in kept_out]
        logger.warning("Serving AutoTuneExperiments in %s", ", ".join(served))
        if not operator.run(Sync(api, namespaces), options["health"], kept_out):
            sys.exit(1)

    def _wait_until_served(self, api: ClusterApi, namespaces: list[str]) -> list[str]:
        """Return once one namespace at least can be served; says meanwhile what it waits for.

        Returns the others: they may not be listed yet, and hold up nobody.
        """
        said = ""
        while True:
            kept_out, words = [], ""
            try:
                for name in namespaces:
                    try:
                        api.list("" if name == ALL_NAMESPACES else name)
                    except ClusterRefused as error:
                        hint = (
                            " (kubectl apply -f deploy/base/crd.yaml)" if error.is_missing else ""
                        )
                        words = f"Waiting to be let to list AutoTuneExperiments: {error}{hint}"
                        kept_out.append(name)
                if len(kept_out) < len(namespaces):
                    return kept_out
            except ClusterUnavailable as error:
                words = f"Waiting for the API server: {error}"
            if words != said:
                logger.warning("%s", words)
                said = words
            time.sleep(LOOK_AGAIN_S)

"""A process that commits events: ``python committer.py``, with the environment of an installation.

Makes the database and one experiment, says its id, then for each line of input records an event and
says how many seconds that took.
"""

import os
import sys
import time

os.environ["DJANGO_SETTINGS_MODULE"] = "autotune_web.settings"

import django

django.setup()

from django.core.management import call_command  # noqa: E402

from experiments.models import Experiment, Project  # noqa: E402
from experiments.states import EventKind  # noqa: E402

call_command("migrate", verbosity=0)
experiment = Experiment.objects.create(
    project=Project.default(), name="x", manifest={}, max_exec_seconds=1, max_trials=1,
    concurrency=1,
)  # fmt: skip
print(experiment.pk, flush=True)
for _ in sys.stdin:
    begun = time.monotonic()
    experiment.record(EventKind.REMARK)
    print(time.monotonic() - begun, flush=True)

"""A process at a pass of the loop: ``python holder.py``, with the environment of an installation.

Takes the lease that the line of input names, ``loop ID`` or ``upload ID``, says ``held`` or ``no``,
then is in one long step until another line comes. Then it goes on, and says how that ended: with
``changed`` where it could write, ``lost`` where it could not.
"""

import os
import sys

os.environ["DJANGO_SETTINGS_MODULE"] = "autotune_web.settings"

import django

django.setup()

from experiments.aistore import outbox  # noqa: E402
from experiments.loop.lease import Lease  # noqa: E402
from experiments.models import Experiment, leases  # noqa: E402
from experiments.models.leases import LostLease  # noqa: E402
from experiments.trials import changes  # noqa: E402

leases.PATIENCE_S = float(os.environ.get("TEST_PATIENCE_S", leases.PATIENCE_S))
print("ready", flush=True)
what, pk = sys.stdin.readline().split()
lease = Lease(pk) if what == "loop" else outbox.lease_of(pk)
print("held" if lease.take() else "no", flush=True)
sys.stdin.readline()
try:
    with lease.fence(pk):
        changes.add_trial(Experiment.objects.get(pk=pk), {"from": os.getpid()}, origin="random")
    print("changed", flush=True)
except LostLease:
    print("lost", flush=True)
lease.drop()

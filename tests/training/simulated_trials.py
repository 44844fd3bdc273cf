"""500 trials of two servers over eight GPUs, some of them killed: what came of it, as JSON.

Run by ``test_slots`` as a program of its own, which forks quickly. A simulated trial is a process
that holds its slot as a supervisor does, perhaps with a replica that outlives it. It is checked by
locks of the test's own: as many for each GPU as may share it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from experiments.training.base import NotYet
from experiments.training.local.gpus import Gpus
from experiments.training.local.placing import Device, Machine, Request
from experiments.training.local.slots import Granted, Slots
from experiments.training.local.wrapper import hold

N_TRIALS = 500
ABOVE = 200  # the kernel closes by number: the checking locks are gone before the slot is


def live(granted: Granted, checks: Path, limit: int, rng: random.Random) -> None:
    """What a trial's supervisor does, as far as slots mind it."""
    keys = sorted(granted.claim.keys)
    if any(not _check_in(checks, key, limit) for key in keys):
        (checks / f"overlap-{os.getpid()}").write_text(" ".join(keys))
        return
    assert fcntl.fcntl(hold(str(granted.path)), fcntl.F_DUPFD, ABOVE) >= ABOVE
    granted.let_go()
    if rng.random() < 0.3 and os.fork() == 0:
        time.sleep(rng.uniform(0.0, 0.02))  # a replica that may outlive its killed supervisor
        return
    time.sleep(rng.uniform(0.0, 0.02))


def _check_in(checks: Path, key: str, limit: int) -> bool:
    for number in range(limit):
        descriptor = os.open(checks / f"{key}-{number}", os.O_RDWR | os.O_CREAT)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        os.close(descriptor)
    return False


def main(directory: Path, limit: int) -> dict[str, object]:
    rng = random.Random(limit)
    checks = directory / "checks"
    checks.mkdir()
    gpus = Gpus(given=range(8)).inventory().gpus
    machine = Machine(tuple(Device(gpu.key, gpu.index) for gpu in gpus), 4.0, 2**30)
    servers = [Slots(directory / "slots"), Slots(directory / "slots")]
    waiting: list[list[Request]] = [[], []]
    for number in range(N_TRIALS):
        count = rng.choice((1, 1, 1, 2, 4, 8))
        job = f"/server{number % 2}/at-x-{number}-1"
        waiting[number % 2].append(Request(job, "x", number, gpus=(count,), per_gpu=limit))
    living: set[int] = set()
    started = killed = most = 0
    while any(waiting) or living:
        for server, queue in zip(servers, waiting, strict=True):
            if not queue:
                continue
            try:
                granted = server.take(queue[0], machine)
            except NotYet:
                continue
            pid = os.fork()
            if pid == 0:
                live(granted, checks, limit, random.Random(queue[0].trial))
                os._exit(0)
            granted.let_go()
            living.add(pid)
            queue.pop(0)
            started += 1
            most = max(most, len({key for claim in server.claims() for key in claim.keys}))
        if living and rng.random() < 0.3:
            os.kill(rng.choice(sorted(living)), signal.SIGKILL)
            killed += 1
        living -= {pid for pid in living if os.waitpid(pid, os.WNOHANG)[0]}
        time.sleep(0.0005)
    time.sleep(0.05)  # for replicas without a supervisor
    overlaps = [path.read_text() for path in checks.glob("overlap-*")]
    return {"started": started, "killed": killed, "most_at_once": most, "overlaps": overlaps}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]))))

"""A trial for the test cluster, standard library only: ``trial.py [seconds] [mode]``.

Prints what it was given, as JSON in one line. Rank 0 gets its parameters and reports as the T9k
SDK does; ps and evaluator run until they are ended, as the real ones do, other helpers end at once
or, in mode ``together``, take as long. In mode ``chief`` rank 0 ends only after ps has begun.
"""

import json
import os
import signal
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 0.0
mode = sys.argv[2] if len(sys.argv) > 2 else ""
names = ("MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE", "TF_CONFIG", "NO_PROXY", "no_proxy")
names += ("PET_NNODES", "PET_NODE_RANK")
print(json.dumps({name: os.environ.get(name) for name in names}), flush=True)
task = json.loads(os.environ.get("TF_CONFIG") or "{}").get("task", {})
rank = int(os.environ.get("RANK") or task.get("index", 0))
key = os.environ["TUNER_TRIAL_JOB_ID"]
begun = Path(tempfile.gettempdir(), f"autotune-kube-trial-{key}")  # of mode chief: ps has begun
if task.get("type") in ("ps", "evaluator"):
    print("waiting for ever", flush=True)
    if mode == "chief" and task["type"] == "ps":
        begun.touch()
    time.sleep(3600)
if rank > 0 or (task.get("type") == "worker" and mode == "chief"):
    time.sleep(seconds if mode == "together" else 0)
    print("a helper ends", flush=True)
    sys.exit(0)

address = os.environ["AUTO_TUNE_SERVER_ADDR"]
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
with opener.open(f"{address}/apis/v1/parameter/{key}", timeout=60) as answer:
    record = json.load(answer)
print("parameters", record["parameters"], flush=True)
if mode == "crash":
    sys.exit("it crashed on purpose")
if mode == "killed":
    os.kill(os.getpid(), signal.SIGKILL)


def report(kind, sequence, value):
    body = {
        "parameter_id": record["parameter_id"],
        "trial_job_id": key,
        "type": kind,
        "sequence": sequence,
        "value": json.dumps(value),
        "step": sequence,
    }
    request = urllib.request.Request(
        f"{address}/apis/v1/metric",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    opener.open(request, timeout=60).close()


given = record["parameters"]
value = -((given.get("x", given.get("learning_rate", 0)) - 1) ** 2)
report("PERIODICAL", 0, value - 1)
time.sleep(seconds)
limit = time.monotonic() + 60
while mode == "chief" and not begun.exists() and time.monotonic() < limit:
    time.sleep(0.1)
begun.unlink(missing_ok=True)
report("FINAL", 0, value)
print("done", flush=True)

"""A trial that learns nothing, quickly: ``trial.py [steps] [seconds per step] [mode]``.

Appends a line to the file named by E2E_RUNS, so that tests see how often it really ran.
"""

import os
import sys
import time

import autotune_trial

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 3
pause_s = float(sys.argv[2]) if len(sys.argv) > 2 else 0.02
mode = sys.argv[3] if len(sys.argv) > 3 else ""
runs = sys.argv[4] if len(sys.argv) > 4 else ""

parameters = autotune_trial.get_parameters()
if runs:
    with open(runs, "a") as f:
        f.write(f"{os.environ['TUNER_TRIAL_SEQ_ID']} {os.getpid()}\n")
print("parameters", parameters, flush=True)
value = -((parameters["x"] - 1.0) ** 2)
if mode == "crash":
    sys.exit("the trial crashed on purpose")
for step in range(steps):
    # "climb": every report lies above all before it, so that axes have to widen
    reported = step + 1.0 if mode == "climb" else value - 1.0 / (step + 1)
    autotune_trial.report(reported, step=step * 10, loss=1.0 / (step + 1))
    print("step", step, flush=True)
    time.sleep(pause_s)
if mode != "silent":
    more = {f"m{n}": n for n in range(300)} if mode == "wide" else {}
    autotune_trial.report_final(value, **more)

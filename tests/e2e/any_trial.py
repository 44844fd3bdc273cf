"""A trial for any search space: its value depends on all parameters, its curve rises towards it.

``any_trial.py [seconds per step] [gate]``: trials from number 4 on wait until the file ``gate``
exists. Uses what its tuner adds: a budget to train by, a checkpoint to resume from and to save.
"""

import json
import os
import sys
import time
from pathlib import Path

import autotune_trial

parameters = autotune_trial.get_parameters()
pause_s = float(sys.argv[1]) if len(sys.argv) > 1 else 0.0
if len(sys.argv) > 2 and int(os.environ["TUNER_TRIAL_SEQ_ID"]) >= 4:
    give_up_at = time.monotonic() + 180
    while not Path(sys.argv[2]).exists() and time.monotonic() < give_up_at:
        time.sleep(0.1)
budget = parameters.pop("TRIAL_BUDGET", 3)
loads, saves = (parameters.pop(f"{what}_checkpoint_dir", None) for what in ("load", "save"))
text = json.dumps(parameters, sort_keys=True)
value = sum((i + 1) * ord(c) for i, c in enumerate(text)) % 1009 / 1009
trained = 0
if loads is not None:
    checkpoint = Path(loads, "state.json")
    trained = json.loads(checkpoint.read_text())["trained"] if checkpoint.exists() else 0
for step in range(int(budget)):
    autotune_trial.report(value - 1.0 / (step + 1), step=step)
    time.sleep(pause_s)
if saves is not None:
    trained += 1
    Path(saves, "state.json").write_text(json.dumps({"trained": trained}))
autotune_trial.report_final(value + trained, trained=trained)

"""The Lightning callback in real Lightning: PYTHON_WITH_TORCH benchmarks/lightning_callback.py

Needs an interpreter that can import torch and lightning, which no test of ours installs (5 GB). A
server beside it takes the reports. Each row trains a small model in processes of its own: alone, in
several by DDP (on GPUs where there are as many), without validation, with one in the middle of an
epoch, told to stop, and by SIGTERM; or only the rows that are named. Exits with 1 where a report,
the result or the end is wrong. Tried with torch 2.15 and Lightning 2.6, on a CPU.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CLIENT = (ROOT, ROOT / "experiments" / "training" / "client")
EPOCHS, BATCHES = 4, 8

SCRIPT = """
import json, logging, sys, time, warnings
import torch
import lightning.pytorch as pl
from autotune_client.callbacks.lightning import AutoTune
warnings.filterwarnings("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
given = json.loads(sys.argv[1])


class Model(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 1)

    def training_step(self, batch, index):
        time.sleep(given.get("slow", 0))
        loss = self.layer(batch[0]).pow(2).mean()
        self.log("loss", loss, on_epoch=True, sync_dist=True)
        return loss

    def validation_step(self, batch, index):
        self.log("val_loss", self.layer(batch[0]).pow(2).mean(), sync_dist=True)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.01)


def loader():
    data = torch.utils.data.TensorDataset(torch.randn(given["batches"] * given["devices"], 3))
    return torch.utils.data.DataLoader(data, 1)


if __name__ == "__main__":
    trainer = pl.Trainer(
        max_epochs=given["epochs"], accelerator=given["accelerator"], devices=given["devices"],
        strategy=given["strategy"], logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
        callbacks=[AutoTune(given["metric"])], **given.get("trainer", {}),
    )
    trainer.fit(Model(), loader(), loader() if given["metric"] == "val_loss" else None)
    print(f"rank {trainer.global_rank} ended at epoch {trainer.current_epoch}", flush=True)
"""


class Told:
    """A trial API that takes reports, and says "stop" from one of them on."""

    def __init__(self, stop_after: int) -> None:
        self.reports: list[dict[str, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.reports.append(json.loads(body))
                self.send_response(200)
                if len(outer.reports) >= stop_after:
                    self.send_header("Autotune-Verdict", "stop")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def steps(self) -> list[int]:
        return [report["step"] for report in self.reports if report["type"] == "PERIODICAL"]

    def finals(self) -> int:
        return sum(report["type"] == "FINAL" for report in self.reports)


def trained(told: Told, given: dict[str, Any], is_killed: bool) -> tuple[int, str]:
    """Train once; the exit status and what was printed. SIGTERM comes after the first report."""
    process = subprocess.Popen(
        [sys.executable, "-c" if given["strategy"] == "auto" else str(given.pop("file")),
         *([SCRIPT] if given["strategy"] == "auto" else []), json.dumps(given)],
        env={
            **os.environ, "PYTHONPATH": os.pathsep.join(map(str, CLIENT)),
            "AUTO_TUNE_SERVER_ADDR": f"http://127.0.0.1:{told.server.server_port}/t/T",
            "TUNER_TRIAL_JOB_ID": "0abcd",
        },
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    if is_killed:
        end = time.monotonic() + 120
        while not told.reports and process.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=300)
    return process.returncode, printed


def main() -> int:
    import torch

    gpus = torch.cuda.device_count()
    epochs = [BATCHES * (epoch + 1) for epoch in range(EPOCHS)]
    halves = [BATCHES // 2 * (half + 1) for half in range(2 * EPOCHS)]
    middle = {"trainer": {"val_check_interval": 0.5}}
    rows: list[tuple[str, dict[str, Any], int, Sequence[int], int]] = [
        ("alone", {}, 999, epochs, 1),
        ("without validation", {"metric": "loss"}, 999, epochs, 1),
        ("validation within epochs", middle, 999, halves, 1),
        ("told to stop", {}, 2, epochs[:2], 0),
        ("told to stop within an epoch", middle, 3, halves[:3], 0),
        ("SIGTERM", {"slow": 0.05, "epochs": 50}, 999, epochs[:1], 0),
        ("DDP, 2 processes", {"strategy": "ddp", "devices": 2}, 999, epochs, 1),
        ("DDP, told to stop", {"strategy": "ddp", "devices": 2}, 2, epochs[:2], 0),
        ("DDP, spawned", {"strategy": "ddp_spawn", "devices": 2}, 999, epochs, 1),
        ("DDP, spawned, told to stop", {"strategy": "ddp_spawn", "devices": 2}, 2, epochs[:2], 0),
    ]
    wanted, failed = sys.argv[1:], 0
    for name, changes, stop_after, steps, finals in rows:
        if wanted and name not in wanted:
            continue
        given = {"metric": "val_loss", "epochs": EPOCHS, "batches": BATCHES, "devices": 1,
                 "strategy": "auto", **changes}  # fmt: skip
        given["accelerator"] = "gpu" if gpus >= given["devices"] else "cpu"
        if given["strategy"] != "auto":  # Lightning starts the script again
            given["file"] = Path(os.environ.get("TMPDIR", "/tmp")) / f"lightning-{os.getpid()}.py"
            given["file"].write_text(SCRIPT)
        file, told = given.get("file"), Told(stop_after)
        began = time.monotonic()
        code, printed = trained(told, given, name == "SIGTERM")
        told.server.shutdown()
        if file:
            file.unlink()
        is_right = (told.steps(), told.finals(), code) == (list(steps), finals, 0)
        failed += not is_right
        print(f"{'ok   ' if is_right else 'WRONG'} {name:30} {given['accelerator']:4} "
              f"{time.monotonic() - began:5.1f} s  steps {told.steps()} results {told.finals()} "
              f"status {code}")  # fmt: skip
        if not is_right:
            print(printed[-4000:])
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())

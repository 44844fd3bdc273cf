"""Run by test_nursery.py: a command that owns a nursery and does what stdin says, line by line."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import django

django.setup()

from experiments.embedded.nursery import CannotFork, Nursery  # noqa: E402

nursery = Nursery()
directory = Path(sys.argv[1])
secret = (directory / "opened later").open("w")
print(json.dumps(os.getpid()), flush=True)
for line in sys.stdin:
    what, *words = line.split()
    answer: object = None
    match what:
        case "prepare":
            nursery.prepare(dict(word.split("=", 1) for word in words))
        case "start":
            try:
                log = directory / f"{words[0]}.log"
                answer = nursery.start(words[0], ["tests.e2e.role", *words[1:]], log)
            except CannotFork as error:
                answer = str(error)
        case "terminate":
            nursery.signal(int(words[0]), signal.SIGTERM)
        case "wait":
            deadline = time.monotonic() + 20
            while (answer := nursery.poll(int(words[0]))) is None and time.monotonic() < deadline:
                time.sleep(0.01)
        case "poll":
            answer = nursery.poll(int(words[0]))
        case "close":
            nursery.close()
    print(json.dumps(answer), flush=True)

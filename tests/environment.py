"""Loaded before Django's settings: every test process gets a data directory of its own.

A plugin (see ``addopts`` in pyproject.toml), since conftest.py is read after the settings. It also
spares the garbage collector what stays to the end: all modules and the thousands of tests.
"""

import atexit
import gc
import os
import shutil
import tempfile
from collections.abc import Iterator

import pytest

_directory = tempfile.mkdtemp(prefix="autotune-tests-")
atexit.register(shutil.rmtree, _directory, ignore_errors=True)
os.environ["AUTOTUNE_DATA"] = _directory
os.environ["SECRET_KEY"] = "tests only"
# Slots are one machine's, and so would be those of every other test and of the developer's server.
os.environ["AUTOTUNE_SLOTS"] = os.path.join(_directory, "slots")
# Playwright's loop runs in the thread of browser tests; Django would take them for coroutines.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
# The tests run side by side already; threads of NumPy's would only wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
for _name in (
    "AUTOTUNE_PUBLIC_URL",
    "AUTOTUNE_TRIAL_URL",
    "AUTOTUNE_TRAINING_ENGINE",
    "AISTORE_HOST",
    "AUTOTUNE_GPUS",
    "CUDA_VISIBLE_DEVICES",
):
    os.environ.pop(_name, None)

gc.disable()  # until all is loaded


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """From here on only what tests make is looked at, and a tenth as often: half the time of some
    tests was the collector's, in search of garbage among what is none."""
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.set_threshold(10_000, 10, 10)
        gc.enable()

"""What the page of a large experiment needs, read while the browser still fetches its scripts.

Called by the experiment's page. A hint and no more: charts asked for meanwhile wait for it, as they
wait for each other, and read by themselves whatever it has not read. What is said below them comes
out of the same reading: to read all trials again for one column takes nearly as long.
"""

from __future__ import annotations

import logging
import threading

from django.db import DatabaseError, connection

from experiments.charts import axes
from experiments.models import Experiment
from experiments.selectors import chart_data, curve_data, triage, trial_records, winner
from experiments.selectors.kept import turns

LEAST = 5000  # trials; fewer are read in no time

_log = logging.getLogger(__name__)
_under_way: set[str] = set()
_lock = threading.Lock()


def begin(experiment: Experiment, n_trials: int) -> threading.Thread | None:
    """Read them in a thread, unless they are few or somebody is at it."""
    if n_trials < LEAST:
        return None
    with _lock:
        if experiment.pk in _under_way:
            return None
        _under_way.add(experiment.pk)
    thread = threading.Thread(target=_read, args=(experiment,), name="early", daemon=True)
    thread.start()
    return thread


def _read(experiment: Experiment) -> None:
    try:
        with turns.of(experiment.pk):
            also = (*triage.COLUMNS, *winner.COLUMNS)
            rows, _ = trial_records.with_columns(experiment, also)
            axes.axes(chart_data.search_space(experiment), rows.kept.parameters)
            curve_data.know(experiment)
    except DatabaseError:  # whoever asks for a chart is told
        _log.info("Could not read %s early.", experiment.pk, exc_info=True)
    finally:
        connection.close()
        with _lock:
            _under_way.discard(experiment.pk)

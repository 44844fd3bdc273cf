"""Charts: numbers of an experiment to Plotly figures, one chart a file.

To add one, write a module with ``CHART`` and name it here.
"""

from __future__ import annotations

from experiments.charts import (
    cost,
    curves,
    duration,
    edf,
    history,
    importance,
    pair,
    parallel,
    scatter,
    slices,
    slots,
)
from experiments.charts.base import Chart

CHARTS: dict[str, Chart] = {
    chart.kind: chart
    for chart in (
        history.CHART,
        curves.CHART,
        parallel.CHART,
        duration.CHART,
        importance.CHART,
        slices.CHART,
        edf.CHART,
        pair.CHART,
        scatter.CHART,
        slots.CHART,
        cost.CHART,
    )
}

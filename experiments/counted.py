"""What this process counts for Prometheus: requests, reports, passes, ends of trials.

Whoever does something counts it here; ``monitoring`` serves the sums. Each process counts its own
from its start on, as Prometheus expects; what the rows of the database tell is not counted twice
(``monitoring.rows``). Labels take few values whatever comes in: no name of an experiment, trial or
namespace, and no path of a request, is one.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.process_collector import ProcessCollector

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)  # memory, processor time, files, start

_SECONDS = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0)

HTTP_REQUESTS = Counter(
    "autotune_http_requests",
    "Answers of the web process, by door (trials, rest, pages, static, probe) and HTTP status.",
    ["door", "status"],
    registry=REGISTRY,
)
HTTP_SECONDS = Histogram(
    "autotune_http_request_seconds",
    "From the headers of a request to the end of its answer.",
    ["door"],
    buckets=_SECONDS,
    registry=REGISTRY,
)
REPORTS = Counter(
    "autotune_reports",
    "What trials reported, by the status that it was answered with; 200 is stored.",
    ["status"],
    registry=REGISTRY,
)
REPORTS_WAITING = Gauge(
    "autotune_reports_waiting", "Reports that wait to be written.", registry=REGISTRY
)
KUBERNETES_REQUESTS = Counter(
    "autotune_kubernetes_requests",
    "Requests to the API server, by verb, resource and HTTP status (none: no answer).",
    ["verb", "resource", "status"],
    registry=REGISTRY,
)
RECONCILES = Histogram(
    "autotune_reconcile_seconds",
    "Passes of the loop over one experiment: how many, and how long each took.",
    buckets=_SECONDS,
    registry=REGISTRY,
)
RECONCILE_FAILURES = Counter(
    "autotune_reconcile_failures", "Passes of the loop that broke off.", registry=REGISTRY
)
TRIALS_ENDED = Counter(
    "autotune_trials_ended", "Trials that this process saw to their end.", ["state"],
    registry=REGISTRY,
)  # fmt: skip
SYNC_SECONDS = Histogram(
    "autotune_operator_pass_seconds",
    "Passes of the operator over all objects: how many, and how long each took.",
    buckets=_SECONDS,
    registry=REGISTRY,
)
SYNC_AT = Gauge(
    "autotune_operator_last_pass_timestamp_seconds",
    "When the operator last got through a pass; 0 before.",
    registry=REGISTRY,
)
KEPT_OUT = Gauge(
    "autotune_operator_namespaces_kept_out",
    "Namespaces that the operator is to serve and may not list.",
    registry=REGISTRY,
)


def resource_of(path: str) -> str:
    """The resource that a path of the API server is about: ``jobs``, ``pods/log``.

    Those of whole groups (what does the cluster serve?) are ``discovery``.
    """
    parts = path.strip("/").split("/")
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    if rest[:1] == ["namespaces"] and len(rest) > 2:
        rest = rest[2:]
    if not rest:
        return "discovery"
    return f"{rest[0]}/{rest[2]}" if len(rest) > 2 else rest[0]

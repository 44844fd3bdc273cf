"""The list of experiments: its time, and that its queries do not grow with it."""

from __future__ import annotations

import statistics
import time
from typing import Any

from benchmarks.dashboard_parts.figures import TARGETS, Client, Figures


def measure(client: Client, figures: Figures, *, rounds: int, few: str) -> None:
    """``few``: words of the search that few experiments fit. Django is set up."""
    figures.head("The list of experiments")
    ms, _ = client.median(lambda _: "/api/v1/experiments/?page_size=50", rounds)
    figures.say("over REST, 50 of all", ms, "ms", TARGETS["list ms"])
    from django.db import connection
    from django.test import Client as PageClient
    from django.test.utils import CaptureQueriesContext

    from experiments.access import accounts

    pages = PageClient(SERVER_NAME="127.0.0.1")
    user = accounts.find(accounts.ADMINISTRATOR)
    assert user is not None
    pages.force_login(user)

    def asked(**query: Any) -> int:
        with CaptureQueriesContext(connection) as queries:
            answer = pages.get("/", query)
        assert answer.status_code == 200
        return len(queries)

    asked()  # the first one loads templates
    took = []
    for _ in range(rounds):
        start = time.perf_counter()
        n_of_all = asked()
        took.append((time.perf_counter() - start) * 1000)
    figures.say("its page", statistics.median(took), "ms", TARGETS["list ms"])
    figures.say("its queries", n_of_all, "")
    more = n_of_all - asked(search=few)
    figures.say("more than for a few experiments", more, "", TARGETS["more queries"])

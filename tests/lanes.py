"""Which tests a run takes, and how long each may; a pytest plugin (``addopts`` in pyproject.toml).

Where nothing is named, the fast lane: whatever needs no second program and no long time. It
says at its end what it left out. ``--all`` takes everything; a path, -k, -m or --last-failed takes
what it names. ``--second-chance`` is for CI: see ``.ci/run``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

# Markers of pyproject.toml, and what their tests need.
LEFT_OUT = {
    "stack": "the whole product as processes",
    "browser": "Chromium",
    "services": "PostgreSQL and Redis",
    "cluster": "a Kubernetes control plane",
    "install": "a package index",
    "long": "much time",
}
TIMEOUT_S = 300.0  # of those; the limit of the others is in pyproject.toml

FAST = "fast_lane"
COUNT = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", dest="all_tests", help="leave no test out")
    parser.addoption(
        "--second-chance", action="store_true", help="run what failed last; name what passes"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    config.stash[COUNT] = 0
    option = config.option
    if option.second_chance:
        option.lf, option.last_failed_no_failures = True, "none"
    if hasattr(config, "workerinput"):  # of xdist, whose arguments are not the user's
        option.fast_lane = config.workerinput[FAST]
    else:
        option.fast_lane = config.args_source is pytest.Config.ArgsSource.TESTPATHS and not (
            option.all_tests or option.keyword or option.markexpr or getattr(option, "lf", False)
        )
    if option.fast_lane:
        option.markexpr = " and ".join(f"not {marker}" for marker in LEFT_OUT)
        if getattr(option, "dist", "no") == "loadgroup":
            # No group is left in it. One by one, which groups need, thousands cost much more.
            option.dist = "worksteal"


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """A worker of xdist is about to start."""
    node.workerinput[FAST] = node.config.option.fast_lane


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    for item in items:
        slow = any(item.get_closest_marker(marker) for marker in LEFT_OUT)
        if slow and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    if items:
        items[0].config.stash[COUNT] += len(items)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput[FAST] = session.config.stash[COUNT]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """It has ended; each had the same tests to choose from."""
    count = getattr(node, "workeroutput", {}).get(FAST, 0)
    node.config.stash[COUNT] = max(node.config.stash[COUNT], count)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if config.option.second_chance:
        for report in terminalreporter.getreports("passed"):
            terminalreporter.write_line(f"Needed a second chance: {report.nodeid}", yellow=True)
    if config.option.fast_lane and (count := config.stash[COUNT]):
        *first, last = LEFT_OUT.values()
        terminalreporter.write_line(
            f"Left out: {count} tests that need {', '.join(first)} or {last}."
            " Everything: ./autotune test --all",
            yellow=True,
        )

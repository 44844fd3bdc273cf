"""Which tests a run takes, and how long each may; a pytest plugin (``addopts`` in pyproject.toml).

Where nothing is named, the fast lane: whatever needs no second program and no long time. It
says at its end what it left out. ``--all`` takes everything; a path, -k, -m or --last-failed takes
what it names. ``--second-chance`` is for CI: see ``.ci/run``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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

# Folders whose quick tests must reach the pure packages' lines: coverage, which nearly doubles what
# a test takes, looks at no others.
MEASURED = ("algorithms", "charts", "engine", "kube", "loop", "manifest", "training")

# The groups that xdist keeps together and that take longest, in the order in which they begin.
LONG_GROUPS = (
    *("cluster-jobs", "browser", "pages", "services", "live-charts", "cluster-objects"),
    *("algorithms", "install", "bad-input", "shell"),
)

FAST = "fast_lane"
COUNT = pytest.StashKey[int]()
MEASURES = pytest.StashKey[bool]()  # whether coverage is on; it is when a process starts


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
        # No group is left in it, and to deal out tests one by one costs much with thousands.
        if getattr(option, "dist", "no") == "loadgroup":
            option.dist = "worksteal"
        option.loadgroup = False  # of a worker, which reads the user's arguments again
    option.loadscopereorder = False  # the order is that of _turn


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """A worker of xdist is about to start."""
    node.workerinput[FAST] = node.config.option.fast_lane


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Iterator[None]:
    is_grouped = getattr(config.option, "loadgroup", False)
    for item in items:
        slow = _is_slow(item)
        if slow and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))
        if is_grouped and not slow and not item.get_closest_marker("xdist_group"):
            # xdist deals out group by group, and what it does for each grows with their number.
            item.add_marker(pytest.mark.xdist_group(str(item.path.relative_to(config.rootpath))))
    yield
    if is_grouped:
        items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    """What takes long begins first, so that all workers end at about one time."""
    group = item.get_closest_marker("xdist_group")
    if group is not None and group.args[0] in LONG_GROUPS:
        return LONG_GROUPS.index(group.args[0])
    return len(LONG_GROUPS) + (not _is_slow(item))


def _is_slow(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(marker) for marker in LEFT_OUT)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Take off the group that xdist hangs on: it is no part of the name that ran, or may again."""
    dealt_out = hasattr(report, "node")  # here, where workers send their reports
    if dealt_out and report.nodeid.rfind("@") > max(
        report.nodeid.rfind("]"), report.nodeid.rfind("::")
    ):
        report.nodeid = report.nodeid.rpartition("@")[0]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Let coverage look at the tests of MEASURED."""
    plugin = item.config.pluginmanager.getplugin("_cov")
    controller = getattr(plugin, "cov_controller", None)
    if controller is not None and controller.cov is not None:
        measure(controller.cov, item)
    return (yield)


def measure(coverage: Any, item: pytest.Item) -> None:
    place = item.path.relative_to(item.config.rootpath).parts
    wanted = place[1] in MEASURED and not item.get_closest_marker("long")
    if wanted is not item.config.stash.get(MEASURES, True):
        (coverage.start if wanted else coverage.stop)()
        item.config.stash[MEASURES] = wanted


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

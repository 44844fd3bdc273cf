"""A real Chromium and a running product, shared by the browser tests of one worker.

Tests of one xdist group share them: "browser", "pages" and "live-charts" are three of about one
length, so that no worker is busy with them long after the others have ended.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.e2e.stack import Stack, running_stack
from tests.groups import need

expect.set_options(timeout=30_000)  # a shared machine may be slow; waiting costs nothing

CHROMIUM_ARGUMENTS = [
    "--no-sandbox",  # CI and containers run as root
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    need("browser", program is not None, "Chromium (Debian: chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=CHROMIUM_ARGUMENTS, chromium_sandbox=False
        )
        loop = asyncio._get_running_loop()
        yield browser
        asyncio._set_running_loop(loop)  # the last test may be one that it is kept from
        browser.close()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("stack"), "--no-sample") as stack:
        yield stack


@pytest.fixture(scope="session")
def signed_in(chromium: Browser, stack: Stack) -> Any:
    """Cookies of somebody who opened the one-time link."""
    context = chromium.new_context()
    page = context.new_page()
    page.goto(stack.link)
    page.wait_for_url(stack.url + "/")
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def context(chromium: Browser, stack: Stack, signed_in: Any) -> Iterator[BrowserContext]:
    context = chromium.new_context(
        storage_state=signed_in, base_url=stack.url, viewport={"width": 1280, "height": 900}
    )
    context.set_default_timeout(60_000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page of a signed-in person; any error on its console fails the test."""
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "console",
        lambda message: errors.append(message.text) if message.type == "error" else None,
    )
    page.console_errors = errors  # type: ignore[attr-defined]
    yield page
    assert errors == []

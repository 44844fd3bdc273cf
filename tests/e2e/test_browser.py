"""What a person does in the browser, in a real one, against the running product."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.stack import ROOT, TRIAL_SCRIPT, Stack

pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.xdist_group("browser")]

CHART_POINTS = """kind => {
    const chart = document.querySelector(`[data-testid=chart-${kind}] .js-plotly-plot`)
        || document.querySelector(`[data-testid=chart-${kind}].js-plotly-plot`);
    if (!chart) return 0;
    return chart.data.reduce((n, t) => n + (t.y || []).filter(y => y !== null).length, 0);
}"""


def wait_for_points(page: Page, chart: str, n_points: int) -> int:
    """Wait until a chart shows so many points; polled from here, since the page forbids eval."""
    for _ in range(600):
        shown = int(page.evaluate(CHART_POINTS, chart))
        if shown >= n_points:
            return shown
        page.wait_for_timeout(100)
    raise AssertionError(f"{chart}: waited 60 s for {n_points} points, last saw {shown}")


def fill_form(page: Page, *, name: str, n_trials: int, arguments: list[str]) -> None:
    """Fill the new-experiment form by hand, as a newcomer would."""
    page.goto("/experiments/new/")
    page.get_by_test_id("name").fill(name)
    page.get_by_test_id("max-trials").fill(str(n_trials))
    page.get_by_test_id("concurrency").fill("2")
    page.get_by_test_id("row-0-name").fill("x")
    page.get_by_test_id("row-0-type").select_option("uniform")
    page.get_by_test_id("row-0-low").fill("-5")
    page.get_by_test_id("row-0-high").fill("5")
    page.get_by_test_id("tuner").select_option("Random")
    page.get_by_label("Working directory").fill(str(TRIAL_SCRIPT.parent))
    page.get_by_test_id("task-0-command").fill(
        "\n".join(["python3", str(TRIAL_SCRIPT), *arguments])
    )


def test_an_experiment_made_by_the_form_moves_live_and_ends_with_its_best(page: Page):
    fill_form(page, name="by-hand", n_trials=5, arguments=["12", "0.15"])
    expect(page.get_by_test_id("yaml")).to_have_value(re.compile("maxTrialNum: 5"))
    expect(page.get_by_test_id("yaml")).to_have_value(re.compile("name: by-hand"))
    page.get_by_test_id("create").click()
    page.wait_for_url(re.compile(r"/experiments/[a-z0-9]{8}/$"))
    page.evaluate("window.neverReloaded = true")
    expect(page.get_by_test_id("phase-badge")).to_contain_text(re.compile("running", re.I))
    expect(page.get_by_test_id("connection-state")).to_contain_text(re.compile("live", re.I))
    expect(page.get_by_test_id("trial-row").first).to_be_visible()
    # points arrive on the chart, one after the other
    seen = wait_for_points(page, "curves", 3)
    wait_for_points(page, "curves", seen + 3)
    expect(page.get_by_test_id("phase-badge")).to_contain_text(
        re.compile("done", re.I), timeout=40_000
    )
    expect(page.get_by_test_id("trial-row")).to_have_count(5)
    expect(page.get_by_test_id("best-value")).to_have_text(re.compile(r"-?\d"))
    best = page.get_by_test_id("best-value").inner_text()
    assert page.evaluate("window.neverReloaded") is True
    page.reload()
    expect(page.get_by_test_id("best-value")).to_have_text(best)
    expect(page.get_by_test_id("trial-row")).to_have_count(5)
    wait_for_points(page, "history", 5)


def test_the_specification_s_manifest_is_pasted_and_accepted(page: Page, stack: Stack):
    text = (ROOT / "examples" / "specification.yaml").read_text()
    page.goto("/experiments/new/")
    page.get_by_test_id("yaml").fill(text)
    expect(page.get_by_test_id("name")).to_have_value("experiment-sample")
    expect(page.get_by_test_id("max-trials")).to_have_value("50")
    expect(page.get_by_test_id("space-row")).to_have_count(2)
    expect(page.get_by_test_id("tuner")).to_have_value("TPE")
    page.get_by_test_id("create").click()
    page.wait_for_url(re.compile(r"/experiments/[a-z0-9]{8}/$"))
    experiment = page.url.rstrip("/").rsplit("/", 1)[1]
    head = stack.experiment(experiment)
    assert (head["max_trials"], head["concurrency"], head["max_exec_seconds"]) == (50, 3, 7200)
    # its working directory is not on this machine: the experiment says so, plainly
    head = stack.wait_for_phase(experiment, "ERROR")
    assert "/mnt/mnist-distributed" in head["message"]
    expect(page.get_by_test_id("experiment-message")).to_contain_text("/mnt/mnist-distributed")


def test_errors_stand_at_their_field_and_their_line(page: Page):
    fill_form(page, name="by-hand", n_trials=5, arguments=[])
    page.get_by_test_id("row-0-low").fill("9")
    page.get_by_test_id("max-trials").fill("-3")
    problems = page.get_by_test_id("problems")
    expect(problems).to_contain_text("maxTrialNum")
    expect(problems).to_contain_text("searchSpace.x")
    expect(page.get_by_test_id("create")).to_be_disabled()
    expect(page.get_by_test_id("max-trials")).to_have_attribute("aria-invalid", "true")
    # mended, they go
    page.get_by_test_id("row-0-low").fill("-5")
    page.get_by_test_id("max-trials").fill("3")
    expect(problems).not_to_contain_text("line")
    expect(page.get_by_test_id("create")).to_be_enabled()


def test_a_wide_form_scrolls_by_itself_and_nothing_lies_below_the_page(page: Page):
    page.goto("/experiments/new/?template=digits-mlp")
    expect(page.get_by_test_id("status")).to_have_text("Ready to run")
    assert page.evaluate("document.documentElement.scrollHeight - innerHeight") == 0
    assert page.evaluate("(() => { const form = document.querySelector('.new-left'); "
                         "return form.scrollHeight - form.clientHeight; })()") > 500  # fmt: skip


def test_earlier_experiments_are_offered_as_the_parameters_are_named(page: Page, stack: Stack):
    earlier = stack.create(name="earlier", maxTrialNum=3)
    stack.wait_for_phase(earlier, "DONE")
    page.goto("/experiments/new/")
    page.locator("#earlier > summary").click()
    offers = page.get_by_test_id("warm-start")
    expect(offers).to_contain_text("No earlier experiment")
    page.locator('[data-field="space.0.name"]').fill("x")
    expect(offers.get_by_label("earlier")).to_be_visible()
    offers.get_by_label("earlier").check()
    expect(page.get_by_test_id("yaml")).to_have_value(re.compile(f"warmStart:(.|\n)*{earlier}"))


def test_a_broken_manifest_locks_the_form_and_loses_nothing(page: Page):
    fill_form(page, name="by-hand", n_trials=5, arguments=[])
    expect(page.get_by_test_id("yaml")).to_have_value(re.compile("name: by-hand"))
    good = page.get_by_test_id("yaml").input_value()
    page.get_by_test_id("yaml").fill(good + "\n\tbroken: [")
    expect(page.locator("#form-locked")).to_be_visible()
    expect(page.get_by_test_id("problems")).to_contain_text(re.compile("tab", re.I))
    page.get_by_test_id("yaml").fill(good.replace("by-hand", "by-text"))
    expect(page.locator("#form-locked")).to_be_hidden()
    expect(page.get_by_test_id("name")).to_have_value("by-text")


def test_limits_are_edited_in_place_and_a_bad_one_is_said_at_its_field(page: Page, stack: Stack):
    experiment = stack.create(name="limits", maxTrialNum=2, arguments=[200, 0.1])
    page.goto(f"/experiments/{experiment}/")
    field = page.get_by_test_id("limit-max_trials")
    expect(field).to_have_value("2")
    field.fill("0")
    page.get_by_test_id("limits-save").click()
    expect(page.get_by_test_id("limit-error-max_trials")).to_contain_text("1")
    field.fill("3")
    page.get_by_test_id("limits-save").click()
    expect(page.get_by_test_id("limit-error-max_trials")).to_be_empty()
    for _ in range(100):
        if stack.experiment(experiment)["max_trials"] == 3:
            break
        page.wait_for_timeout(50)
    assert stack.experiment(experiment)["max_trials"] == 3
    field.fill("")
    page.get_by_test_id("limits-save").click()
    expect(page.locator("#trials-text")).to_have_text(re.compile(r"^\d+ finished$"))
    assert stack.experiment(experiment)["max_trials"] is None
    page.console_errors.clear()  # the refused save is a 400, which the browser logs
    stack.api("POST", f"experiments/{experiment}/finish/")


def test_a_failed_trial_says_why_and_shows_its_log(page: Page, stack: Stack):
    experiment = stack.create(name="crash", maxTrialNum=1, arguments=[1, 0, "crash"])
    stack.wait_for_phase(experiment, "DONE")
    page.goto(f"/experiments/{experiment}/trials/0/")
    expect(page.get_by_test_id("trial-state")).to_contain_text(re.compile("failed", re.I))
    expect(page.get_by_test_id("trial-reason")).to_contain_text("1")
    expect(page.get_by_test_id("log")).to_contain_text("the trial crashed on purpose")


def test_what_a_manifest_or_a_log_says_is_shown_as_text_only(page: Page, stack: Stack):
    evil = "<img src=x onerror=window.hacked=1>"
    experiment = stack.create(
        name="evil",
        maxTrialNum=1,
        searchSpace={
            "x": {"_type": "choice", "_value": [1.0]},
            evil: {"_type": "choice", "_value": [evil]},
        },
        arguments=[2, 0.01],
    )
    stack.wait_for_phase(experiment, "DONE")
    stack.api("PATCH", f"experiments/{experiment}/", {"notes": evil})
    for path in (f"/experiments/{experiment}/", f"/experiments/{experiment}/trials/0/", "/"):
        page.goto(path)
        page.wait_for_timeout(500)
        assert page.evaluate("window.hacked") is None
        assert page.locator("img[src=x]").count() == 0
    page.goto(f"/experiments/{experiment}/trials/0/")
    expect(page.locator("body")).to_contain_text(evil)


def test_the_socket_s_state_is_visible_and_the_page_catches_up(chromium: Browser, tmp_path: Path):
    """A server of its own, since it is taken down under the page."""
    stack = Stack(tmp_path / "data").start("--no-sample")
    try:
        context = chromium.new_context(base_url=stack.url)
        context.set_default_timeout(60_000)
        page = context.new_page()
        page.goto(stack.link)
        page.wait_for_url(stack.url + "/")
        experiment = stack.create(maxTrialNum=4, arguments=[25, 0.2])
        page.goto(f"/experiments/{experiment}/")
        expect(page.get_by_test_id("connection-state")).to_contain_text(re.compile("live", re.I))
        stack.kill()
        expect(page.get_by_test_id("connection-state")).to_contain_text(
            re.compile("reconnecting|offline", re.I)
        )
        stack.start("--no-sample")
        expect(page.get_by_test_id("connection-state")).to_contain_text(
            re.compile("live", re.I), timeout=40_000
        )
        expect(page.get_by_test_id("phase-badge")).to_contain_text(
            re.compile("done", re.I), timeout=60_000
        )
        assert {trial["state"] for trial in stack.trials(experiment)} == {"SUCCEEDED"}
        context.close()
    finally:
        stack.stop()
        stack.end_trials()


@pytest.mark.parametrize("path", ["/", "/experiments/new/", "/experiments/a2345678/", "/tokens/"])
def test_a_stranger_is_sent_to_sign_in(chromium: Browser, stack: Stack, path: str):
    context = chromium.new_context(base_url=stack.url)
    page = context.new_page()
    page.goto(path)
    assert "/sign-in/" in page.url
    context.close()


def test_the_sign_in_link_works_once(chromium: Browser, stack: Stack, signed_in: Any):
    context = chromium.new_context(base_url=stack.url)
    page = context.new_page()
    page.goto(stack.link)  # whoever signed_in is has used it
    expect(page.locator("body")).to_contain_text(re.compile("no longer works", re.I))
    page.goto("/")
    assert "/sign-in/" in page.url
    context.close()


def test_the_routes_of_rest_follow_the_theme(page: Page):
    page.emulate_media(color_scheme="dark")
    page.goto("/api/docs/")
    expect(page.locator(".swagger-ui .opblock-summary").first).to_be_visible()
    root, path = page.locator("html"), page.locator(".swagger-ui .opblock-summary-path").first
    expect(root).to_have_class("dark-mode")
    expect(path).to_have_css("color", "rgb(228, 230, 230)")
    page.emulate_media(color_scheme="light")
    expect(root).not_to_have_class("dark-mode")
    expect(path).to_have_css("color", "rgb(59, 65, 81)")


@pytest.mark.parametrize("width", [1440, 1280, 390])
def test_no_page_scrolls_sideways(page: Page, stack: Stack, width: int):
    experiment = stack.create(name="narrow", maxTrialNum=2)
    stack.wait_for_phase(experiment, "DONE")
    page.set_viewport_size({"width": width, "height": 900})
    for path in (
        "/",
        "/experiments/new/",
        f"/experiments/{experiment}/",
        f"/experiments/{experiment}/trials/0/",
        "/tokens/",
    ):
        page.goto(path)
        page.wait_for_timeout(400)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        expect(page.get_by_role("button", name="Account")).to_be_in_viewport(ratio=1)

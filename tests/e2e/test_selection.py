"""One selection in the browser: filter, ticks and brushes; views; the table by keyboard."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.e2e.stack import Stack, manage
from tests.e2e.test_detail_pages import forget_refusals, numbers

pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.xdist_group("browser")]

SIZE = 60


@pytest.fixture(scope="module")
def made(stack: Stack) -> str:
    """An ended experiment with nested parameters, failures and trials that were stopped early."""
    answer = manage(
        stack.data, "generate", "--space", "nested", "--trials", str(SIZE), "--points", "5",
        "--failed", "0.1", "--name", "made",
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    return str(answer.stdout.split()[-1])


def address(page: Page) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def drawn(page: Page, kind: str) -> None:
    expect(page.get_by_test_id(f"chart-{kind}")).to_have_attribute("data-drawn", re.compile("."))


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, steps=3)
    page.mouse.move(*end, steps=3)
    page.mouse.up()


def selected(page: Page) -> int:
    """The number that the bar says, once it says one."""
    expect(page.locator("#selection-count")).to_have_text(
        re.compile(rf"\d+ of {SIZE} trials selected")
    )
    return int(page.locator("#selection-count").inner_text().split()[0])


def test_a_condition_made_by_hand_filters_table_charts_and_files(
    page: Page, context: BrowserContext, stack: Stack, made: str
):
    page.goto(f"/experiments/{made}/?chart=history")
    drawn(page, "history")
    page.get_by_test_id("add-condition").click()
    page.get_by_test_id("condition-name").select_option("param:optimizer")
    page.get_by_label("adam").check()
    with page.expect_response(re.compile(r"/charts/history/\?.*where=")) as asked:
        page.get_by_test_id("condition-submit").click()
    assert asked.value.ok
    expect(page.get_by_test_id("trial-filter")).to_have_value('param:optimizer = "adam"')
    # its column can be filtered by, too; a wrong number is said beside its field
    page.locator("#trial-head [data-asks=value]").click()
    expect(page.get_by_test_id("condition-name")).to_have_value("value")
    page.locator("#condition-low").fill("a lot")
    page.get_by_test_id("condition-submit").click()
    expect(page.locator("#condition-error")).to_contain_text("a lot")
    page.locator("#condition-low").fill("0")
    page.get_by_test_id("condition-submit").click()
    where = 'param:optimizer = "adam" and value >= 0'
    expect(page.get_by_test_id("trial-filter")).to_have_value(where)
    assert address(page) == {"chart": "history", "where": where}
    expect(page.locator("#conditions li")).to_have_count(2)
    status, answer = stack.api("GET", f"experiments/{made}/trials/?page_size=200")
    expected = [
        t["number"] for t in answer["results"]
        if t["parameters"]["optimizer"]["_name"] == "adam" and (t["value"] or -1) >= 0
    ]  # fmt: skip
    assert status == 200
    expect(page.get_by_test_id("trial-row")).to_have_count(len(expected))
    assert selected(page) == len(expected)
    with page.expect_download() as download:
        page.locator("[data-export=csv]").click()
    text = download.value.path().read_text()
    assert [int(line.split(",")[0]) for line in text.splitlines()[1:]] == expected
    # a colleague's link shows the same
    other = context.new_page()
    other.goto(page.url)
    expect(other.get_by_test_id("trial-row")).to_have_count(len(expected))
    assert selected(other) == len(expected)
    # one condition less, and then none
    page.get_by_label("Take away the condition value >= 0").click()
    expect(page.get_by_test_id("trial-filter")).to_have_value('param:optimizer = "adam"')
    page.locator("h1").click()
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("selection-bar")).to_be_hidden()
    expect(page.get_by_test_id("trial-row")).to_have_count(50)
    assert "where" not in page.url


def test_a_box_in_a_chart_and_a_range_of_an_axis_are_conditions(page: Page, made: str):
    page.goto(f"/experiments/{made}/?chart=history")
    drawn(page, "history")
    page.get_by_test_id("drag-select").click()
    plot = page.locator("[data-testid=chart-history] .nsewdrag").bounding_box()
    assert plot is not None
    left, top = plot["x"], plot["y"]
    drag(page, (left + 0.3 * plot["width"], top + 1), (left + 0.6 * plot["width"], top + 60))
    field = page.get_by_test_id("trial-filter")
    expect(field).to_have_value(
        re.compile(r"^number >= \d+ and number <= \d+ and value >= [\d.]+$")
    )
    chosen = selected(page)
    assert 0 < chosen < SIZE
    assert address(page)["drag"] == "select"
    page.locator("#chart-tabs [data-view=parcoords]").click()
    drawn(page, "parcoords")
    page.get_by_test_id("chart-parcoords").scroll_into_view_if_needed()
    axis = page.get_by_test_id("chart-parcoords").bounding_box()
    assert axis is not None
    x = axis["x"] + min(64, 0.11 * axis["width"])  # the first axis: the value
    drag(page, (x, axis["y"] + 100), (x, axis["y"] + axis["height"] - 1))
    expect(field).to_have_value(re.compile(r"value <= [\d.]+$"))
    expect(page.locator("#selection-count")).not_to_have_text(re.compile(f"^{chosen} "))
    assert selected(page) < chosen


def test_ticks_are_the_selection_while_there_are_any(page: Page, made: str):
    page.goto(f"/experiments/{made}/?chart=history&where=number+>+40")
    drawn(page, "history")
    expect(page.get_by_test_id("trial-row")).to_have_count(SIZE - 41)
    assert selected(page) == SIZE - 41
    with page.expect_response(re.compile(r"/charts/history/\?ticked=59$")):
        page.get_by_label("Select trial 59", exact=True).check()
    page.get_by_label("Select trial 57", exact=True).check()
    assert selected(page) == 2
    page.get_by_test_id("selection-only").click()
    expect(page.get_by_test_id("trial-filter")).to_have_value("number in (57,59)")
    expect(page.get_by_test_id("trial-row")).to_have_count(2)
    page.get_by_test_id("selection-compare").click()  # so few can be compared as they are
    page.wait_for_url(re.compile(r"/compare/\?trials=57,59$"))


def test_who_ticks_a_whole_page_is_offered_all_pages(page: Page, made: str):
    """Ticking "all" of a long table chose the fifty of its page, and the rest seemed done too."""
    page.goto(f"/experiments/{made}/?chart=history&where=number+>+4")
    rows = page.get_by_test_id("trial-row")
    expect(rows).to_have_count(50)
    every = page.get_by_test_id("selection-every")
    expect(every).to_be_hidden()
    page.get_by_label("Select all trials of this page").check()
    assert selected(page) == 50
    expect(every).to_have_text(f"All {SIZE - 5}")
    rows.first.get_by_role("checkbox").uncheck()
    expect(every).to_be_hidden()
    rows.first.get_by_role("checkbox").check()
    every.click()
    assert selected(page) == SIZE - 5
    expect(every).to_be_hidden()
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("selection-bar")).to_be_hidden()
    page.get_by_label("Select all trials of this page").check()
    every.click()  # without a filter: one that lets all through
    assert selected(page) == SIZE


def test_the_selection_is_left_out_with_a_reason_and_taken_back(
    page: Page, stack: Stack, made: str
):
    page.goto(f"/experiments/{made}/?ticked=3-5")
    assert selected(page) == 3
    page.get_by_test_id("selection-actions").click()
    page.locator("[data-many=exclude]").click()
    expect(page.get_by_test_id("exclude-dialog")).to_contain_text("Exclude 3 trials from")
    page.get_by_test_id("exclude-reason").fill("wrong data")
    page.get_by_test_id("exclude-submit").click()
    expect(page.locator("#toasts")).to_contain_text("3 trials are excluded from the results.")

    def left_out() -> list[int]:
        _status, answer = stack.api("GET", f"experiments/{made}/trials/?where=excluded=true")
        return [trial["number"] for trial in answer["results"]]

    assert left_out() == [3, 4, 5]
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#toasts")).to_contain_text("3 trials count again.")
    assert left_out() == []


def test_a_view_is_saved_opened_renamed_and_deleted(page: Page, made: str):
    query = "chart=slice&columns=duration&order=-value&state=FAILED&size=25"
    page.goto(f"/experiments/{made}/?{query}")
    page.get_by_test_id("views").click()
    page.get_by_test_id("view-save").click()
    page.get_by_test_id("view-name").fill("what failed")
    page.keyboard.press("Enter")
    expect(page.locator("#views-list")).to_contain_text("what failed")
    page.goto(f"/experiments/{made}/")
    page.get_by_test_id("views").click()
    page.get_by_role("link", name="what failed").click()
    expect(page.get_by_test_id("trial-row")).to_have_count(SIZE // 10)
    assert address(page) == {k: v[0] for k, v in parse_qs(query).items()}
    expect(page.locator("figure[data-kind=slice]")).to_be_visible()
    page.get_by_test_id("views").click()
    page.get_by_label("Rename: what failed").click()
    page.get_by_test_id("view-name").fill("failures")
    page.get_by_test_id("view-submit").click()
    expect(page.locator("#views-list")).to_contain_text("failures")
    page.reload()
    page.get_by_test_id("views").click()
    page.get_by_label("Delete: failures").click()
    page.locator("#confirm-dialog [data-confirm]").click()
    expect(page.locator("#views-list")).to_contain_text("None yet")


def test_the_table_by_keyboard_alone(page: Page, made: str):
    page.goto(f"/experiments/{made}/?size=25")
    expect(page.get_by_test_id("trial-row")).to_have_count(25)
    page.keyboard.press("?")
    expect(page.get_by_test_id("keys-dialog")).to_contain_text("compare the selected trials")
    page.keyboard.press("j")  # behind the dialog: nothing
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("keys-dialog")).to_be_hidden()
    for key in "jjxjx":
        page.keyboard.press(key)
    expect(page.locator("tr:focus-within")).to_have_attribute("data-number", str(SIZE - 3))
    assert selected(page) == 2
    page.keyboard.press("k")
    expect(page.locator("tr:focus-within")).to_have_attribute("data-number", str(SIZE - 2))
    page.keyboard.press("n")
    expect(page.locator("#pager-pages")).to_have_text("page 2 of 3")
    page.keyboard.press("/")
    page.keyboard.type("jkxcen?")  # typed, not done
    expect(page.get_by_test_id("trial-filter")).to_have_value("jkxcen?")
    expect(page.locator("#where-error")).to_contain_text("jkxcen?")
    page.get_by_test_id("trial-filter").fill("")
    expect(page.locator("#pager-pages")).to_have_text("page 1 of 3")  # read anew
    page.locator("h1").click()
    for key in "je":
        page.keyboard.press(key)
    page.get_by_test_id("exclude-reason").fill("odd")
    page.keyboard.press("Enter")
    expect(page.locator("tr.is-excluded:focus-within")).to_have_count(1)
    page.keyboard.press("e")
    expect(page.locator("tr:focus-within:not(.is-excluded)")).to_have_count(1)
    expect(page.locator("tr.is-excluded")).to_have_count(0)
    page.keyboard.press("c")
    page.wait_for_url(re.compile(rf"/compare/\?trials={SIZE - 3},{SIZE - 2}$"))
    forget_refusals(page)


def test_the_focus_outlives_what_is_drawn_anew(page: Page, made: str):
    """A button that is gone, another order, another page, a condition."""
    page.goto(f"/experiments/{made}/?size=25")
    rows = page.get_by_test_id("trial-row")
    expect(rows).to_have_count(25)
    number = rows.nth(2).get_attribute("data-number")
    row = page.locator(f"tr[data-number='{number}']")
    row.locator("[data-row-action=exclude]").focus()
    page.keyboard.press("Enter")
    page.get_by_test_id("exclude-reason").fill("odd")
    page.keyboard.press("Enter")
    expect(row).to_have_class(re.compile("is-excluded"))
    expect(row.locator("a").first).to_be_focused()
    row.locator("[data-row-action=restore]").focus()
    page.keyboard.press("Enter")
    expect(row).not_to_have_class(re.compile("is-excluded"))
    expect(row.locator("a").first).to_be_focused()
    page.keyboard.press("n")
    expect(page.locator("#pager-pages")).to_have_text("page 2 of 3")
    expect(rows.first.locator("a").first).to_be_focused()
    sort = page.locator("#trial-head button.sort", has_text="Value")
    sort.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#trial-head th[aria-sort=descending]")).to_contain_text("Value")
    expect(sort).to_be_focused()
    asks = page.locator("#trial-head [data-asks=value]")
    asks.focus()
    page.keyboard.press("Enter")
    page.locator("#condition-low").fill("0")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("trial-filter")).to_have_value("value >= 0")
    expect(asks).to_be_focused()


def test_any_page_and_trial_can_be_gone_to_and_the_best_stays_in_sight(page: Page, made: str):
    page.goto(f"/experiments/{made}/?size=25&order=number")
    best = page.locator("[data-testid=best-row] .trial-number")
    expect(best).to_be_visible()
    number = best.inner_text()
    go = page.get_by_test_id("go-to")
    go.fill("3")
    go.press("Enter")
    expect(page.locator("#pager-text")).to_have_text(f"51–{SIZE} of {SIZE}")
    go.fill("9")
    go.press("Enter")
    expect(page.locator("#go-error")).to_contain_text("There are 3 pages")
    go.fill("#47")
    go.press("Enter")
    expect(page.locator("tr[data-number='47'] a").first).to_be_focused()
    assert numbers(page)[0] == "25"
    go.fill("#4700")
    go.press("Enter")
    expect(page.locator("#go-error")).to_contain_text("4700")
    page.get_by_test_id("page-size").select_option("100")
    expect(page.get_by_test_id("trial-row")).to_have_count(SIZE)
    page.locator("#trial-head button", has_text="Value").click()
    expect(page.get_by_test_id("trial-row").first).to_have_attribute("data-number", number)
    expect(page.get_by_test_id("best-row")).to_be_hidden()  # the first one anyway
    forget_refusals(page)


def test_a_phone_shows_value_and_actions_first(page: Page, made: str):
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"/experiments/{made}/")
    row = page.get_by_test_id("trial-row").first
    expect(row).to_be_visible()
    row.scroll_into_view_if_needed()
    for cell in (row.locator("td.num.value, td.num.muted").first, row.locator(".row-actions")):
        box = cell.bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= 390
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_many_trials_of_ones_own_from_csv(page: Page, stack: Stack):
    """What does not fit is named by its row."""
    experiment = stack.create(name="mine", maxTrialNum=1, arguments=[1, 0])
    stack.wait_for_phase(experiment, "DONE")
    page.goto(f"/experiments/{experiment}/")
    expect(page.get_by_test_id("trial-row")).to_have_count(1)
    page.get_by_test_id("add-trial").click()
    page.get_by_test_id("custom-many").click()
    page.get_by_test_id("many-text").fill("x,kind\n1,a\n77,b\n")
    page.get_by_test_id("many-submit").click()
    expect(page.locator("#many-problems")).to_contain_text("row 2.x")
    page.get_by_test_id("many-text").fill('[{"x": 1, "kind": "a"}, {"x": 2, "kind": "b"}]')
    page.get_by_test_id("many-submit").click()
    expect(page.locator("#toasts")).to_contain_text("2 trials were added.")
    expect(page.get_by_test_id("trial-row")).to_have_count(3)
    forget_refusals(page)

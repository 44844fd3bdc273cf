"""A chart drawn in pieces lies where one lies that is drawn in one go: legends and long words may
ask for room in the middle of it."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

import autotune_client as at
from tests.e2e.stack import Stack, manage

pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.xdist_group("live-charts")]

# Every step of a drawing takes longer than the page is to wait.
SLOW = """
const now = performance.now.bind(performance);
let late = 0;
performance.now = () => now() + (late += 30);
"""
# Where all parts are that can be seen, from the figure's corner; then drawn again, in one go.
MOVED = """async (root) => {
  const places = () => [...root.querySelectorAll("svg *, canvas")]
    .filter((part) => !part.closest("defs, .modebar, .hoverlayer"))
    .map((part) => {
      const { x, y, right, bottom } = part.getBoundingClientRect();
      const corner = root.getBoundingClientRect();
      const name = `${part.tagName}.${part.getAttribute("class")}`;
      return [name, x - corner.x, y - corner.y, right - corner.x, bottom - corner.y];
    });
  // whose card has changed its size meanwhile is drawn anew by the page, soon
  const fits = ({ width, height }) =>
    Math.abs(width - root.clientWidth) <= 1 && Math.abs(height - root.clientHeight) <= 1;
  for (const until = Date.now() + 5000; !fits(root._fullLayout) && Date.now() < until; )
    await new Promise((resolve) => setTimeout(resolve, 50));
  const [first, pushed] = [places(), { ...root._fullLayout._size }];
  await Plotly.redraw(root);
  const again = places();
  const margin = root.layout.margin ?? {};
  return {
    isPushed: ["t", "b", "l", "r"].some((side) => pushed[side] > (margin[side] ?? 0) + 2),
    moved: again.length !== first.length ? [`${first.length} parts, then ${again.length}`]
      : again.filter((place, at) => place.some((value, i) =>
          i ? Math.abs(value - first[at][i]) > 0.5 : value !== first[at][0]))
        .map((place) => place.join(" ")),
  };
}"""
PUSHED = ("history", "curves", "slots", "cost")  # by their keys, where there are many lines
DRAWN = ".chart-plot[data-drawn]"
OWN: dict[str, Any] = {
    "data": [
        {
            "type": "heatmap",
            "x": ["gradient accumulation", "mixed precision"],
            "y": ["a long name of a layer", "another one"],
            "z": [[1, 2], [3, 4]],
            "colorbar": {"title": {"text": "seconds an epoch"}},
        },
        {"x": ["gradient accumulation"], "y": ["another one"], "name": "what was taken at last"},
    ],
    "layout": {"showlegend": True, "legend": {"orientation": "h", "y": 1.1, "yanchor": "bottom"}},
}


@pytest.fixture(scope="module")
def made(stack: Stack) -> str:
    answer = manage(
        stack.data, "generate", "--space", "nested", "--trials", "120", "--points", "10",
        "--retried", "0.3", "--excluded", "0.02", "--name", "first drawings",
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    experiment = str(answer.stdout.split()[-1])
    at.Client(stack.url, stack.token).get(experiment).keep_figure("own", OWN)
    return experiment


@pytest.mark.parametrize("width", [1440, 390])
def test_what_asked_for_room_in_the_middle_of_a_drawing_has_got_it(
    page: Page, made: str, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.add_init_script(SLOW)
    page.goto(f"/experiments/{made}/?chart={PUSHED[0]}")  # and not four of them at once
    pushed = []
    for kind in PUSHED:
        card = page.locator(f"figure[data-kind={kind}]")
        tab = page.locator(f"#chart-tabs [data-view={kind}]")
        tab.click()
        expect(card.locator(DRAWN)).to_be_visible()
        found = card.locator(DRAWN).evaluate(MOVED)
        assert found["moved"] == [], kind
        pushed += [kind] * found["isPushed"]
    assert pushed  # else this says nothing of them
    own = page.locator("figure[data-chart=own]")
    own.scroll_into_view_if_needed()
    expect(own.locator(DRAWN)).to_be_visible()
    found = own.locator(DRAWN).evaluate(MOVED)
    assert found == {"moved": [], "isPushed": True}

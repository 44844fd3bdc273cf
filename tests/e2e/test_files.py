"""A trial attaches a picture while somebody looks: it is on the page, and can be deleted there."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.base_manifest import base_manifest
from tests.e2e.stack import Stack, wait_for

pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.xdist_group("browser")]

# A picture of 64 x 48 grey points, made with the standard library.
CODE = """
import pathlib, struct, sys, time, zlib
import autotune_trial
while not pathlib.Path(sys.argv[1]).exists():
    time.sleep(0.1)
chunk = lambda kind, data: (struct.pack(">I", len(data)) + kind + data
                            + struct.pack(">I", zlib.crc32(kind + data)))
rows = b"".join(b"\\0" + bytes((x * 4 + y) % 256 for x in range(64)) for y in range(48))
pathlib.Path("map.png").write_bytes(
    b"\\x89PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 48, 8, 0, 0, 0, 0))
    + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
pathlib.Path("page.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
autotune_trial.attach("map.png")
autotune_trial.attach("page.svg", "图 <b>.svg")
autotune_trial.report_final(0.5)
"""


def test_a_picture_comes_while_one_looks(stack: Stack, page: Page, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    wanted = base_manifest("files", ["python3", "-c", CODE, str(gate)], maxTrialNum=1)
    status, made = stack.api("POST", "experiments/", wanted)
    assert status == 201, made
    path = f"experiments/{made['id']}/trials/0/"
    wait_for("the trial", lambda: stack.api("GET", path)[1].get("state") == "RUNNING")
    page.goto(f"/{path}")
    files = page.get_by_test_id("files")
    expect(files).to_be_hidden()
    expect(page.get_by_test_id("connection-state")).to_have_text("live")
    gate.touch()
    picture = files.get_by_role("img", name="map.png")
    expect(picture).to_be_visible()
    wait_for("its points", lambda: picture.evaluate("image => image.naturalWidth") == 64)
    expect(files.get_by_role("link", name="图 <b>.svg", exact=True)).to_be_visible()
    with page.expect_download() as started:
        files.get_by_role("link", name="图 <b>.svg", exact=True).click()
    assert Path(started.value.path()).read_text().startswith("<svg")
    files.get_by_role("button", name="Delete map.png").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(picture).to_have_count(0)
    expect(page.get_by_test_id("timeline")).to_contain_text("File deleted")
    page.reload()
    expect(files.get_by_test_id("file")).to_have_count(1)
    stack.api("DELETE", f"experiments/{made['id']}/")

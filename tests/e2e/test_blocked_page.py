"""The page of an experiment of which a cluster takes no job: why, since when, and what to do.

The cluster is an API server that answers everything as one does whose quota is used up.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Browser, expect

from tests.e2e.stack import Stack, manifest, running_stack

pytestmark = [pytest.mark.browser, pytest.mark.stack, pytest.mark.xdist_group("pages")]

WORDS = 'jobs.batch "x" is forbidden: exceeded quota: <b>small</b>'


class Full(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status = {"kind": "Status", "reason": "Forbidden", "message": WORDS, "code": 403}
        body = json.dumps(status).encode()
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(403)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PATCH = do_DELETE = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Stack]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Full)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    where = {"server": f"http://127.0.0.1:{server.server_port}"}
    config = {
        "clusters": [{"name": "c", "cluster": where}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "current-context": "c",
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    env = {"KUBECONFIG": str(path), "AUTOTUNE_TRAINING_ENGINE": "batch"}
    try:
        with running_stack(tmp_path / "data", "--no-sample", **env) as stack:
            yield stack
    finally:
        server.shutdown()
        server.server_close()


def test_it_says_why_nothing_runs_since_when_and_what_to_do(chromium: Browser, full: Stack) -> None:
    given = manifest()
    for task in given["spec"]["trainingConfig"]["tasks"]:
        task["template"]["spec"]["containers"][0]["image"] = "registry.local/x:1"
    status, answer = full.api("POST", "experiments/", given)
    assert status == 201, answer
    context = chromium.new_context()
    page = context.new_page()
    page.goto(full.link)
    row = page.get_by_test_id("blocked")
    expect(row).to_contain_text("A quota of its namespace is used up.")
    page.goto(f"{full.url}/experiments/{answer['id']}/")
    box = page.get_by_test_id("blocked")
    expect(box).to_contain_text("No trial can run. A quota of its namespace is used up. Since ")
    expect(box).to_contain_text("It goes on as soon as enough of it is free")
    expect(box).to_contain_text(WORDS)
    expect(page.get_by_test_id("experiment-message")).not_to_be_visible()  # which says it, too
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="Suspend").click()
    expect(box).not_to_be_visible()
    context.close()

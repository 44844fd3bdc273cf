"""A whole installation that uploads: worker, ticker and page against a server that is AIStore."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import Browser, Page, expect

from tests.aistore.server import KEY, OTHER_KEY, FakeAIStore, Refuse, serve
from tests.e2e.stack import Stack, manage, running_stack, wait_for, write_manifest

pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.xdist_group("pages")]

SHOTS = os.environ.get("AUTOTUNE_TEST_SHOTS", "")  # a directory for pictures of the card


@pytest.fixture(scope="module")
def store() -> Iterator[FakeAIStore]:
    store = FakeAIStore()
    store.folder_id = store.add("/alice/results")  # type: ignore[attr-defined]
    server, store.url = serve(store)  # type: ignore[attr-defined]
    yield store
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def uploading(store: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    data = tmp_path_factory.mktemp("uploading")
    with running_stack(data, "--no-sample", AISTORE_HOST=store.url) as stack:
        yield stack


@pytest.fixture
def card(chromium: Browser, uploading: Stack) -> Iterator[Page]:
    context = chromium.new_context(
        base_url=uploading.url, viewport={"width": 1280, "height": 900}, storage_state=None
    )
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.goto(fresh_link(uploading))
    page.wait_for_url(uploading.url + "/")
    yield page
    context.close()


def fresh_link(stack: Stack) -> str:
    answer = manage(stack.data, "sign_in_link", AUTOTUNE_PUBLIC_URL=stack.url, **stack.env)
    assert answer.returncode == 0, answer.stderr
    return next(word for word in answer.stdout.split() if word.startswith("http"))


def aistore_of(stack: Stack, experiment: str) -> dict[str, Any]:
    return stack.experiment(experiment)["aistore"]


def picture(page: Page, name: str) -> None:
    """Pictures of the card for a person to look at, where a directory is given."""
    if not SHOTS:
        return
    Path(SHOTS).mkdir(parents=True, exist_ok=True)
    for theme in ("light", "dark"):
        page.locator(f"[data-set-theme={theme}]").first.click()
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 900})
            page.get_by_test_id("aistore").scroll_into_view_if_needed()
            page.screenshot(path=f"{SHOTS}/{name}-{theme}-{width}.png")
    page.set_viewport_size({"width": 1280, "height": 900})


def test_an_experiment_uploads_itself_through_trouble_and_nothing_shows_the_key(
    card: Page, uploading: Stack, store: Any
):
    page = card
    status, _ = uploading.api("PUT", "secrets/my-key/", {"value": OTHER_KEY})
    assert status == 201
    experiment = uploading.create(
        name="uploading",
        maxTrialNum=4,
        arguments=[3, 0],
        aistore={"folder": store.folder_id, "secret": "my-key"},
    )
    uploading.wait_for_phase(experiment, "DONE")

    # bob may not write into alice's folder: a person must mend it
    page.goto(f"/experiments/{experiment}/")
    expect(page.get_by_test_id("aistore-state")).to_have_text("Stopped")
    expect(page.get_by_test_id("aistore-error")).to_contain_text("403: permission denied")
    expect(page.get_by_test_id("aistore-text")).to_have_text("0 of 4 runs uploaded")
    expect(page.get_by_test_id("timeline")).to_contain_text("Upload to AIStore failed")
    picture(page, "stopped")

    # the right key, but the storage is down: it will be tried again by itself
    store.fail = lambda method, path: (
        Refuse(500, "storage is down") if (method, path) == ("POST", "/apis/v1/objects") else None
    )
    uploading.api("PUT", "secrets/my-key/", {"value": KEY})
    expect(page.get_by_test_id("aistore-state")).to_have_text("Will be tried again")
    expect(page.get_by_test_id("aistore-error")).to_contain_text("500: storage is down")
    expect(page.get_by_test_id("aistore-error")).to_contain_text("Next try")
    picture(page, "retrying")

    store.fail = lambda method, path: None
    page.get_by_test_id("aistore-retry").click()
    expect(page.get_by_test_id("aistore-state")).to_have_text("Up to date")
    expect(page.get_by_test_id("aistore-text")).to_have_text("4 of 4 runs uploaded")
    expect(page.get_by_test_id("aistore-error")).to_be_hidden()
    expect(page.get_by_test_id("aistore-retry")).to_be_hidden()
    link = page.get_by_test_id("aistore-link").get_attribute("href")
    assert link == aistore_of(uploading, experiment)["url"]
    picture(page, "done")

    (folder,) = store.below("/alice/results")
    assert store.nodes[folder]["description"].startswith("DONE. Best: trial ")
    runs = store.below(folder)
    assert len(runs) == 4
    assert sum("best" in run["labels"] for run in runs.values()) == 1
    for trial in uploading.trials(experiment):
        path = f"{folder}/trial-{trial['number']:04d}-{trial['id']}"
        files = store.objects_of(path)
        assert yaml.safe_load(files["hyperparameters.yaml"]) == trial["parameters"]
        (final,) = yaml.safe_load(files["metrics/test.yaml"])
        assert final["value"]["default"] == trial["value"]
        assert len(yaml.safe_load(files["metrics/val.yaml"])) == trial["n_reports"]
        assert yaml.safe_load(files["metadata.yaml"])["status"] == "Complete"
        assert files["stdout.log"] != b""

    shown = page.content()
    for file in (p for p in uploading.data.rglob("*") if p.is_file()):
        text = file.read_bytes()
        for key in (KEY, OTHER_KEY):
            assert key.encode() not in text, f"{file} holds an API key"
            assert key not in shown


def test_the_command_line_waits_for_what_it_can_upload(store: Any, tmp_path: Path):
    file = write_manifest(
        tmp_path,
        name="by-hand",
        maxTrialNum=2,
        arguments=[1, 0],
        aistore={"folder": store.folder_id, "secret": "my-key"},
    )
    env = {"AISTORE_HOST": store.url}
    data = tmp_path / "data"
    answer = manage(data, "run", str(file), timeout_s=240, **env)
    assert answer.returncode == 0, answer.stderr
    assert "AIStore: 0 of 2 trials are uploaded. There is no secret 'my-key'" in answer.stdout
    set_it = manage(data, "secret", "my-key", stdin=KEY, **env)
    assert "What failed for want of it is tried again." in set_it.stdout, set_it.stderr
    answer = manage(data, "run", str(file), timeout_s=240, **env)
    assert answer.returncode == 0, answer.stderr
    assert "AIStore: 2 of 2 trials are uploaded.\n" in answer.stdout
    assert KEY not in answer.stdout + answer.stderr

    def folders() -> list[str]:
        return [path for path in store.below("/alice/results") if "by-hand" in path]

    # The first experiment's, too, whose secret is set by now: while any server runs, which a run
    # of another experiment does not prolong.
    plain = write_manifest(tmp_path, name="other", maxTrialNum=1, arguments=[1, 0])
    for _ in range(5):
        if len(folders()) == 2:
            break
        assert manage(data, "run", str(plain), timeout_s=240, **env).returncode == 0
    assert len(folders()) == 2


def test_runs_arrive_while_the_experiment_goes_on(card: Page, uploading: Stack, store: Any):
    page = card
    store.fail = lambda method, path: None
    uploading.api("PUT", "secrets/my-key/", {"value": KEY})
    experiment = uploading.create(
        name="alive",
        maxTrialNum=200,
        trialConcurrency=1,
        arguments=[3, 0.1],
        aistore={"folder": store.folder_id, "secret": "my-key"},
    )
    page.goto(f"/experiments/{experiment}/")
    expect(page.get_by_test_id("aistore-link")).to_be_visible()
    wait_for(
        "two runs in AIStore",
        lambda: aistore_of(uploading, experiment)["uploaded"] >= 2,
        timeout_s=90,
    )
    assert uploading.experiment(experiment)["phase"] == "RUNNING"
    expect(page.get_by_test_id("aistore-text")).to_contain_text("runs uploaded")
    picture(page, "running")
    uploading.api("POST", f"experiments/{experiment}/finish/")
    uploading.wait_for_phase(experiment, "DONE")
    wait_for(
        "everything in AIStore",
        lambda: aistore_of(uploading, experiment)["state"] == "done",
        timeout_s=90,
    )
    head = aistore_of(uploading, experiment)
    assert head["uploaded"] == head["runs"] == len(uploading.trials(experiment))

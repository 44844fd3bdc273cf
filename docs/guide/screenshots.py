"""Takes the guide's pictures anew: the running product with experiments that are run or made up.

    python docs/guide/screenshots.py [--only NAME ...] [--language en]

Needs Chromium and the packages of requirements-dev.txt. A real ``autotune up`` on a directory of
its own runs its sample, ``manage generate`` makes the larger experiments, and each page is taken in
both languages to ``docs/guide/pictures/LANGUAGE/NAME.png``. A picture that has not changed keeps
its bytes only where fonts are the same: look at what is new before you commit it.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import yaml
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.base_manifest import base_manifest
from tests.e2e.conftest import CHROMIUM_ARGUMENTS
from tests.e2e.stack import Stack, manage, running_stack, wait_for

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PICTURES = Path(__file__).with_name("pictures")
LOCALES = {"en": "en-US", "zh-hans": "zh-CN"}
LARGEST = 100_000  # bytes of one picture
SLOW = 120_000  # milliseconds
SIZE = {"width": 1120, "height": 720}
TALL = {"width": 1120, "height": 1180}

MADE_UP = (
    ("resnet-lr", "--trials 240 --points 30 --failed 0.05 --stopped 0.25 --seed 3"),
    ("resnet-tpe", "--trials 120 --points 12 --failed 0.02 --seed 12"),
    ("resnet-random", "--trials 120 --points 12 --failed 0.02 --seed 8"),
)  # fmt: skip
# A script that fails as scripts do: with large batches mostly, seldom for another reason.
FAILING = """
import autotune_trial as trial
wanted = trial.get_parameters()
if wanted["batch_size"] >= 256:
    raise MemoryError(f"CUDA out of memory. Tried to allocate {wanted['batch_size'] * 9} MiB")
for step in range(5):
    trial.report(1 / (step + 1) + wanted["lr"], step=step)
if wanted["lr"] > 0.09:
    raise ValueError("loss is NaN at step 5")
trial.report_final(wanted["lr"])
"""
FAILS_OF = {
    "maxTrialNum": 48,
    "trialConcurrency": 4,
    "searchSpace": {
        "lr": {"_type": "uniform", "_value": [0.001, 0.1]},
        "batch_size": {"_type": "choice", "_value": [32, 64, 128, 256, 512]},
    },
    "tuner": {"builtinTunerName": "Random", "classArgs": {"optimize_mode": "minimize"}},
    "breaker": {"alike": 0},
}


class Shots:
    """One language's pages, each ready to be taken."""

    def __init__(self, page: Page, stack: Stack, ids: dict[str, str]) -> None:
        self.page = page
        self.stack = stack
        self.ids = ids

    def _experiment(self, name: str) -> None:
        self.page.goto(f"/experiments/{self.ids[name]}/")
        expect(self.page.get_by_test_id("trial-row").first).to_be_visible(timeout=SLOW)

    def _chart(self, kind: str) -> Locator:
        self._experiment("resnet-lr")
        self.page.locator(f"#chart-tabs [data-view={kind}]").click()
        chart = self.page.locator(f"figure[data-kind={kind}]")
        expect(chart.locator("[data-drawn]")).to_be_visible(timeout=SLOW)
        return chart

    def list(self) -> Page:
        self.page.goto("/")
        return self.page

    def new(self) -> Page:
        self.page.goto("/experiments/new/")
        expect(self.page.locator("#forecast .tiles")).to_be_visible(timeout=SLOW)
        return self.page

    def problems(self) -> Page:
        self.new()
        self.page.get_by_test_id("row-0-low").fill("0")
        self.page.get_by_test_id("max-trials").fill("many")
        expect(self.page.locator(".field-error:visible").first).to_be_visible(timeout=SLOW)
        return self.page

    def watching(self) -> Page:
        self.ids["running"] = running(self.stack)
        self.page.set_viewport_size(TALL)
        self._experiment("running")
        drawn = self.page.locator("[data-testid=chart-curves][data-drawn]")
        expect(drawn).to_be_visible(timeout=SLOW)
        return self.page

    def trial(self) -> Page:
        self.page.goto(f"/experiments/{self.ids['sample']}/trials/0/")
        expect(self.page.get_by_test_id("trial-value")).to_be_visible(timeout=SLOW)
        self.page.wait_for_timeout(1500)
        return self.page

    def importance(self) -> Locator:
        return self._chart("importance")

    def slice(self) -> Locator:
        return self._chart("slice")

    def edf(self) -> Locator:
        return self._chart("edf")

    def failures(self) -> Locator:
        self._experiment("bert-finetune")
        found = self.page.get_by_test_id("failures")
        expect(found).to_be_visible(timeout=SLOW)
        return found

    def stopped(self) -> Page:
        self.page.goto(f"/experiments/{self.ids['sample']}/trials/{self.ids['stopped']}/")
        expect(self.page.get_by_test_id("trial-reason")).to_be_visible(timeout=SLOW)
        self.page.wait_for_timeout(1500)
        return self.page

    def compare_trials(self) -> Page:
        self.page.goto(f"/experiments/{self.ids['sample']}/compare/?trials=0,1,2,3")
        drawn = self.page.locator("[data-testid=chart-overlay][data-drawn]")
        expect(drawn).to_be_visible(timeout=SLOW)
        return self.page

    def compare_experiments(self) -> Page:
        pair = f"{self.ids['resnet-tpe']},{self.ids['resnet-random']}"
        self.page.goto(f"/experiments/compare/?ids={pair}")
        drawn = self.page.locator("[data-testid=chart-edf][data-drawn]")
        expect(drawn).to_be_visible(timeout=SLOW)
        return self.page


NAMES = [name for name in vars(Shots) if not name.startswith("_")]


def made(stack: Stack) -> dict[str, str]:
    """The experiments to look at, by name; and which trial of the sample was stopped early."""
    status, answer = stack.api("GET", "experiments/")
    assert status == 200, answer
    ids = {"sample": str(answer["results"][0]["id"])}
    for name, options in MADE_UP:
        done = manage(stack.data, "generate", "--name", name, *options.split())
        if done.returncode:
            raise SystemExit(done.stderr)
        ids[name] = done.stdout.split()[-1]
    failing = base_manifest("bert-finetune", ["python3", "-c", FAILING], **FAILS_OF)
    status, answer = stack.api("POST", "experiments/", failing)
    assert status == 201, answer
    ids["bert-finetune"] = str(answer["id"])
    stack.wait_for_phase(ids["bert-finetune"], "DONE", timeout_s=900)
    stack.wait_for_phase(ids["sample"], "DONE", "TIMEOUT", timeout_s=900)
    states = {trial["state"]: str(trial["number"]) for trial in stack.trials(ids["sample"])}
    ids["stopped"] = states.get("EARLY_STOPPED", "0")
    return ids


def running(stack: Stack) -> str:
    """The sample once more, as soon as a few of its trials are over."""
    manifest = yaml.safe_load((EXAMPLES / "digits-mlp.yaml").read_text())
    task = manifest["spec"]["trainingConfig"]["tasks"][0]
    task["template"]["spec"]["containers"][0]["workingDir"] = str(EXAMPLES)
    status, answer = stack.api("POST", "experiments/", manifest)
    assert status == 201, answer
    wait_for(
        "six trials of the sample",
        lambda: stack.experiment(answer["id"])["n_finished"] >= 6,
        timeout_s=600,
    )
    return str(answer["id"])


def take(shown: Page | Locator, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    shot = io.BytesIO(shown.screenshot(animations="disabled", caret="hide"))
    with Image.open(shot) as image:  # 256 colours are what pages have
        small = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        small.save(file, optimize=True)
    size = file.stat().st_size
    print(f"{file.relative_to(PICTURES.parent)}: {size // 1000} kB", flush=True)
    if size > LARGEST:
        raise SystemExit(f"{file} has {size} bytes; at most {LARGEST}.")


def photograph(browser: Browser, stack: Stack, languages: list[str], names: list[str]) -> None:
    first = browser.new_context()
    page = first.new_page()
    page.goto(stack.link)
    page.wait_for_url(f"{stack.url}/")
    signed_in = first.storage_state()
    first.close()
    ids = made(stack)
    for language in languages:
        context = browser.new_context(
            base_url=stack.url, viewport=SIZE, locale=LOCALES[language], color_scheme="light",
            reduced_motion="reduce", storage_state=signed_in,
        )  # fmt: skip
        context.set_default_timeout(SLOW)
        shots = Shots(context.new_page(), stack, ids)
        for name in names:
            shot: Callable[[], Page | Locator] = getattr(shots, name)
            shots.page.set_viewport_size(SIZE)
            take(shot(), PICTURES / language / f"{name.replace('_', '-')}.png")
        context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="Takes the pictures of the guide anew.")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--language", nargs="+", choices=LOCALES, default=list(LOCALES))
    asked = parser.parse_args()
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        raise SystemExit("Chromium is needed (Debian: chromium).")
    with (
        tempfile.TemporaryDirectory() as data,
        running_stack(Path(data)) as stack,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path=program, args=CHROMIUM_ARGUMENTS, chromium_sandbox=False
        )
        photograph(browser, stack, asked.language, asked.only)
        browser.close()


if __name__ == "__main__":
    main()

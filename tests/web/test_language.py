"""The language of the pages: the browser's, until somebody chooses one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from experiments.models import Experiment, Trial
from experiments.states import TrialState

CHINESE = {"accept-language": "zh-CN,zh;q=0.9,en;q=0.5"}


def test_a_page_speaks_the_browsers_language(client: Client) -> None:
    page = client.get("/", headers=CHINESE).content.decode()
    assert '<html lang="zh-hans"' in page
    assert "新建实验" in page
    assert "New experiment" not in page
    english = client.get("/").content.decode()
    assert '<html lang="en"' in english
    assert "New experiment" in english


def test_the_choice_is_remembered_and_wins(client: Client) -> None:
    answer = client.post("/language/", {"language": "zh-hans", "next": "/tokens/"})
    assert (answer.status_code, answer["Location"]) == (302, "/tokens/")
    assert "API 令牌" in client.get("/tokens/").content.decode()
    client.post("/language/", {"language": "en", "next": "/"})
    assert "API tokens" in client.get("/tokens/", headers=CHINESE).content.decode()


def test_a_stranger_may_choose_too(stranger: Client) -> None:
    stranger.post("/language/", {"language": "zh-hans", "next": "/sign-in/"})
    page = stranger.get("/sign-in/").content.decode()
    assert "登录" in page
    assert 'value="en"' in page  # the way back, in its own words


@pytest.mark.parametrize("place", ["https://evil.example/", "//evil.example", "javascript:x"])
def test_it_leads_nowhere_else(client: Client, place: str) -> None:
    answer = client.post("/language/", {"language": "zh-hans", "next": place})
    assert answer["Location"] == "/"


@pytest.mark.parametrize("language", ["xx", "", "../../etc", "zh-hans\n"])
def test_an_unknown_language_changes_nothing(client: Client, language: str) -> None:
    client.post("/language/", {"language": language, "next": "/"})
    assert "New experiment" in client.get("/").content.decode()


def test_it_wants_a_form_of_ours() -> None:
    checked = Client(enforce_csrf_checks=True)
    assert checked.post("/language/", {"language": "zh-hans"}).status_code == 403


def test_states_and_scripts_speak_it_too(
    client: Client,
    make_experiment: Callable[..., Experiment],
    make_trial: Callable[..., Trial],
) -> None:
    experiment = make_experiment()
    make_trial(experiment, state=TrialState.SUCCEEDED)
    page = client.get(f"/experiments/{experiment.pk}/", headers=CHINESE).content.decode()
    assert handed(page, "looks")["states"]["SUCCEEDED"]["label"] == "成功"
    words = handed(page, "words")
    assert words["Copied."] == "已复制。"
    assert words["{n} trial is tried again."] == "正在重试 {n} 个试验。"
    english = client.get(f"/experiments/{experiment.pk}/").content.decode()
    assert handed(english, "looks")["states"]["SUCCEEDED"]["label"] == "Succeeded"
    assert 'id="words"' not in english


def test_json_keeps_its_words(client: Client, make_experiment: Callable[..., Experiment]) -> None:
    """What programs read does not depend on who asks."""
    experiment = make_experiment()
    path = f"/api/v1/experiments/{experiment.pk}/"
    assert client.get(path, headers=CHINESE).json() == client.get(path).json()


def handed(page: str, name: str) -> Any:
    found = re.search(rf'<script id="{name}" type="application/json">(.*?)</script>', page)
    assert found
    return json.loads(found[1])


def test_the_form_explains_algorithms_and_types_in_it(client: Client) -> None:
    page = client.get("/experiments/new/", headers=CHINESE).content.decode()
    tuner = next(t for t in handed(page, "catalogue")["tuners"] if t["name"] == "TPE")
    assert tuner["label"] == "树形 Parzen 估计（TPE）"
    settings = {setting["name"]: setting for setting in tuner["settings"]}
    assert settings["prior_weight"]["limits"] == "大于 0，至多 1000000"
    assert settings["n_ei_candidates"]["help"] == "候选抽样数，从中给出最有希望的一个。"
    types = {row["name"]: row["help"] for row in handed(page, "catalogue")["types"]}
    assert types["choice"] == "取列表中的一个值。"
    english = client.get("/experiments/new/").content.decode()
    assert handed(english, "catalogue")["tuners"][0]["label"] == "Auto (recommended)"


def test_charts_speak_it_and_are_kept_apart_by_it(
    client: Client,
    make_experiment: Callable[..., Experiment],
    make_trial: Callable[..., Trial],
) -> None:
    experiment = make_experiment()
    make_trial(experiment, state=TrialState.SUCCEEDED, value=0.5)
    path = f"/api/v1/experiments/{experiment.pk}/charts/history/"
    names = [
        (figure["data"][0]["name"], figure["layout"]["xaxis"]["title"]["text"])
        for figure in (
            client.get(path).json(),
            client.get(path, headers=CHINESE).json(),
            client.get(path).json(),
        )
    ]
    assert names == [("Best so far", "Trial"), ("目前最佳", "试验"), ("Best so far", "Trial")]

"""The OpenAPI schema, its page, and that both tell the truth."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from django.test import Client
from django.utils import timezone
from openapi_spec_validator import validate
from rest_framework.exceptions import ValidationError

from experiments.models import Experiment, Metric, Trial
from experiments.rest import answers
from experiments.rest.errors import handle
from experiments.selectors.present import event_json, experiment_json, metric_json, trial_json
from tests.conftest import MANIFEST


@pytest.mark.long  # spectacular's own check of it stands in the fixture
def test_the_schema_is_valid_openapi(schema: dict[str, Any]) -> None:
    assert schema["openapi"].startswith("3.")
    validate(schema)


def test_the_schema_names_every_contracted_route(schema: dict[str, Any]) -> None:
    one = "/api/v1/experiments/{experiment_id}/"
    trial = one + "trials/{number}/"
    contracted = {
        "/api/v1/notifications/": {"get", "post"},
        "/api/v1/notifications/told/": {"get"},
        "/api/v1/notifications/{channel}/": {"delete"},
        "/api/v1/notifications/{channel}/test/": {"post"},
        "/api/v1/experiments/": {"get", "post"},
        "/api/v1/experiments/validate/": {"post"},
        "/api/v1/experiments/import/": {"post"},
        "/api/v1/experiments/compare/": {"get"},
        "/api/v1/experiments/compare/charts/{kind}/": {"get"},
        "/api/v1/experiments/compare/charts/{kind}/table/": {"get"},
        one: {"get", "patch", "delete"},
        one + "manifest/": {"get"},
        one + "finish/": {"post"},
        one + "clone/": {"post"},
        one + "borrowed/": {"get"},
        one + "ask/": {"post"},
        one + "retry-failed/": {"post"},
        one + "trials/": {"get", "post"},
        one + "trials/many/": {"post"},
        one + "trials/kill/": {"post"},
        one + "trials/retry/": {"post"},
        one + "trials/exclude/": {"post"},
        one + "trials/restore/": {"post"},
        one + "trials/repeat/": {"post"},
        one + "winner/": {"get"},
        one + "figures/": {"get"},
        one + "figures/{name}/": {"get", "put", "delete"},
        one + "figures/{name}/table/": {"get"},
        one + "charts/{kind}/": {"get"},
        one + "charts/{kind}/table/": {"get"},
        one + "compare/curves/table/": {"get"},
        one + "compare/": {"get"},
        one + "compare/curves/": {"get"},
        one + "export/": {"get"},
        one + "events/": {"get"},
        one + "views/": {"get", "post"},
        one + "views/{view}/": {"patch", "delete"},
        trial: {"get", "patch"},
        trial + "kill/": {"post"},
        trial + "retry/": {"post"},
        trial + "exclude/": {"post"},
        trial + "restore/": {"post"},
        trial + "heartbeat/": {"post"},
        trial + "tell/": {"post"},
        trial + "grow/": {"post"},
        trial + "metrics/": {"get"},
        trial + "logged/": {"get"},
        trial + "logs/": {"get"},
        trial + "log/": {"get"},
        trial + "job/": {"get"},
        trial + "command/": {"get"},
        trial + "artifacts/": {"get"},
        trial + "artifacts/{artifact_id}/": {"get", "delete"},
        one + "aistore/retry/": {"post"},
        one + "pace/": {"get"},
        one + "failures/": {"get"},
        "/api/v1/algorithms/": {"get"},
        "/api/v1/markdown/": {"post"},
        "/api/v1/devices/": {"get"},
        "/api/v1/secrets/": {"get"},
        "/api/v1/secrets/{name}/": {"put", "delete"},
    }
    methods = {"get", "post", "put", "patch", "delete"}
    assert {path: methods & set(item) for path, item in schema["paths"].items()} == contracted
    assert {scheme["type"] for scheme in schema["components"]["securitySchemes"].values()} == {
        "http", "apiKey"
    }  # fmt: skip


def test_the_schema_is_served_in_both_formats(client: Client) -> None:
    text = client.get("/api/schema/")
    read = yaml.load(text.content, yaml.CSafeLoader)
    assert read["info"]["title"] == "AutoTune Web"
    as_json = client.get("/api/schema/", headers={"Accept": "application/json"})
    assert as_json.json() == read


def test_described_answers_have_the_fields_that_are_sent(
    make_experiment: Callable[..., Experiment], make_trial: Callable[..., Trial]
) -> None:
    experiment = make_experiment()
    trial = make_trial(experiment)
    event = experiment.record("remark", trial=trial)
    metric = Metric(
        trial=trial, experiment=experiment, kind="FINAL", sequence=0, value=1.0,
        time=timezone.now(), seq=1,
    )  # fmt: skip
    assert set(experiment_json(experiment)) == set(answers.ExperimentShape().fields)
    assert set(trial_json(trial)) == set(answers.TrialShape().fields)
    assert set(metric_json(metric, 0)) == set(answers.MetricShape().fields)
    assert set(event_json(event, 0)) == set(answers.EventsShape.child.fields)


def test_created_valid_and_algorithm_answers_have_the_fields_described(client: Client) -> None:
    text = yaml.safe_dump(MANIFEST)
    created = client.post("/api/v1/experiments/", text, content_type="application/yaml")
    assert set(created.json()) == set(answers.CreatedShape().fields)
    valid = client.post("/api/v1/experiments/validate/", text, content_type="application/yaml")
    assert set(valid.json()) == set(answers.ValidShape().fields)
    algorithms = client.get("/api/v1/algorithms/").json()
    assert set(algorithms) == set(answers.AlgorithmsShape().fields)
    assert set(algorithms["tuners"][0]) == set(answers.AlgorithmShape().fields)


def test_the_docs_page_works_without_inline_script(client: Client) -> None:
    page = client.get("/api/docs/")
    assert page.status_code == 200
    assert "script-src 'self'" in page["Content-Security-Policy"]
    text = page.content.decode()
    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", text, re.DOTALL)
    programs = [each for each in scripts if 'type="application/json"' not in each[0]]
    assert (
        sum("swagger" in attributes or "?script" in attributes for attributes, _ in programs) == 3
    )
    assert all("src=" in attributes and not body.strip() for attributes, body in programs)
    start = client.get("/api/docs/", {"script": ""})
    assert start["Content-Type"].startswith("application/javascript")
    assert "/api/schema/" in start.content.decode().replace("\\u002D", "-")


def test_the_docs_page_is_framed_in_the_reader_s_language(client: Client) -> None:
    chinese = client.get("/api/docs/", headers={"accept-language": "zh-CN"}).content.decode()
    assert '<html lang="zh-hans"' in chinese
    assert "REST API 的所有路由" in chinese
    assert '<div id="swagger-ui" lang="en">' in chinese, "Swagger's own words are English"
    assert 'aria-current="page">帮助' in chinese


def test_the_docs_page_sends_a_stranger_to_sign_in(stranger: Client) -> None:
    response = stranger.get("/api/docs/")
    assert response.status_code == 302
    assert response["Location"] == "/sign-in/?next=/api/docs/"
    assert stranger.get("/api/docs/", {"script": ""}).status_code == 302
    assert stranger.get("/api/schema/").status_code == 401


def test_nested_errors_become_one_list_with_paths() -> None:
    detail = {"a": {"b": ["first", "second"]}, "c": [{"d": ["third"]}], "non_field_errors": ["all"]}
    response = handle(ValidationError(detail), {})
    assert response is not None
    assert [(e["path"], e["message"]) for e in response.data["errors"]] == [
        ("a.b", "first"),
        ("a.b", "second"),
        ("c[0].d", "third"),
        ("", "all"),
    ]


def test_a_defect_of_ours_is_not_dressed_up() -> None:
    assert handle(RuntimeError("bug"), {}) is None

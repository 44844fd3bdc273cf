"""Reports over a real socket: what is stored, what is refused and with which line (T9k)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.utils import timezone

from experiments.access.tokens import trial_token
from experiments.models import Event, Metric, Trial
from experiments.states import TrialState
from experiments.training.base import JobState, JobStatus
from experiments.trials.ends import end_trial
from tests.web.conftest import Server, rows, t9k_path


def test_an_intermediate_report_is_stored_before_it_is_answered(
    server: Server, trial: Trial
) -> None:
    reply = server.report(trial, 0.5, sequence=3, step=300)

    assert (reply.status, reply.text) == (200, "ok")
    metric = Metric.objects.get(trial=trial)
    assert (metric.sequence, metric.step, metric.name, metric.value) == (3, 300.0, "default", 0.5)
    trial.refresh_from_db()
    assert (trial.latest_value, trial.latest_sequence, trial.n_reports) == (0.5, 3, 1)
    assert (trial.value, trial.has_final) == (None, False)
    trial.experiment.refresh_from_db()
    assert metric.seq == trial.seq == trial.experiment.last_seq


def test_a_final_report_gives_the_trial_its_value(server: Server, trial: Trial) -> None:
    assert server.report_final(trial, {"default": 0.9, "loss": 0.2}).status == 200

    trial.refresh_from_db()
    assert (trial.has_final, trial.value) == (True, 0.9)
    assert trial.metrics == {"default": 0.9, "loss": 0.2}
    assert rows(trial) == [("FINAL", 0, "default", 0.9), ("FINAL", 0, "loss", 0.2)]
    assert trial.metric_set.first().step is None


def test_a_final_does_not_collide_with_the_first_intermediate(server: Server, trial: Trial) -> None:
    server.report(trial, 0.1, sequence=0)
    server.report_final(trial, 0.9)

    assert rows(trial) == [("FINAL", 0, "default", 0.9), ("PERIODICAL", 0, "default", 0.1)]


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("0.5", 0.5),
        ("7", 7.0),
        ("1180591620717411303424", 2.0**70),
        ("12345678901234567890123", 12345678901234567890123.0),
        ("-0.5e-3", -0.0005),
        ("1E+2", 100.0),
        ("1e99", 1e99),
        ("0.1000000000000000055511151231257827021181583404541015625", 0.1),
        (" 0.5\n", 0.5),
        ('{"default": 0.5, "loss": 1}', 0.5),
        ('{"__ndarray__": 0.25, "dtype": "float64", "shape": []}', 0.25),
        ('{"__ndarray__": [0.25], "dtype": "float64", "shape": [1]}', 0.25),
        ('{"default": {"__ndarray__": 0.25, "dtype": "float64", "shape": []}}', 0.25),
        ('{"__decimal__": "0.1"}', 0.1),
        ("NaN", "NaN"),
        ("Infinity", "Infinity"),
        ("-Infinity", "-Infinity"),
        ("1e999", "Infinity"),
        ('{"default": NaN}', "NaN"),
        (0.5, 0.5),  # curl users send a bare number
        ({"default": 0.5}, 0.5),
    ],
)
def test_what_counts_as_a_number(
    server: Server, trial: Trial, sent: Any, stored: float | str
) -> None:
    body = {"trial_job_id": trial.key, "type": "PERIODICAL", "sequence": 0, "value": sent}
    reply = server.ask("POST", f"{t9k_path(trial)}/apis/v1/metric", body)

    assert reply.status == 200
    assert Metric.objects.get(trial=trial, name="default").json_value == stored


@pytest.mark.parametrize(
    ("sent", "line"),
    [
        ('"0.9"', "report a number, not"),
        ("true", "report 1 or 0"),
        ("null", "must be a number"),
        ("[1, 2]", "must be a number"),
        ("{}", "must be a number"),
        ('{"loss": 1}', "'default'"),
        ('{"default": "0.9"}', "value.default must be a number"),
        ('{"default": true}', "value.default must be a number"),
        ('{"__ndarray__": [0.25, 0.5], "dtype": "float64", "shape": [2]}', "must be a number"),
        ('{"__complex__": [1.0, 2.0]}', "must be a number"),
        ('{"__instance_type__": ["os", "system"], "attributes": {}}', "must be a number"),
        ('{"__nni_obj__": "gASV"}', "must be a number"),
        ('{"__decimal__": "ten"}', "must be a number"),
        ("1" + "0" * 400, "must be a number"),
        ("1" * 5000, "must be JSON text"),
        ("accuracy", "must be JSON text"),
        *(
            (text, "must be JSON text")
            for text in ("01", "+1", "1.", ".5", "1_0", "0x1", "1e", "-")
        ),
        ("[" * 100_000, "nested too deeply"),
    ],
    ids=lambda text: text[:40],
)
def test_a_value_that_is_no_number_is_refused_with_a_line_and_kept(
    server: Server, trial: Trial, sent: str, line: str
) -> None:
    reply = server.report(trial, sent)

    assert reply.status == 400
    assert line in reply.text
    assert "\n" not in reply.text
    assert not Metric.objects.exists()
    event = Event.objects.get(trial=trial)
    assert (event.what, event.reason) == ("bad report", reply.text)
    assert trial.key in event.data["text"]
    assert len(event.data["text"]) <= 500


@pytest.mark.parametrize("kind", ["PERIODICAL", "FINAL"])
@pytest.mark.parametrize(
    ("others", "kept", "words"),
    [
        ({"n" * 201: 2, "b": 3}, 2, "names must have 1 to 200 characters"),
        ({"": 2, "b": 3}, 2, "names must have 1 to 200 characters"),
        ({"\0": 2, "b": 3}, 2, "names must be Unicode text"),
        ({"\ud800": 2, "b": 3}, 2, "names must be Unicode text"),
        ({f"m{n}": n for n in range(999)}, 1000, ""),
        (
            {f"m{n}": n for n in range(2700)},
            1000,
            '1701 numbers are left out, as a report keeps 1000: "m999", "m1000", "m1001", "m1002", '
            '"m1003", …',
        ),
        ({"\0" * (n + 1): n for n in range(9)}, 1, "4 more are left out"),
    ],
)
def test_what_a_report_cannot_keep_is_named_and_the_rest_is_taken(
    server: Server, trial: Trial, kind: str, others: dict[str, Any], kept: int, words: str
) -> None:
    """More than 100 numbers once refused the report, and failed the trial."""
    reply = server.report(trial, {**others, "default": 0.5}, type=kind)
    assert reply.status == 200
    assert reply.text.startswith("ok, but " if words else "ok")
    assert words in reply.text
    assert Metric.objects.filter(trial=trial, kind=kind).count() == kept
    assert Metric.objects.get(trial=trial, kind=kind, name="default").value == 0.5


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"trial_job_id": None}, "trial_job_id must be"),
        ({"type": "PERIODIC"}, 'type must be PERIODICAL or FINAL, but is "PERIODIC"'),
        ({"sequence": -1}, "sequence must be a whole number from 0"),
        ({"sequence": 2**31}, "sequence must be"),
        ({"sequence": 1.5}, "sequence must be"),
        ({"sequence": True}, "sequence must be"),
        ({"sequence": None}, "sequence must be"),
        ({"sequence": 10**300}, "an integer of 997 bits"),
    ],
)
def test_a_wrong_field_is_named(
    server: Server, trial: Trial, fields: dict[str, Any], line: str
) -> None:
    reply = server.report(trial, 1, **fields)

    assert reply.status == 400
    assert line in reply.text


@pytest.mark.parametrize(
    "body",
    ["", "{", "[]", "null", "accuracy=0.9", b"\xff\xfe\xff", "[" * 500_000, '{"a":' * 100_000],
)
def test_a_body_that_is_no_object_is_refused(
    server: Server, trial: Trial, body: str | bytes
) -> None:
    reply = server.ask("POST", f"{t9k_path(trial)}/apis/v1/metric", body)

    assert reply.status == 400
    assert reply.text.startswith("not stored: the body must be")
    assert Event.objects.filter(what="bad report").count() == 1


def test_at_most_twenty_bad_reports_of_a_trial_are_kept(server: Server, trial: Trial) -> None:
    for _ in range(25):
        assert server.report(trial, "text").status == 400

    assert Event.objects.filter(trial=trial).count() == 20


@pytest.mark.parametrize("final", ["good", None, True, {"accuracy": 1}])
def test_a_refused_final_result_is_why_the_trial_fails(
    server: Server, trial: Trial, final: Any
) -> None:
    for _ in range(30):  # many bad reports leave room for it
        server.report(trial, "text")
    assert server.report_final(trial, final).status == 400

    end_trial(trial, JobStatus(JobState.SUCCEEDED, exit_code=0))

    assert trial.state == TrialState.FAILED
    assert trial.reason.startswith("A final result was sent and refused: value must be")
    assert trial.reason.endswith(".")


@pytest.mark.parametrize("order", [("type", "value"), ("value", "type")])
@pytest.mark.parametrize("size", [1_100_000, 5_000_000])
def test_a_final_result_that_was_too_large_is_why_the_trial_fails(
    server: Server, trial: Trial, order: tuple[str, str], size: int
) -> None:
    fields = {"type": "FINAL", "value": json.dumps({"default": 1, "note": "x" * size})}
    body = {"trial_job_id": trial.key, **{name: fields[name] for name in order}}
    assert server.ask("POST", f"{t9k_path(trial)}/apis/v1/metric", body).status == 413

    end_trial(trial, JobStatus(JobState.SUCCEEDED, exit_code=0))

    words = "A final result was sent and refused: a report must have at most 1048576 bytes."
    assert trial.reason == words
    assert Event.objects.get(what="bad report").data["final"] is True


def test_a_final_result_of_another_trial_is_why_the_trial_fails(
    server: Server, trial: Trial, make_trial: Any
) -> None:
    assert server.report_final(trial, 1, trial_job_id="other").status == 403

    end_trial(trial, JobStatus(JobState.SUCCEEDED, exit_code=0))

    assert trial.reason == (
        "A final result was sent and refused: "
        f"the token is of trial {trial.key}, the report of another."
    )


def test_after_a_crash_the_refused_final_result_comes_second(server: Server, trial: Trial) -> None:
    server.report_final(trial, None)
    failed = JobStatus(JobState.FAILED, exit_code=1, message="exit code 1: KeyError: 'x'")

    end_trial(trial, failed)

    assert trial.reason.startswith(
        "exit code 1: KeyError: 'x'; a final result was sent and refused"
    )


def test_the_refused_result_of_an_earlier_attempt_is_not_told(server: Server, trial: Trial) -> None:
    server.report_final(trial, None)
    Trial.objects.filter(pk=trial.pk).update(started_at=timezone.now())
    trial.refresh_from_db()

    end_trial(trial, JobStatus(JobState.SUCCEEDED, exit_code=0))

    assert trial.reason == "It exited with code 0, but no final result was reported."


def test_a_refused_report_is_kept_without_the_token_in_it(server: Server, trial: Trial) -> None:
    token = trial_token(trial)
    assert server.report_final(trial, json.dumps(f"see /t/{token}")).status == 400

    event = Event.objects.get(trial=trial)

    assert f"/t/{token.rpartition('.')[0]}.***" in event.data["text"]
    assert token.rpartition(".")[2] not in event.data["text"] + event.reason


def test_a_reason_that_quotes_the_log_does_not_quote_the_token(trial: Trial) -> None:
    address = f"http://127.0.0.1:8080/t/{trial_token(trial)}"
    message = f"exit code 1: ConnectionError: {address}/apis/v1/metric"

    end_trial(trial, JobStatus(JobState.FAILED, exit_code=1, message=message))

    assert trial_token(trial).rpartition(".")[2] not in trial.reason
    assert trial.key in trial.reason


def test_a_bad_step_does_not_cost_the_value(server: Server, trial: Trial) -> None:
    reply = server.report(trial, 0.5, step="epoch 1")

    assert reply.status == 200
    assert "its step is left out" in reply.text
    assert Metric.objects.get().step is None


@pytest.mark.parametrize(("step", "stored"), [(0, 0.0), (2.5, 2.5), (None, None), (-3, -3.0)])
def test_steps_are_kept_as_they_came(
    server: Server, trial: Trial, step: Any, stored: float | None
) -> None:
    server.report(trial, 0.5, step=step)

    assert Metric.objects.get().step == stored


def test_numbers_beside_the_default_are_metrics_of_their_own(server: Server, trial: Trial) -> None:
    server.report(trial, {"default": 0.5, "loss": 1, "note": "fine", "精度": 2, "bad": None})

    assert rows(trial) == [
        ("PERIODICAL", 0, "default", 0.5),
        ("PERIODICAL", 0, "loss", 1.0),
        ("PERIODICAL", 0, "精度", 2.0),
    ]


def test_nan_is_recorded_and_never_becomes_a_value(server: Server, trial: Trial) -> None:
    server.report(trial, 0.5, sequence=0)
    server.report(trial, "NaN", sequence=1)
    server.report_final(trial, '{"default": NaN, "loss": Infinity}')

    trial.refresh_from_db()
    assert (trial.latest_sequence, trial.latest_value) == (1, None)
    assert (trial.has_final, trial.value) == (True, None)
    assert trial.metrics == {"default": "NaN", "loss": "Infinity"}
    assert ("PERIODICAL", 1, "default", "NaN") in rows(trial)


def test_a_repeated_report_overwrites(server: Server, trial: Trial) -> None:
    for value in (0.1, 0.2):
        for sequence in range(3):
            server.report(trial, value, sequence=sequence)

    assert rows(trial) == [("PERIODICAL", n, "default", 0.2) for n in range(3)]
    trial.refresh_from_db()
    assert (trial.n_reports, trial.latest_sequence, trial.latest_value) == (3, 2, 0.2)


def test_gaps_in_the_sequence_are_fine(server: Server, trial: Trial) -> None:
    for sequence in (0, 5, 2):
        server.report(trial, sequence, sequence=sequence)

    trial.refresh_from_db()
    assert (trial.n_reports, trial.latest_sequence, trial.latest_value) == (3, 5, 5.0)


def test_who_reports_hears_that_the_trial_is_to_stop(server: Server, trial: Trial) -> None:
    assert "autotune-verdict" not in server.report(trial, 0.5, sequence=0).headers
    Trial.objects.filter(pk=trial.pk).update(stop_as=TrialState.EARLY_STOPPED)
    reply = server.report(trial, 0.5, sequence=1)
    assert (reply.status, reply.headers["autotune-verdict"]) == (200, "stop")
    Trial.objects.filter(pk=trial.pk).update(stop_as="", state=TrialState.CANCELED)
    assert server.report(trial, 0.5, sequence=2).headers["autotune-verdict"] == "stop"


def test_a_token_of_one_attempt_is_of_no_use_to_the_next(server: Server, trial: Trial) -> None:
    Trial.objects.filter(pk=trial.pk).update(attempt=2)
    body = {"trial_job_id": trial.key, "type": "PERIODICAL", "sequence": 0, "value": "0.5"}

    def report(token: str) -> tuple[int, str]:
        reply = server.ask("POST", f"/t/{token}/apis/v1/metric", body)
        return reply.status, reply.text

    first = trial_token(trial, attempt=1)
    assert report(first) == (410, "not stored: attempt 1 was lost, and the trial starts anew")
    assert report(trial_token(trial, attempt=2)) == (200, "ok")
    forged = f"{first.rpartition('.')[0][:-1]}2.{first.rpartition('.')[2]}"
    assert report(forged)[0] == 404

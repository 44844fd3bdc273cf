"""Files that trials attach: in by the client over a real socket, out by REST, once and safely."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import Client

from autotune_web.env import env_whole
from experiments.access.tokens import TrialClaim
from experiments.loop import reconcile
from experiments.models import Artifact, ArtifactPiece, Event, Trial
from experiments.models.artifacts import PIECE_BYTES
from experiments.reports import artifacts, trial_api
from experiments.states import TrialState
from tests.training.conftest import CLIENT_DIR
from tests.web.conftest import Server, t9k_path

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"


@pytest.fixture
def client_of(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Trial], ModuleType]]:
    """The client as a process of that trial has it."""

    def load(trial: Trial) -> ModuleType:
        monkeypatch.setenv("AUTO_TUNE_SERVER_ADDR", f"{server.url}{t9k_path(trial)}")
        monkeypatch.setenv("TUNER_TRIAL_JOB_ID", trial.key)
        spec = importlib.util.spec_from_file_location("at", CLIENT_DIR / "autotune_trial.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.retry_seconds = 2.0
        loaded.append(module)
        return module

    loaded: list[ModuleType] = []
    yield load
    for module in loaded:
        module._client._close()


Load = Callable[[Trial], ModuleType]


@pytest.fixture
def held(make_experiment: Any, make_trial: Any) -> Trial:
    """A running trial of a test that needs no server: quicker."""
    found: Trial = make_trial(make_experiment(), state=TrialState.RUNNING, number=7)
    return found


def kept(trial: Trial) -> dict[str, bytes]:
    return {
        artifact.name: b"".join(bytes(piece.data) for piece in artifact.pieces.order_by("number"))
        for artifact in Artifact.objects.filter(trial=trial, complete=True)
    }


def claim_of(trial: Trial) -> TrialClaim:
    return TrialClaim(trial.pk, trial.key, trial.number, trial.experiment_id)


def announce(trial: Trial, name: str, data: bytes) -> dict[str, Any]:
    about = {"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return artifacts.begin(claim_of(trial), json.dumps(about).encode())


def attached(trial: Trial, name: str, data: bytes) -> Artifact:
    answer = announce(trial, name, data)
    for number in answer["missing"]:
        piece = data[number * PIECE_BYTES : (number + 1) * PIECE_BYTES]
        artifacts.put(claim_of(trial), answer["artifact"], number, piece)
    artifacts.finish(claim_of(trial), answer["artifact"])
    return Artifact.objects.get(pk=answer["artifact"])


# ---- in


def test_a_file_comes_in_whole_in_pieces(client_of: Load, trial: Trial, tmp_path: Path) -> None:
    whole = bytes(range(256)) * (2 * PIECE_BYTES // 256) + b"the rest"
    (tmp_path / "模型 1.bin").write_bytes(whole)
    (tmp_path / "empty").write_bytes(b"")
    client = client_of(trial)
    client.attach(tmp_path / "模型 1.bin")
    client.attach(str(tmp_path / "empty"), "nothing")
    assert kept(trial) == {"模型 1.bin": whole, "nothing": b""}
    assert ArtifactPiece.objects.count() == 3
    told = Event.objects.filter(what="attached").order_by("seq")
    assert [(e.trial_id, e.reason, e.data["size"]) for e in told] == [
        (trial.pk, "模型 1.bin", len(whole)), (trial.pk, "nothing", 0)
    ]  # fmt: skip


def test_a_repeated_request_changes_nothing(client_of: Load, trial: Trial, tmp_path: Path) -> None:
    file = tmp_path / "a.bin"
    file.write_bytes(b"x" * (PIECE_BYTES + 1))
    client = client_of(trial)
    ask = client._client._request

    def doubled(*request: Any) -> str:
        ask(*request)  # its answer got lost
        return ask(*request)

    client._client._request = doubled
    client.attach(file)
    client.attach(file)
    assert kept(trial) == {"a.bin": file.read_bytes()}
    assert Artifact.objects.count() == 1
    assert Event.objects.filter(what="attached").count() == 1


def test_only_what_is_missing_is_sent_again(held: Trial) -> None:
    data = b"y" * (3 * PIECE_BYTES)
    first = announce(held, "big", data)
    assert first["missing"] == [0, 1, 2]
    artifacts.put(claim_of(held), first["artifact"], 1, data[:PIECE_BYTES])
    again = announce(held, "big", data)
    assert (again["artifact"], again["missing"]) == (first["artifact"], [0, 2])
    with pytest.raises(artifacts.Refused, match="piece 0 of 'big' is missing"):
        artifacts.finish(claim_of(held), first["artifact"])
    assert kept(held) == {}  # shown nowhere before it is complete


def test_a_new_file_takes_the_place_of_one_of_its_name(held: Trial) -> None:
    old = attached(held, "plot.png", PNG)
    new = attached(held, "plot.png", PNG + b"new")
    assert kept(held) == {"plot.png": PNG + b"new"}
    assert not Artifact.objects.filter(pk=old.pk).exists()
    assert not ArtifactPiece.objects.filter(artifact_id=old.pk).exists()
    assert new.image_type == "image/png"
    assert attached(held, "plot.png", PNG).pk not in (old.pk, new.pk)  # and back


def test_a_file_that_changes_while_it_is_sent_is_refused(held: Trial) -> None:
    answer = announce(held, "a", b"one")
    artifacts.put(claim_of(held), answer["artifact"], 0, b"two")
    with pytest.raises(artifacts.Refused, match="'a' changed while it was sent"):
        artifacts.finish(claim_of(held), answer["artifact"])
    assert announce(held, "a", b"one")["missing"] == [0]


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("name", "", "must be 1 to 200 printable"),
        ("name", "x" * 201, "must be 1 to 200 printable"),
        ("name", "a/b", "without / and"),
        ("name", "a\\b", "without / and"),
        ("name", "..", "must be 1 to 200 printable"),
        ("name", "a\nb", "must be 1 to 200 printable"),
        ("name", "a\x00b", "must be 1 to 200 printable"),
        ("name", " a", "must be 1 to 200 printable"),
        ("name", 7, "must be 1 to 200 printable"),
        ("size", -1, "size must be a whole number of bytes, but is -1"),
        ("size", 1.5, "size must be a whole number"),
        ("size", True, "size must be a whole number"),
        ("size", "9", "size must be a whole number"),
        ("size", 2**62, "size must be a whole number"),
        ("sha256", "A" * 64, "sha256 must be 64 digits in lower case"),
        ("sha256", None, "sha256 must be 64 digits"),
    ],
)
def test_what_cannot_be_taken_is_named(held: Trial, field: str, value: Any, rule: str) -> None:
    about = {"name": "a", "size": 1, "sha256": "0" * 64, field: value}
    with pytest.raises(artifacts.Refused, match=rule.replace("\\", "\\\\")) as refused:
        artifacts.begin(claim_of(held), json.dumps(about).encode())
    assert refused.value.status == 400
    assert str(refused.value).startswith("not attached: ")


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"\xff", b'"a"'])
def test_what_is_no_announcement_is_named(held: Trial, body: bytes) -> None:
    with pytest.raises(artifacts.Refused, match="the body must be"):
        artifacts.begin(claim_of(held), body)


def test_the_doors_of_the_trial_api(server: Server, trial: Trial, make_trial: Any) -> None:
    path = f"{t9k_path(trial)}/artifacts"
    about = json.dumps({"name": "a", "size": 3, "sha256": hashlib.sha256(b"abc").hexdigest()})
    for method, where, body, status, words in (
        ("GET", path, None, 405, "use POST"),
        ("POST", f"{path}/1/2", "", 405, "use PUT"),
        ("PUT", f"{path}/x/0", "abc", 404, "no such path"),
        ("PUT", f"{path}/1/2/3", "abc", 404, "no such path"),
        ("PUT", f"{path}/99999/0", "abc", 404, "no such file was announced"),
        ("POST", "/t/1.x.0.abc.bad/artifacts", about, 404, "no valid token"),
        ("POST", path, "x" * (1024 * 1024 + 1), 413, "at most 1048576 bytes"),
        ("POST", path, "nonsense", 400, "not attached: the body must be JSON"),
    ):
        reply = server.ask(method, where, body)
        assert (reply.status, words in reply.text) == (status, True), (method, where, reply)
    pk = server.ask("POST", path, about).json["artifact"]
    other = make_trial(trial.experiment, state=TrialState.RUNNING)
    assert server.ask("PUT", f"{t9k_path(other)}/artifacts/{pk}/0", "abc").status == 404
    assert server.ask("PUT", f"{path}/{pk}/0", "abcd").status == 400
    assert server.ask("PUT", f"{path}/{pk}/1", "abc").status == 400
    assert server.ask("PUT", f"{path}/{pk}/0", "abc").text == "ok"
    assert server.ask("POST", f"{path}/{pk}", "").text == "ok"
    trial.experiment.deleting = True
    trial.experiment.save()
    assert server.ask("POST", path, about).status == 404


# ---- limits


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"file": 1, "trial": 8, "experiment": 8}, "'b' has 1.5 MiB; a file may have 1 MiB"),
        ({"file": 8, "trial": 2, "experiment": 8},
         "'b' has 1.5 MiB, beside 1 MiB that are there; a trial may have 2 MiB"),
        ({"file": 8, "trial": 8, "experiment": 2},
         "'b' has 1.5 MiB, beside 1 MiB that are there; an experiment may have 2 MiB"),
        ({"file": 0, "trial": 8, "experiment": 8}, "this server keeps no files"),
    ],
)  # fmt: skip
def test_limits_are_told_with_their_setting(
    client_of: Load, trial: Trial, tmp_path: Path, settings: Any, limits: Any, words: str
) -> None:
    mib = 1024 * 1024
    client = client_of(trial)
    (tmp_path / "a").write_bytes(b"a" * mib)
    (tmp_path / "b").write_bytes(b"b" * (mib * 3 // 2))
    client.attach(tmp_path / "a")
    settings.ARTIFACT_LIMITS_MIB = limits
    with pytest.raises(client.ServerRefused) as refused:
        client.attach(tmp_path / "b")
    assert words in str(refused.value)
    assert "AUTOTUNE_ARTIFACT_" in str(refused.value)
    assert list(kept(trial)) == ["a"]
    client.report(0.5)  # the trial goes on


def test_what_is_replaced_does_not_count_and_what_is_on_its_way_does(
    held: Trial, settings: Any
) -> None:
    settings.ARTIFACT_LIMITS_MIB = {"file": 1, "trial": 1, "experiment": 1}
    mib = 1024 * 1024
    attached(held, "a", b"1" * mib)
    attached(held, "a", b"2" * mib)
    with pytest.raises(artifacts.Refused, match="beside 1 MiB"):
        announce(held, "b", b"x")
    Artifact.objects.all().delete()
    announce(held, "slow", b"3" * mib)
    with pytest.raises(artifacts.Refused, match="beside 1 MiB"):
        announce(held, "b", b"x")
    left = Artifact.objects.get()
    Artifact.objects.update(created_at=left.created_at - artifacts.STALE - timedelta(seconds=1))
    announce(held, "b", b"x")  # nobody sends the other one any more
    assert [artifact.name for artifact in Artifact.objects.all()] == ["b"]


def test_a_trial_has_so_many_files(held: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "MOST_FILES", 2)
    attached(held, "a", b"1")
    attached(held, "b", b"2")
    with pytest.raises(artifacts.Refused, match="a trial may have 2 files"):
        announce(held, "c", b"3")
    attached(held, "a", b"4")


def test_a_limit_that_is_no_number_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOTUNE_ARTIFACT_FILE_MIB", "7")
    assert env_whole("AUTOTUNE_ARTIFACT_FILE_MIB", 32, 0, 100) == 7
    for wrong in ("-1", "1.5", "many", "101"):
        monkeypatch.setenv("AUTOTUNE_ARTIFACT_FILE_MIB", wrong)
        with pytest.raises(ImproperlyConfigured, match="must be a whole number from 0 to 100"):
            env_whole("AUTOTUNE_ARTIFACT_FILE_MIB", 32, 0, 100)


# ---- out


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("a.png", PNG, "image/png"),
        ("a.txt", b"\xff\xd8\xff\xe0 jpeg", "image/jpeg"),
        ("a.gif", b"GIF89a...", "image/gif"),
        ("a.webp", b"RIFF\x10\0\0\0WEBPVP8 ", "image/webp"),
        ("a.svg", SVG, ""),
        ("a.html", b"<!doctype html><script>alert(1)</script>", ""),
        ("fake.png", b"<html><script>alert(1)</script>", ""),
        ("a.pdf", b"%PDF-1.7", ""),
        ("empty.png", b"", ""),
    ],
)
def test_only_raster_images_are_shown_in_place(
    client: Client, held: Trial, name: str, data: bytes, kind: str
) -> None:
    artifact = attached(held, name, data)
    base = f"/api/v1/experiments/{held.experiment_id}/trials/{held.number}/artifacts/"
    (listed,) = client.get(base).json()
    assert (listed["name"], listed["size"]) == (name, len(data))
    assert listed["image_type"] == (kind or None)
    answer = client.get(f"{base}{artifact.pk}/")
    assert b"".join(answer) == data
    assert answer["Content-Type"] == (kind or "application/octet-stream")
    shown = "inline" if kind else "attachment"
    assert answer["Content-Disposition"] == f'{shown}; filename="{name}"'
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Security-Policy"] == "default-src 'none'; sandbox"
    saved = client.get(f"{base}{artifact.pk}/", {"download": "1"})
    assert saved["Content-Disposition"] == f'attachment; filename="{name}"'
    again = client.get(f"{base}{artifact.pk}/", headers={"If-None-Match": answer["ETag"]})
    assert again.status_code == 304


def test_files_are_their_trials_alone(
    client: Client, stranger: Client, held: Trial, make_trial: Any
) -> None:
    artifact = attached(held, "a", b"x")
    on_its_way = announce(held, "b", b"y")["artifact"]
    one = f"/api/v1/experiments/{held.experiment_id}/trials/"
    path = f"{one}{held.number}/artifacts/{artifact.pk}/"
    other = make_trial(held.experiment, state=TrialState.RUNNING)
    for wrong in (
        f"{one}{other.number}/artifacts/{artifact.pk}/",
        f"{one}{held.number}/artifacts/{on_its_way}/",
        f"{one}{held.number}/artifacts/999999/",
        f"{one}999/artifacts/",
        f"/api/v1/experiments/nosuch00/trials/{held.number}/artifacts/{artifact.pk}/",
    ):
        assert client.get(wrong).status_code == 404, wrong
    assert client.get(path, {"download": "yes"}).status_code == 400
    for ask in (stranger.get, stranger.delete):
        assert ask(path).status_code == 401
    held.experiment.deleting = True
    held.experiment.save()
    assert client.get(path).status_code == 404
    assert client.delete(path).status_code == 404


def test_a_file_is_deleted_alone_or_with_its_experiment(client: Client, held: Trial) -> None:
    first, second = attached(held, "a", b"x"), attached(held, "b", b"y")
    one = f"/api/v1/experiments/{held.experiment_id}/"
    path = f"{one}trials/{held.number}/artifacts/{first.pk}/"
    assert client.delete(path).status_code == 204
    assert client.delete(path).status_code == 404
    assert list(kept(held)) == ["b"]
    told = Event.objects.get(what="detached")
    assert (told.reason, told.data["user"]) == ("a", "alice")
    Trial.objects.update(state=TrialState.SUCCEEDED)
    assert client.delete(one).status_code == 204
    reconcile.reconcile(held.experiment_id)
    assert not Trial.objects.exists()
    assert not Artifact.objects.exists()
    assert not ArtifactPiece.objects.exists()
    assert second.pk


def test_the_page_hands_them_over(client: Client, held: Trial) -> None:
    attached(held, "<b>&a'", b"x")
    page = client.get(f"/experiments/{held.experiment_id}/trials/{held.number}/")
    text = page.content.decode()
    assert '"artifacts": [{"id":' in text
    assert "<b>&a'" not in text


# ---- the client by hand


def test_by_hand_it_says_what_it_would_attach(
    load_standalone: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    load_standalone.attach(tmp_path / "a.png")
    load_standalone._main(["attach", str(tmp_path / "a.png"), "b"])
    assert capsys.readouterr().out.splitlines() == [
        "autotune_trial: attached a.png (48 bytes)", "autotune_trial: attached b (48 bytes)",
    ]  # fmt: skip
    with pytest.raises(SystemExit, match="No such file or directory"):
        load_standalone._main(["attach", str(tmp_path / "missing")])
    with pytest.raises(SystemExit, match="usage"):
        load_standalone._main(["attach"])


@pytest.fixture
def load_standalone(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.delenv("AUTO_TUNE_SERVER_ADDR", raising=False)
    spec = importlib.util.spec_from_file_location("at", CLIENT_DIR / "autotune_trial.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.django_db(transaction=True)
def test_a_file_that_is_deleted_while_it_is_sent_gets_a_line_not_a_defect(
    held: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its experiment was deleted, or what is stale was cleared away."""
    claim, find = claim_of(held), artifacts._on_its_way

    def find_and_lose(claim: TrialClaim, pk: int) -> Artifact:
        found = find(claim, pk)
        Artifact.objects.filter(pk=pk).delete()
        return found

    for last in ([0], []):
        pk = announce(held, "a.bin", b"abc")["artifact"]
        if not last:
            artifacts.put(claim, pk, 0, b"abc")
        with monkeypatch.context() as patch:
            patch.setattr(artifacts, "_on_its_way", find_and_lose)
            if not last:  # all pieces were there a moment ago
                patch.setattr(artifacts, "_missing", lambda artifact: [])
            answer = trial_api._artifact_step(claim, [pk, *last], b"abc")
        assert (answer.status, answer.line[:13]) == (404, "not attached:")
    assert not ArtifactPiece.objects.exists()

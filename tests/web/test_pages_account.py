"""Signing in by link and by password, signing out, and one's REST tokens."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from experiments.access import tokens
from experiments.models import ApiToken, SignInLink

PAGES = [
    "/",
    "/experiments/new/",
    "/experiments/abcdefgh/",
    "/experiments/abcdefgh/trials/0/",
    "/tokens/",
]


@pytest.mark.parametrize("path", PAGES)
def test_every_page_sends_a_stranger_to_sign_in(db: None, path: str) -> None:
    answer = Client().get(path)
    assert answer.status_code == 302
    assert answer["Location"] == f"/sign-in/?next={path}"


def test_the_sign_in_page_says_where_the_link_comes_from(db: None) -> None:
    page = Client().get("/sign-in/").content.decode()
    assert "./autotune up" in page
    assert "./autotune manage sign_in_link" in page


def test_a_get_of_the_link_does_not_spend_it(alice: Any) -> None:
    secret = tokens.make_sign_in_link(alice)
    stranger = Client()
    page = stranger.get(f"/sign-in/{secret}/")
    assert page.status_code == 200
    assert "data-auto-submit" in page.content.decode()
    assert "_auth_user_id" not in stranger.session
    assert SignInLink.objects.get().used_at is None


def test_posting_the_link_signs_in_once(alice: Any) -> None:
    secret = tokens.make_sign_in_link(alice)
    first, second = Client(), Client()
    answer = first.post(f"/sign-in/{secret}/")
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert first.get("/").status_code == 200
    again = second.post(f"/sign-in/{secret}/")
    assert again.status_code == 400
    assert "./autotune manage sign_in_link" in again.content.decode()
    assert second.get("/").status_code == 302


def test_the_link_sent_twice_by_the_same_browser_still_arrives(alice: Any) -> None:
    secret = tokens.make_sign_in_link(alice)
    browser = Client()
    browser.post(f"/sign-in/{secret}/")
    assert browser.post(f"/sign-in/{secret}/").status_code == 302


def test_the_link_needs_the_csrf_token(alice: Any) -> None:
    secret = tokens.make_sign_in_link(alice)
    careful = Client(enforce_csrf_checks=True)
    assert careful.post(f"/sign-in/{secret}/").status_code == 403
    assert SignInLink.objects.get().used_at is None


def test_an_expired_link_does_not_sign_in(alice: Any) -> None:
    secret = tokens.make_sign_in_link(alice)
    SignInLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert Client().post(f"/sign-in/{secret}/").status_code == 400


@pytest.mark.parametrize("pasted", ["{}", " http://127.0.0.1:8080/sign-in/{}/ \n", "/sign-in/{}"])
def test_the_link_may_be_pasted_whole_or_as_a_code(alice: Any, pasted: str) -> None:
    secret = tokens.make_sign_in_link(alice)
    answer = Client().post("/sign-in/", {"link": pasted.format(secret)})
    assert (answer.status_code, answer["Location"]) == (302, "/")


@pytest.mark.parametrize("pasted", ["", "nonsense", "http://[", "http://x/sign-in/zzz/"])
def test_a_wrong_link_is_refused_in_words(db: None, pasted: str) -> None:
    answer = Client().post("/sign-in/", {"link": pasted})
    assert answer.status_code == 400
    assert "unknown, used or expired" in answer.content.decode()


def test_a_password_signs_in_and_leads_where_one_was_going(alice: Any) -> None:
    data = {"username": "alice", "password": "correct horse", "next": "/experiments/new/"}
    answer = Client().post("/sign-in/", data)
    assert (answer.status_code, answer["Location"]) == (302, "/experiments/new/")


def test_a_wrong_password_keeps_the_name_and_nothing_else(alice: Any) -> None:
    answer = Client().post("/sign-in/", {"username": "alice", "password": "battery staple"})
    page = answer.content.decode()
    assert answer.status_code == 400
    assert "do not fit together" in page
    assert 'value="alice"' in page
    assert "battery staple" not in page


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example", "javascript:1"])
def test_signing_in_never_leads_to_another_site(alice: Any, elsewhere: str) -> None:
    data = {"username": "alice", "password": "correct horse", "next": elsewhere}
    assert Client().post("/sign-in/", data)["Location"] == "/"


def test_signing_out_takes_a_post(client: Client) -> None:
    assert client.get("/sign-out/").status_code == 405
    assert client.post("/sign-out/")["Location"] == "/sign-in/"
    assert client.get("/").status_code == 302


def test_a_token_is_shown_once_and_works(client: Client) -> None:
    client.post("/tokens/", {"name": "<b>ci</b>"})
    page = client.get("/tokens/").content.decode()
    token = page.split('data-copy="')[1].split('"')[0]
    assert tokens.user_of_api_token(token) is not None
    assert "&lt;b&gt;ci&lt;/b&gt;" in page
    assert "<b>ci</b>" not in page
    assert token not in client.get("/tokens/").content.decode()


def test_a_token_without_a_name_is_not_made(client: Client) -> None:
    client.post("/tokens/", {"name": ""})
    assert not ApiToken.objects.exists()


def test_nobody_withdraws_the_token_of_another(client: Client) -> None:
    bob = get_user_model().objects.create_user("bob")
    tokens.make_api_token(bob, "his")
    token = ApiToken.objects.get()
    assert client.post(reverse("api-token-delete", args=[token.pk])).status_code == 404
    assert ApiToken.objects.exists()


def test_a_withdrawn_token_is_gone(client: Client, alice: Any) -> None:
    tokens.make_api_token(alice, "mine")
    token = ApiToken.objects.get()
    assert client.post(reverse("api-token-delete", args=[token.pk])).status_code == 302
    assert not ApiToken.objects.exists()


def test_pages_carry_a_strict_policy_and_no_inline_script_or_style(client: Client) -> None:
    for path in ("/", "/experiments/new/", "/tokens/", "/sign-in/x/"):
        answer = client.get(path)
        page = answer.content.decode()
        assert "script-src 'self';" in answer["Content-Security-Policy"]
        assert " style=" not in page
        assert " onclick=" not in page
        for tag in page.split("<script")[1:]:
            head = tag.split(">")[0]
            assert "src=" in head or 'type="application/json"' in head


def test_an_unknown_address_is_answered_in_style(client: Client) -> None:
    answer = client.get("/no/such/page/")
    assert answer.status_code == 404
    assert "There is nothing here" in answer.content.decode()
    assert client.get("/experiments/nosuchid/").status_code == 404

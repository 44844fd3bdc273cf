"""People whom a proxy in front signs in: who is believed, and what the cluster lets them do."""

from __future__ import annotations

import copy
import http.client
import json
from ipaddress import ip_network
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import get_resolver
from django.utils import timezone
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from experiments.access import namespaces, policy, proxy, tokens
from experiments.access.namespaces import Namespaces, Person, Unsure, person_of
from experiments.live import consumers
from experiments.models import Channel, Experiment, Notice, Project, ProxyAccount
from experiments.training.kubernetes.api import ApiError, Unreachable
from tests.conftest import MANIFEST
from tests.web.conftest import Server
from tests.web.rest import LIST, errors, patch, post, url
from tests.web.test_strangers import routes

CHANGING = ("POST", "PUT", "PATCH", "DELETE")


class Cluster(Namespaces):
    """A cluster whose roles a test writes down; ``away``: it does not answer."""

    def __init__(self) -> None:
        super().__init__()
        self.roles: set[tuple[str, str]] = set()  # verb, namespace
        self.away = False
        self.n_asked = 0

    def _ask(self, question: Any) -> bool:
        self.n_asked += 1
        if self.away:
            raise Unsure("away")
        return (question.verb, question.namespace) in self.roles


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Cluster:
    made = Cluster()
    monkeypatch.setattr(policy, "cluster", made)
    settings.USER_HEADER, settings.GROUPS_HEADER = b"x-user", b"x-groups"
    settings.CHECK_NAMESPACES = True
    return made


def person(name: str = "eve@example.com", *groups: str) -> Any:
    user = get_user_model().objects.create_user(name)
    ProxyAccount.objects.create(user=user, name=name, groups=list(groups), seen_at=timezone.now())
    return user


@pytest.fixture
def eve(db: None, cluster: Cluster) -> Client:
    """A program with a token of somebody whom the proxy signed in once."""
    token = tokens.make_api_token(person(), "laptop")
    return Client(headers={"authorization": f"Bearer {token}"})


# ---- who is believed


class Browser:
    """Keeps cookies, and sends what a proxy, or somebody else, puts before a request."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.cookies: dict[str, str] = {}

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        sent = {name.replace("_", "-"): value.encode() for name, value in headers.items()}
        try:
            connection.request("GET", path, headers={**sent, "Cookie": cookie})
            answer = connection.getresponse()
            for name, value in answer.getheaders():
                if name.lower() == "set-cookie":
                    key, _, rest = value.partition("=")
                    self.cookies[key] = rest.partition(";")[0]
            return answer.status, answer.read().decode()
        finally:
            connection.close()


@pytest.fixture
def browser(server: Server, cluster: Cluster) -> Browser:
    return Browser(server.port)


def test_a_header_of_the_proxy_signs_in_for_as_long_as_it_is_there(browser: Browser) -> None:
    assert browser.get("/")[0] == 302
    status, page = browser.get("/", x_user="zoë@example.com", x_groups="red, blue,red")
    assert status == 200
    assert "sign-out" not in page, "who comes by a proxy signs out there"
    assert "server-logs" not in page
    account = ProxyAccount.objects.get()
    assert (account.name, account.groups) == ("zoë@example.com", ["red", "blue"])
    assert browser.get("/")[0] == 302, "the session alone is worth nothing"
    assert browser.get("/", x_user="zoë@example.com", x_groups="green")[0] == 200
    account.refresh_from_db()
    assert account.groups == ["green"]


def test_one_after_the_other_in_the_same_browser_are_two(browser: Browser) -> None:
    assert browser.get("/tokens/", x_user="anna")[0] == 200
    status, page = browser.get("/tokens/", x_user="bert")
    assert status == 200
    assert ">bert<" in page
    assert ">anna<" not in page


def test_nobody_becomes_an_account_of_this_installation(browser: Browser, alice: Any) -> None:
    for name in ("admin", "alice", "Admin", "proxy:admin", "x" * 253):
        assert browser.get("/", x_user=name)[0] == 200
        made = ProxyAccount.objects.get(name=name).user
        assert made.username.startswith("proxy:")
        assert not made.is_superuser
        assert made.pk != alice.pk
        assert person_of(made) is not None
    assert browser.get("/server-logs/", x_user="admin")[0] == 404


@pytest.mark.parametrize("name", ["system:admin", "a\u200bb", "x" * 254])
def test_a_name_that_cannot_be_is_nobody(browser: Browser, name: str) -> None:
    assert browser.get("/", x_user=name)[0] == 302
    assert not ProxyAccount.objects.exists()


def test_only_the_proxy_is_believed(browser: Browser, settings: Any) -> None:
    settings.PROXIES = [ip_network("10.0.0.0/8")]
    assert browser.get("/", x_user="anna")[0] == 302
    # what it says of where it comes from changes nothing
    assert browser.get("/", x_user="anna", X_Forwarded_For="10.0.0.1")[0] == 302
    settings.PROXIES, settings.PROXY_SECRET = [ip_network("127.0.0.0/8")], "s3cret"
    for secret in ("", "wrong"):
        assert browser.get("/", x_user="anna", X_AutoTune_Proxy_Secret=secret)[0] == 302
    assert browser.get("/", x_user="anna", X_AutoTune_Proxy_Secret="s3cret")[0] == 200
    settings.USER_HEADER = b""
    assert browser.get("/", x_user="anna", X_AutoTune_Proxy_Secret="s3cret")[0] == 302


def test_a_websocket_is_opened_for_whom_the_proxy_names(
    server: Server, browser: Browser, cluster: Cluster, make_experiment: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    experiment = make_experiment()
    here = experiment.project.namespace
    monkeypatch.setattr(consumers, "LOOK_AGAIN_S", 0.05)
    monkeypatch.setattr(namespaces, "YES_S", 0.0)
    cluster.roles = {("get", here)}
    assert browser.get("/", x_user="anna")[0] == 200
    cookie = {"Cookie": "; ".join(f"{k}={v}" for k, v in browser.cookies.items())}
    address = f"{server.ws_url}/ws/experiments/{experiment.pk}/?after=0"
    with pytest.raises(InvalidStatus, match="403"):
        connect(address, proxy=None, origin=server.url, additional_headers=cookie)
    headers = {**cookie, "X-User": "anna"}
    with connect(address, proxy=None, origin=server.url, additional_headers=headers) as socket:
        assert json.loads(socket.recv(5))["experiment"]["id"] == experiment.pk
        cluster.roles = set()
        with pytest.raises(ConnectionClosed):
            list(iter(lambda: socket.recv(10), None))
        assert socket.close_code == 4404
    with pytest.raises(InvalidStatus, match="404"):
        connect(address, proxy=None, origin=server.url, additional_headers=headers)


# ---- what the cluster lets them do


def of_experiment(experiment: Experiment) -> list[str]:
    filled = {"experiment_id": experiment.pk, "number": "0", "pk": "1", "kind": "history"}
    filled |= {"view": "1", "artifact_id": "1"}
    found = sorted(set(routes(get_resolver(), filled=filled)))
    return [path for path in found if f"/{experiment.pk}/" in path]


@pytest.mark.long
def test_every_route_of_an_experiment_is_closed_to_strangers(
    eve: Client, cluster: Cluster, make_experiment: Any, make_trial: Any, client: Client
) -> None:
    """And to who may only look, those that change something."""
    experiment = make_experiment()
    make_trial(experiment)
    pages = Client()
    pages.force_login(ProxyAccount.objects.get().user)
    paths = of_experiment(experiment)
    assert len(paths) > 40
    cluster.roles = {(verb, "elsewhere") for verb in ("get", "patch", "create", "delete")}
    for path in paths:
        by = eve if path.startswith("/api/") else pages
        for method in ("GET", *CHANGING):
            answer = by.generic(method, path, "{}", content_type="application/json")
            assert answer.status_code in (404, 405), (method, path, answer.content)
    cluster.roles = {("get", experiment.project.namespace)}
    namespaces_forget(cluster)
    assert eve.get(url(experiment)).status_code == 200
    assert pages.get(f"/experiments/{experiment.pk}/").status_code == 200
    for path in paths:
        for method in CHANGING:
            answer = eve.generic(method, path, "{}", content_type="application/json")
            allowed = (403, 404, 405) if path.startswith("/api/") else (302, 405)
            assert answer.status_code in allowed, (method, path, answer.content)
            if answer.status_code == 404:
                assert "/artifacts/1/" in path, path
    experiment.refresh_from_db()
    assert not experiment.deleting
    assert client.get(url(experiment)).status_code == 200, "our own accounts see it as ever"


def namespaces_forget(cluster: Cluster) -> None:
    cluster._answers.clear()


def test_lists_and_choices_hold_what_one_may_see(
    eve: Client, cluster: Cluster, make_experiment: Any
) -> None:
    mine, other = make_experiment(name="mine"), make_experiment(name="other")
    Experiment.objects.filter(pk=mine.pk).update(project=Project.of_namespace("team-a"))
    cluster.roles = {("get", "team-a"), ("create", "team-a")}
    assert [row["name"] for row in eve.get(LIST).json()["results"]] == ["mine"]
    compared = eve.get(f"{LIST}compare/?ids={mine.pk},{other.pk}")
    assert compared.status_code == 404, compared.content
    pages = Client()
    user = ProxyAccount.objects.get().user
    pages.force_login(user)
    page = pages.get("/").content.decode()
    assert mine.pk in page
    assert other.pk not in page
    assert pages.get(f"/experiments/new/?from={other.pk}").status_code == 404
    assert pages.get(f"/notifications/?experiment={other.pk}").status_code == 404
    channel = Channel.objects.create(user=user, kind=Channel.Kind.EMAIL, target="e@example.com")
    for experiment in (mine, other):
        facts = {"name": f"about-{experiment.name}", "reason": "no"}
        Notice.objects.create(
            channel=channel, experiment=experiment, what="error", cause=experiment.pk, facts=facts
        )
    (told,) = eve.get("/api/v1/notifications/told/").json()
    assert told["experiment"] == mine.pk
    text = pages.get("/notifications/").content.decode()
    assert "about-mine" in text
    assert "about-other" not in text


WITH_IMAGE = copy.deepcopy(MANIFEST)
(CONTAINER,) = WITH_IMAGE["spec"]["trainingConfig"]["tasks"][0]["template"]["spec"]["containers"]
CONTAINER["image"] = "python"


def of_namespace(name: str) -> dict[str, Any]:
    return {**WITH_IMAGE, "metadata": {**WITH_IMAGE["metadata"], "namespace": name}}


def on_a_cluster(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as a manifest's way in asks: no trial is started."""
    settings.NAMESPACE, settings.NAMESPACES = "default", ["default", "team-a"]
    from experiments.services import intake
    from experiments.trials import backends

    monkeypatch.setattr(type(backends.backend().engine), "runs_here", False)
    monkeypatch.setattr(intake, "_forbidden", lambda parsed, launch: [])


def test_who_makes_an_experiment_makes_it_where_they_may(
    eve: Client, cluster: Cluster, settings: Any, monkeypatch: pytest.MonkeyPatch, client: Client
) -> None:
    on_a_cluster(settings, monkeypatch)
    cluster.roles = {("get", "team-a"), ("create", "team-a")}
    refused = post(eve, LIST, WITH_IMAGE)
    assert refused.status_code == 403
    assert errors(refused)[""] == (
        "You may not create experiments in the namespace 'default'. "
        "Set metadata.namespace to one in which you may: team-a."
    )
    made = post(eve, LIST, of_namespace("team-a"))
    assert made.status_code == 201, made.content
    experiment = Experiment.objects.get()
    assert experiment.project.namespace == "team-a"
    elsewhere = of_namespace("team-b")
    for by in (eve, client):
        answer = post(by, LIST, elsewhere)
        assert answer.status_code in (400, 403)
    assert errors(post(client, LIST, elsewhere))["metadata.namespace"] == (
        "must be one of default, team-a, which are served, but got 'team-b'."
    )
    # a copy is made where its original is
    cluster.roles = {("get", "team-a"), ("create", "default")}
    namespaces_forget(cluster)
    assert post(eve, url(experiment, "clone/"), {}).status_code == 403
    assert post(client, url(experiment, "clone/"), {}).status_code == 201
    assert {e.project.namespace for e in Experiment.objects.all()} == {"team-a"}


def test_while_the_cluster_is_away_one_may_look_but_not_touch(
    eve: Client, cluster: Cluster, make_experiment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = make_experiment()
    here = experiment.project.namespace
    cluster.roles = {(verb, here) for verb in ("get", "patch", "create")}
    assert patch(eve, url(experiment), {"notes": "mine"}).status_code == 200
    cluster.away = True
    monkeypatch.setattr(namespaces, "YES_S", 0.0)  # every answer is an old one
    assert eve.get(url(experiment)).status_code == 200
    assert eve.get(LIST).json()["count"] == 1
    for answer in (
        patch(eve, url(experiment), {"notes": "again"}),
        eve.delete(url(experiment)),
        post(eve, LIST, MANIFEST),
    ):
        assert answer.status_code == 503
        assert "does not say now whether you may" in errors(answer)[""]
        assert int(answer["Retry-After"]) > 0
    experiment.refresh_from_db()
    assert experiment.notes == "mine"
    namespaces_forget(cluster)  # as after a restart
    assert eve.get(LIST).status_code == 503
    pages = Client()
    pages.force_login(ProxyAccount.objects.get().user)
    page = pages.get("/")
    assert page.status_code == 503
    assert "The cluster does not answer" in page.content.decode()


# ---- what is asked, and how often


class Api:
    """An API server that says what a test wants, and counts."""

    def __init__(self) -> None:
        self.says: Any = {"status": {"allowed": True}}
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def post(self, path: str, body: dict[str, Any]) -> Any:
        self.asked.append((path, body))
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    made = Api()
    monkeypatch.setattr(namespaces.KubeApi, "from_environment", lambda: made)
    return made


ANNA = Person("oidc:anna", ("oidc:red", "system:authenticated"))


def test_an_answer_is_kept_a_little(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asking = Namespaces()
    now = [1000.0]
    monkeypatch.setattr(namespaces.time, "monotonic", lambda: now[0])
    assert all(asking.may(ANNA, "get", "a") for _ in range(5))
    ((path, body),) = api.asked
    assert path == "/apis/authorization.k8s.io/v1/namespaces/a/localsubjectaccessreviews"
    assert (body["spec"]["user"], body["spec"]["groups"]) == (ANNA.name, list(ANNA.groups))
    api.says = {"status": {"allowed": False}}
    now[0] += namespaces.YES_S + 0.1
    assert not asking.may(ANNA, "get", "a")
    api.says = {"status": {"allowed": True}}
    assert not asking.may(ANNA, "get", "a")
    now[0] += namespaces.NO_S + 0.1
    assert asking.may(ANNA, "get", "a")


def test_a_namespace_that_we_may_not_ask_about_shuts_no_other(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    asking = Namespaces()
    for status in (403, 404):
        api.says = ApiError(status, "", "not you")
        assert asking.which(ANNA, "get", [f"gone-{status}"]) == []
        assert not asking.may(ANNA, "create", f"gone-{status}")
    assert caplog.text.count("is shut to everybody") == 2
    api.says = {"status": {"allowed": True}}
    assert asking.which(ANNA, "get", ["gone-403", "a", "b"]) == ["a", "b"]


@pytest.mark.parametrize(
    "trouble",
    [Unreachable("no route"), ApiError(503, "", "busy"), ApiError(401, "", "who are you")],
)
def test_who_cannot_be_asked_keeps_nobody_waiting(
    api: Api, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    asking = Namespaces()
    now = [1000.0]
    monkeypatch.setattr(namespaces.time, "monotonic", lambda: now[0])
    assert asking.may(ANNA, "get", "a")
    now[0] += namespaces.YES_S + 0.1
    api.says = trouble
    for _ in range(3):
        with pytest.raises(Unsure):
            asking.may(ANNA, "get", "a")
        assert asking.may(ANNA, "get", "a", to_look=True)
    assert len(api.asked) == 2, "one try, and then a pause"
    now[0] += namespaces.KEPT_S
    with pytest.raises(Unsure):
        asking.may(ANNA, "get", "a", to_look=True)
    api.says = {"status": {"allowed": True}}
    now[0] += namespaces.AWAY_S + 0.1
    assert asking.may(ANNA, "get", "a")


def test_the_names_are_those_of_the_cluster(db: None, cluster: Cluster, settings: Any) -> None:
    user = person("anna", "red", "system:masters")
    assert person_of(user) == Person("anna", ("red", "system:authenticated"))
    settings.USER_PREFIX = settings.GROUPS_PREFIX = "oidc:"
    found = person_of(user)
    assert found is not None
    assert found.name == "oidc:anna"
    assert found.groups == ("oidc:red", "oidc:system:masters", "system:authenticated")
    user.proxy_account.seen_at -= namespaces.GROUPS_LAST
    gone = person_of(user)
    assert gone is not None
    assert gone.groups == ("system:authenticated",)
    assert proxy.user_of(proxy.Identity("system:x", ())) is not None, "it is oidc:system:x there"
    settings.CHECK_NAMESPACES = False
    assert person_of(user) is None


@pytest.mark.long
def test_settings_that_would_believe_anybody_stop_the_start(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.e2e.stack import manage

    given = {"AUTOTUNE_USER_HEADER": "X-User", "AUTOTUNE_PROXIES": "10.0.0.0/8"}
    done = manage(tmp_path / "data", "check", **given)
    assert done.returncode
    assert "needs AUTOTUNE_PROXY_SECRET" in done.stderr + done.stdout

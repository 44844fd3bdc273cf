"""A real control plane for the tests of this directory, and a namespace of its own for each."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from experiments.training.kubernetes.backend import KubernetesBackend
from experiments.trials.backends import backend
from tests.groups import need
from tests.kube import jobset
from tests.kube.control_plane import ControlPlane, find_programs
from tests.kube.installed import bind_rights, install_base
from tests.kube.kubelet import Kubelet
from tests.kube.kueue import Kueue
from tests.kube.operators import Operators
from tests.kube.trainer import Trainer

# Two control planes, so that two workers can share the work: for tests of objects, and of jobs.
OBJECTS = (
    "test_access",
    "test_blocked",
    "test_break_in",
    "test_crd",
    "test_deploy",
    "test_helm",
    "test_operator",
)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Tests that use the same control plane share one worker."""
    if "control_plane" in getattr(item, "fixturenames", ()):
        half = "objects" if item.path.stem in OBJECTS else "jobs"
        item.add_marker(pytest.mark.cluster)
        item.add_marker(pytest.mark.xdist_group(f"cluster-{half}"))


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    programs = find_programs()
    need(
        "cluster",
        programs is not None,
        "A Kubernetes control plane (KUBEBUILDER_ASSETS, or tests/kube/controlplane/build.sh)",
    )
    assert programs is not None
    plane = ControlPlane(programs, tmp_path_factory.mktemp("control-plane"))
    try:
        plane.start()
        yield plane
    finally:
        plane.stop()


@pytest.fixture
def admin_kubeconfig(control_plane: ControlPlane) -> Path:
    return control_plane.kubeconfig


@pytest.fixture
def namespace(control_plane: ControlPlane) -> str:
    """A fresh namespace. It stays: the control plane is thrown away as a whole."""
    return control_plane.make_namespace(f"t-{secrets.token_hex(4)}")


@pytest.fixture(scope="session")
def kubelet(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kubelet]:
    """Pods run, and T9k's, Kubeflow's and JobSet's operators are there."""
    there = control_plane.others.is_dir() and (control_plane.programs / jobset.NAME).exists()
    what = "The CRDs of Kueue and Trainer, and JobSet (tests/kube/controlplane/build.sh)"
    need("cluster", there, what)
    with (
        Kubelet(control_plane, tmp_path_factory.mktemp("kubelet")) as kubelet,
        Operators(kubelet),
        Trainer(kubelet),
        jobset.JobSets(control_plane),
    ):
        yield kubelet


@pytest.fixture(scope="session")
def kueue(control_plane: ControlPlane, kubelet: Kubelet) -> Iterator[Kueue]:
    """Queues are there, for what names one."""
    with Kueue(control_plane, kubelet) as kueue:
        yield kueue


@pytest.fixture(scope="session")
def _uvicorn(django_db_setup: None) -> Iterator[str]:
    from autotune_web.asgi import behind_proxies

    config = uvicorn.Config(behind_proxies, port=0, log_level="warning", proxy_headers=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="uvicorn", daemon=True)
    thread.start()
    limit = time.monotonic() + 60
    while not server.started:
        assert time.monotonic() < limit, "the server did not start"
        time.sleep(0.02)
    host, port = server.servers[0].sockets[0].getsockname()[:2]
    yield f"http://{host}:{port}"
    server.should_exit = True
    thread.join(timeout=20)


@pytest.fixture
def trial_url(_uvicorn: str, transactional_db: None, settings: Any) -> str:
    """The trial API, where the trials of a test find it."""
    settings.TRIAL_URL = _uvicorn
    return _uvicorn


@pytest.fixture(scope="session")
def _shipped(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """deploy/base: the namespace of its accounts, and a kubeconfig of the worker's."""
    first = control_plane.make_namespace(f"t-{secrets.token_hex(4)}")
    own = install_base(control_plane, first, tmp_path_factory.mktemp("base"))
    return own, control_plane.service_account_kubeconfig(own, "autotune-worker")


@pytest.fixture
def use_engine(
    control_plane: ControlPlane,
    namespace: str,
    _shipped: tuple[str, Path],
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Callable[[str], KubernetesBackend]]:
    """Make this process a worker with the given AUTOTUNE_TRAINING_ENGINE, and the shipped rights.

    Those of deploy/rights in the test's namespace, which deploy/trials restricts.
    """
    own, account = _shipped
    bind_rights(control_plane, namespace, own, tmp_path / "rights")
    monkeypatch.setenv("KUBECONFIG", str(account))
    settings.TRIALS_DIR = tmp_path / "trials"
    made: list[KubernetesBackend] = []

    def use(engine: str) -> KubernetesBackend:
        settings.TRAINING_ENGINE = engine
        backend.cache_clear()
        found = backend().engine
        assert isinstance(found, KubernetesBackend)
        made.append(found)
        return found

    yield use
    for each in made:
        each.close()
    backend.cache_clear()

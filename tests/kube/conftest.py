"""One real control plane for all tests of this directory, and a namespace of its own for each."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.groups import need
from tests.kube.control_plane import ControlPlane, find_programs


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that use the control plane share one worker, as they share the control plane."""
    for item in items:
        if "control_plane" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.xdist_group("cluster"))


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

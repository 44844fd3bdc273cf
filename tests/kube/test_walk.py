"""docs/kubernetes.md, command by command, from an empty cluster: each overlay, and Helm.

Everything that its blocks say is run as it stands, in a copy of the tree, but for what needs pods
that run (no node is there to run them), an image registry, or a database: those are named below.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.stack import ROOT
from tests.groups import need
from tests.kube.control_plane import ControlPlane, find_programs

GUIDE = (ROOT / "docs" / "kubernetes.md").read_text()
PLAYED = re.compile(
    r"^docker |^pg_dump | rollout status | port-forward | exec "
    r"| wait --for=condition=(?:complete|Finished|Ready)| wait ate "
)
pytestmark = [pytest.mark.cluster, pytest.mark.long, pytest.mark.xdist_group("walk")]


def blocks(title: str) -> list[str]:
    """The shell blocks of a section."""
    section = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## )", GUIDE, re.S | re.M)
    assert section is not None, title
    found = re.findall(r"```sh\n(.*?)```", section[1], re.S)
    assert found, title
    return list(found)


def lines(block: str) -> list[str]:
    """Its commands, those of several lines whole."""
    return [line for line in block.replace("\\\n", " ").splitlines() if line.strip()]


class Walk:
    """A person with a terminal, an empty cluster, and a checkout."""

    def __init__(self, plane: ControlPlane, place: Path) -> None:
        self.plane, self.place = plane, place
        self.where = place / ".where"  # a terminal stays where the last command has left it
        self.where.write_text(str(place))
        for name in ("deploy", "examples"):
            shutil.copytree(ROOT / name, place / name, symlinks=True)
        self._key_pair()
        self.run: list[str] = []

    def follow(self, title: str, *, only: str = "", but: str = "") -> None:
        """Run a section's blocks; ``only`` those, or ``but`` those, that hold a word."""
        for block in blocks(title):
            if (only and only not in block) or (but and but in block):
                continue
            kept = [line for line in lines(block) if not PLAYED.search(line)]
            self.shell("\n".join(kept))

    def shell(self, script: str) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"{script}\npwd > {self.where}"],
            cwd=self.where.read_text().strip(),
            capture_output=True,
            text=True,
            timeout=150,
            env={
                "HOME": str(self.place),
                "PATH": f"{self.plane.programs}:{os.environ['PATH']}",
                "KUBECONFIG": str(self.plane.kubeconfig),
            },
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        assert "would violate" not in done.stderr, done.stderr
        self.run += script.splitlines()
        return done.stdout

    def names(self, kinds: str, namespace: str = "") -> set[str]:
        where = ["-n", namespace] if namespace else []
        items = json.loads(self.plane.kubectl(*where, "get", kinds, "-o", "json"))["items"]
        return {o["metadata"]["name"] for o in items}

    def object(self, kind: str, name: str, namespace: str) -> dict[str, Any]:
        found = self.plane.kubectl("-n", namespace, "get", kind, name, "-o", "json")
        return dict(json.loads(found))

    def first_experiment(self) -> None:
        self.follow("The first experiment")
        assert self.names("ate", "autotune-trials") == {"quickstart"}
        self.shell("kubectl apply -f deploy/samples/egress-of-trials.yaml")

    def uninstall(self, *, first: bool = True) -> None:
        running, rest = blocks("Uninstall")
        if first:
            self.shell(running)
        assert self.names("deployment", "autotune") == set()
        assert self.names("pvc", "autotune") == {"autotune-data"}, "the volume is asked for alone"
        assert self.names("ate", "autotune-trials") == {"quickstart"}
        self.shell(rest)
        assert not {"autotune", "autotune-trials"} & self.names("namespace")
        assert "autotuneexperiments.tensorstack.dev" not in self.names("crd")
        assert not [name for name in self.names("clusterrole") if name.startswith("autotune")]
        assert self.names("validatingadmissionpolicy") & {"autotune-trials"} == set()

    def _key_pair(self) -> None:
        certificates = self.plane.directory / "certs"
        shutil.copy(certificates / "apiserver.crt", self.place / "tls.crt")
        shutil.copy(certificates / "apiserver.key", self.place / "tls.key")


@pytest.fixture
def walk(tmp_path: Path) -> Iterator[Walk]:
    programs = find_programs()
    there = programs is not None and (programs / "helm").exists()
    need("cluster", there, "A Kubernetes control plane and helm (tests/kube/controlplane/build.sh)")
    assert programs is not None
    plane = ControlPlane(programs, tmp_path / "plane")
    try:
        plane.start()
        yield Walk(plane, tmp_path)
    finally:
        plane.stop()


def test_everything_in_one_pod(walk: Walk) -> None:
    walk.follow("Install: everything in one pod")
    container = walk.object("deployment", "autotune", "autotune")["spec"]["template"]["spec"]
    assert container["containers"][0]["image"] == "REGISTRY/autotune-web:0.1.0"
    walk.first_experiment()
    walk.follow("Upgrade", only="deploy/embedded")
    walk.follow("Backup and restore", only="backup.sqlite3")
    walk.uninstall()


def test_a_role_a_pod(walk: Walk) -> None:
    walk.follow("Install: a role a pod")
    roles = {f"autotune-{role}" for role in ("web", "worker", "ticker", "operator")}
    assert walk.names("deployment", "autotune") == roles
    walk.first_experiment()
    walk.follow("A name, and TLS")
    walk.follow("Namespaces")
    labels = walk.object("namespace", "team-a", "team-a")["metadata"]["labels"]
    served = walk.object("namespace", "autotune-trials", "autotune-trials")["metadata"]["labels"]
    policies = [key for key in served if key.startswith(("autotune.", "pod-security."))]
    assert len(policies) == 3
    assert all(labels[key] == served[key] for key in policies)
    assert walk.names("rolebinding", "team-a") >= {"autotune-worker", "autotune-web"}
    walk.follow("Backup and restore", only="secret.yaml")
    walk.follow("Upgrade", only="deploy/production")
    job = walk.object("job", "autotune-migrations", "autotune")["spec"]["template"]["spec"]
    assert job["containers"][0]["image"].endswith(":0.2.0")
    walk.follow("Backup and restore", only="--replicas=0")
    walk.uninstall()


def test_with_helm(walk: Walk) -> None:
    walk.follow("Install: with Helm")
    assert walk.names("deployment", "autotune") == {"autotune"}
    walk.first_experiment()
    walk.follow("Upgrade", only="helm upgrade")
    pod = walk.object("deployment", "autotune", "autotune")["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == "REGISTRY/autotune-web:0.2.0"
    walk.shell("helm uninstall autotune -n autotune")
    walk.uninstall(first=False)


def test_no_command_is_left_out_but_those_that_need_a_node() -> None:
    """Each section with commands is one that a walk above follows."""
    followed = set(re.findall(r'(?:follow|blocks)\(\s*"([^"]+)"', Path(__file__).read_text()))
    sections = re.split(r"^## ", GUIDE, flags=re.M)[1:]
    with_commands = {s.splitlines()[0] for s in sections if "```sh" in s}
    others = {"Build the image", "Objects", "Try it from your machine"}
    assert with_commands - followed == others

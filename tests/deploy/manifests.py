"""The manifests of deploy/k8s as `kubectl apply -k` would apply them."""

import functools
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tests.deploy.test_container import ROOT

FOLDER = ROOT / "deploy/k8s"
OVERLAY = Path("overlays/production")
KUBECTL = shutil.which("kubectl", path=f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin")

Json = dict[str, Any]

with_kubectl = pytest.mark.skipif(KUBECTL is None, reason="kubectl, which has kustomize, is not installed")


@functools.cache
def base() -> tuple[Json, ...]:
    return _built(FOLDER / "base")


@functools.cache
def production() -> tuple[Json, ...]:
    return _built(FOLDER / OVERLAY)


@functools.cache
def everything() -> tuple[Json, ...]:
    """The overlay with all components, whose lines are comments at first."""
    with tempfile.TemporaryDirectory() as name:
        copy = shutil.copytree(FOLDER, Path(name) / "k8s")
        file = copy / OVERLAY / "kustomization.yaml"
        file.write_text(file.read_text().replace("  # - ", "  - "))
        return _built(file.parent)


def of_kind(kind: str, resources: tuple[Json, ...]) -> dict[str, Json]:
    """The resources of this kind, by name."""
    return {each["metadata"]["name"]: each for each in resources if each["kind"] == kind}


def pod(deployment: Json) -> Json:
    spec: Json = deployment["spec"]["template"]["spec"]
    return spec


def program(deployment: Json) -> Json:
    """The only container."""
    [container] = pod(deployment)["containers"]
    return dict(container)


def _built(folder: Path) -> tuple[Json, ...]:
    assert KUBECTL
    ended = subprocess.run([KUBECTL, "kustomize", folder], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return tuple(yaml.safe_load_all(ended.stdout))

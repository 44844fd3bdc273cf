"""What the settings take from the environment: numbers of GPUs."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured

from autotune_web.env import env_indices


@pytest.mark.parametrize(
    ("given", "found"), [("", None), (" ", None), ("0", (0,)), (" 3, 0,1 ", (3, 0, 1))]
)
def test_gpus_are_given_by_number(
    monkeypatch: pytest.MonkeyPatch, given: str, found: tuple[int, ...] | None
) -> None:
    monkeypatch.setenv("AUTOTUNE_GPUS", given)
    assert env_indices("AUTOTUNE_GPUS") == found


@pytest.mark.parametrize("given", ["0,", "-1", "0.5", "0,0", "GPU-1", "all", "²"])
def test_what_names_no_gpus_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("AUTOTUNE_GPUS", given)
    with pytest.raises(ImproperlyConfigured, match="AUTOTUNE_GPUS must be numbers of GPUs"):
        env_indices("AUTOTUNE_GPUS")

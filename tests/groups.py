"""Groups of tests that need programs a machine may lack, and how their absence is treated.

On a laptop such a test is skipped with a clear word. Where AUTOTUNE_REQUIRE_GROUPS names its group
(CI does), the absence is a failure: a green run there means that they ran.
"""

from __future__ import annotations

import os

import pytest

GROUPS = ("browser", "services", "cluster", "install")


def need(group: str, present: bool, what: str) -> None:
    """Go on where ``present``; else skip, or fail where the group is required."""
    assert group in GROUPS
    if present:
        return
    required = os.environ.get("AUTOTUNE_REQUIRE_GROUPS", "").split(",")
    if group in required:
        pytest.fail(f"Group {group!r} is required here, but {what} was not found.")
    pytest.skip(f"{what} was not found; group {group!r} is left out.")

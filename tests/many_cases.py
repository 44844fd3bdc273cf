"""Many small cases in one test: ``each`` in the place of ``pytest.mark.parametrize``.

A test of its own costs milliseconds in fixtures and reports, more than the case itself where
hundreds of seeds or routes go one way. For cases that leave nothing behind: they share their
fixtures, and the first that fails ends the test, which says which it was.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any


def each(name: str, values: Iterable[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Call the test once for each of ``values``, which it gets as the argument ``name``."""
    all_of_them = list(values)
    assert all_of_them, "a test of nothing would always pass"

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def run(**fixtures: Any) -> None:
            for value in all_of_them:
                try:
                    test(**fixtures, **{name: value})
                except BaseException as error:
                    error.add_note(f"This was the case {name} = {value!r}.")
                    raise

        signature = inspect.signature(test)
        others = [each for each in signature.parameters.values() if each.name != name]
        assert len(others) < len(signature.parameters), f"the test takes no {name}"
        run.__signature__ = signature.replace(parameters=others)  # type: ignore[attr-defined]
        return run

    return decorate

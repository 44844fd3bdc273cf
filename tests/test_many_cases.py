"""Cases that share one test are all tried, and the one that fails is named."""

from __future__ import annotations

import inspect

import pytest

from tests.many_cases import each


def test_all_are_tried_and_the_one_that_fails_is_named(tmp_path: object) -> None:
    tried: list[int] = []

    @each("number", range(5))
    def check(number: int, tmp_path: object) -> None:
        tried.append(number)
        assert number != 3

    assert list(inspect.signature(check).parameters) == ["tmp_path"], "pytest gives the rest"
    with pytest.raises(AssertionError) as caught:
        check(tmp_path=tmp_path)
    assert caught.value.__notes__ == ["This was the case number = 3."]
    assert tried == [0, 1, 2, 3]


def test_no_case_and_a_name_that_nobody_takes_are_mistakes() -> None:
    with pytest.raises(AssertionError, match="nothing"):
        each("number", [])
    with pytest.raises(AssertionError, match="takes no other"):
        each("other", [1])(lambda number: None)

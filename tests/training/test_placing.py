"""Who gets which GPUs, cores and memory, and who waits for whom: pure, so every case is a table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from experiments.training.local.placing import GIB, Claim, Device, Machine, Request, place

FOUR = Machine(tuple(Device(str(i), i, 80 * GIB, 80 * GIB) for i in range(4)), 8.0, 64 * GIB)
_COUNT = iter(range(1, 1000))


def asks(*gpus: int, **fields: Any) -> Request:
    number = next(_COUNT)
    values: dict[str, Any] = {"job": f"/t/at-x-{number}-1", "experiment": "x", "trial": number}
    return Request(**values | {"gpus": gpus, "since": float(number)} | fields)


def has(request: Request, *keys: str) -> Claim:
    return Claim(request, (keys,))


def test_each_replica_gets_gpus_of_its_own_the_emptiest_first() -> None:
    taken = has(asks(1), "0")
    assert place(asks(2, 1), FOUR, [taken]).devices == (("1", "2"), ("3",))
    assert place(asks(), FOUR, [taken]).devices == ()
    assert place(asks(0, 1), FOUR, [taken]).devices == ((), ("1",))


def test_who_waits_is_told_for_what_and_who_holds_it() -> None:
    first, second = asks(2), asks(1)
    placed = place(asks(2), FOUR, [has(first, "0", "1"), has(second, "3")])
    assert placed.devices == ()
    assert placed.why == (
        f"Waits for 2 GPUs (4 here, 1 free). GPU 0: x #{first.trial}; "
        f"GPU 1: x #{first.trial}; GPU 3: x #{second.trial}."
    )


def test_fewer_gpus_than_asked_for_is_said() -> None:
    two = replace(FOUR, devices=FOUR.devices[:2])
    assert "this machine has 2 now" in place(asks(3), two, []).why


@pytest.mark.parametrize(
    ("mine", "theirs", "shares"),
    [
        ({"per_gpu": 2}, {"per_gpu": 2}, True),
        ({"per_gpu": 2}, {"per_gpu": 1}, False),
        ({"per_gpu": 1}, {"per_gpu": 2}, False),
        ({"per_gpu": 2, "alone": "gpu"}, {"per_gpu": 2}, False),
        ({"per_gpu": 2}, {"per_gpu": 2, "alone": "gpu"}, False),
    ],
)
def test_a_gpu_is_shared_only_where_both_allow_it(
    mine: dict[str, Any], theirs: dict[str, Any], shares: bool
) -> None:
    one = replace(FOUR, devices=FOUR.devices[:1])
    assert bool(place(asks(1, **mine), one, [has(asks(1, **theirs), "0")]).devices) == shares


def test_no_more_than_so_many_share_a_gpu() -> None:
    one = replace(FOUR, devices=FOUR.devices[:1])
    three = [has(asks(1, per_gpu=3), "0") for _ in range(3)]
    assert place(asks(1, per_gpu=3), one, three[:2]).devices == (("0",),)
    assert place(asks(1, per_gpu=3), one, three).why


@pytest.mark.parametrize(
    ("peaks", "free", "fits"),
    [
        ((20, 20), 60, True),
        ((30, 30, 20), 80, False),  # 88 GiB with what is spare
        ((24, 24, 24), 80, True),
        ((20, 20), 21, False),  # somebody else took memory meanwhile
        ((None, 20), 80, False),  # the first may still grow
        ((20, None), 80, False),
    ],
)
def test_by_measured_memory_a_trial_joins_where_the_peak_leaves_room(
    peaks: tuple[int | None, ...], free: int, fits: bool
) -> None:
    one = Machine((Device("0", 0, 80 * GIB, free * GIB),), 8.0, 64 * GIB)
    requests = [
        asks(1, per_gpu=None, measures=True, peak=None if peak is None else peak * GIB)
        for peak in peaks
    ]
    *held, mine = requests
    placed = place(mine, one, [has(each, "0") for each in held])
    assert bool(placed.devices) == fits, placed.why


def test_measured_memory_is_still_bound_by_how_many_may_share_and_needs_a_known_size() -> None:
    small = {"measures": True, "peak": GIB}
    one = replace(FOUR, devices=FOUR.devices[:1])
    two = [has(asks(1, per_gpu=2, **small), "0") for _ in range(2)]
    assert place(asks(1, per_gpu=2, **small), one, two).why
    given = Machine((Device("0", 0),), 8.0, GIB)
    why = place(asks(1, per_gpu=None, **small), given, [has(asks(1, per_gpu=None, **small), "0")])
    assert "cannot be measured" in why.why


def test_a_gpu_that_strangers_use_is_left_to_them_unless_told_otherwise() -> None:
    busy = Machine((Device("0", 0, 80 * GIB, 10 * GIB, strangers=2),), 8.0, GIB)
    assert "used by 2 processes that are no trials" in place(asks(1), busy, []).why
    assert place(asks(1, use_active=True), busy, []).devices == (("0",),)


def test_only_the_gpus_of_gpu_indices_are_used() -> None:
    assert place(asks(1, indices=(2,)), FOUR, []).devices == (("2",),)
    assert "gpuIndices" in place(asks(1, indices=(2,)), FOUR, [has(asks(1), "2")]).why


def test_who_came_first_is_served_first_and_nobody_starves() -> None:
    large, small = asks(4), asks(1)
    held = [has(asks(1), "0")]
    why = place(small, FOUR, held, [large]).why
    assert f"kept for x #{large.trial}, which waits longer" in why
    assert place(small, FOUR, held, []).devices
    assert place(large, FOUR, held, [small]).why, "one is not free"
    assert place(large, FOUR, [], [small]).devices, "it was there before"
    urgent = replace(small, priority=50)
    assert place(urgent, FOUR, held, [large]).devices == (("1",),)
    # what who waits before cannot use is free
    picky = asks(1, indices=(0,))
    assert place(asks(1), FOUR, held, [picky]).devices == (("1",),)


def test_who_is_before_and_could_start_now_keeps_its_place_until_it_does() -> None:
    two = replace(FOUR, devices=FOUR.devices[:2])
    before, after = asks(1), asks(2)
    assert place(after, two, [], [before]).why
    assert place(asks(1), two, [], [before]).devices == (("1",),)


def test_cores_and_memory_are_slots_too() -> None:
    held = has(asks(cpu=6.0, memory=60 * GIB))
    why = place(asks(cpu=3.0), FOUR, [held]).why
    assert why == (f"Waits for 3 cores: of 8 here 6 are taken by x #{held.request.trial}.")
    assert "GiB of memory" in place(asks(memory=5 * GIB), FOUR, [held]).why
    assert not place(asks(cpu=2.0, memory=4 * GIB), FOUR, [held]).why
    assert not place(asks(), FOUR, [held]).why, "who asks for nothing waits for nothing"
    assert not place(asks(cpu=100.0, memory=100 * GIB), FOUR, []).why, "it gets all there is"
    assert place(asks(cpu=100.0), FOUR, [has(asks(cpu=0.5))]).why


def test_who_waits_for_a_gpu_holds_up_nobody_who_needs_cores() -> None:
    full = [has(asks(4), "0", "1", "2", "3")]
    waits = asks(1, cpu=8.0)
    assert not place(asks(cpu=4.0), FOUR, full, [waits]).why


def test_who_ran_out_of_the_machines_memory_runs_alone() -> None:
    lone, other = asks(alone="machine"), asks()
    assert "run" in place(lone, FOUR, [has(other)]).why
    assert not place(lone, FOUR, []).why
    assert f"x #{lone.trial}" in place(asks(), FOUR, [has(lone)]).why
    assert place(asks(), FOUR, [has(other)], [lone]).why, "nobody new, so that its turn comes"

"""The way to hyperopt and back, checked against hyperopt used directly."""

from __future__ import annotations

import logging

import hyperopt
import numpy as np
import pytest
from hyperopt import hp

from experiments.algorithms.arguments import TPEArgs
from experiments.algorithms.base import Observation, Outcome
from experiments.algorithms.hyperopt_bridge import LatentSpace, Liar
from experiments.algorithms.one_by_one import derive_rng
from experiments.algorithms.space.search_space import SearchSpace
from experiments.algorithms.tuners.tpe import TPETuner
from tests.algorithms.spaces import EVERY_TYPE

LINE = {"x": {"_type": "uniform", "_value": [-1, 3]}}


def test_a_configuration_survives_the_way_there_and_back() -> None:
    space = SearchSpace.parse(EVERY_TYPE)
    latent = LatentSpace(space)
    rng = np.random.default_rng(0)
    for _ in range(100):
        params = space.sample(rng)
        found = latent.encode(params)
        assert found is not None
        assert all(0 <= v <= 1 or v == int(v) for v in found.values())
        back = latent.decode({label: [value] for label, value in found.items()})
        for name, value in params.items():
            again = back[name]
            if isinstance(value, dict) and "drop" in value:  # the float inside a branch
                assert again["drop"] == pytest.approx(value["drop"])
                assert again["kernel"] == value["kernel"]
            elif isinstance(value, float):
                assert again == pytest.approx(value, rel=1e-6, abs=1e-6)
            else:
                assert again == value
    assert latent.encode({**params, "u": 99}) is None


def done(number: int, x: float, loss: float) -> Observation:
    return Observation(number, {"x": x}, Outcome.DONE, loss, completed=True)


@pytest.mark.parametrize(("liar", "lie"), [("min", 1.0), ("max", 4.0), ("mean", 2.5)])
def test_running_trials_get_the_liars_loss_and_failed_ones_fail(liar: Liar, lie: float) -> None:
    history = [
        done(0, 0.0, 1.0),
        Observation(1, {"x": 1.0}, Outcome.RUNNING),
        done(2, 2.0, 4.0),
        Observation(3, {"x": 3.0}, Outcome.FAILED),
        Observation(4, {"x": 99.0}, Outcome.DONE, -1.0),
    ]
    trials = LatentSpace(SearchSpace.parse(LINE)).trials(history, liar)
    assert trials.statuses() == ["ok", "ok", "ok", "fail"]
    assert trials.losses() == [1.0, pytest.approx(lie), 4.0, None]
    assert trials.vals["0"] == [0.25, 0.5, 0.75, 1.0]


def test_without_a_loss_there_is_nothing_to_lie_with() -> None:
    history = [Observation(0, {"x": 0.0}, Outcome.RUNNING)]
    trials = LatentSpace(SearchSpace.parse(LINE)).trials(history, "min")
    assert trials.losses() == [None]


def test_proposals_are_those_of_hyperopt_asked_directly() -> None:
    """Same seed, same history, in a space whose types mean the same to both."""
    raw = {
        "x": {"_type": "uniform", "_value": [0, 1]},
        "c": {"_type": "choice", "_value": ["a", "b", "c"]},
    }
    space = SearchSpace.parse(raw)
    rng = np.random.default_rng(1)
    history = []
    trials = hyperopt.Trials()
    domain = hyperopt.base.Domain(
        lambda p: 0.0, {"0": hp.uniform("0", 0, 1), "1": hp.randint("1", 3)}
    )
    for number in range(30):
        params = space.sample(rng)
        loss = (params["x"] - 0.3) ** 2 + "abc".index(params["c"])
        history.append(Observation(number, params, Outcome.DONE, loss, completed=True))
        (doc,) = hyperopt.rand.suggest([number], domain, trials, 0)
        doc["misc"]["vals"] = {"0": [params["x"]], "1": ["abc".index(params["c"])]}
        doc["state"] = hyperopt.JOB_STATE_DONE
        doc["result"] = {"status": hyperopt.STATUS_OK, "loss": loss}
        trials.insert_trial_docs([doc])
        trials.refresh()
    seed = int(derive_rng(5, 30, 0).integers(2**31))
    (direct,) = hyperopt.tpe.suggest([30], domain, trials, seed, n_startup_jobs=0, verbose=False)
    (ours,) = TPETuner(space, TPEArgs(engine="hyperopt"), 5).propose(history, 1).suggestions
    assert ours.parameters == {
        "x": pytest.approx(direct["misc"]["vals"]["0"][0]),
        "c": "abc"[direct["misc"]["vals"]["1"][0]],
    }


def test_hyperopt_prints_and_logs_nothing(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    space = SearchSpace.parse(EVERY_TYPE)
    rng = np.random.default_rng(2)
    history = [
        Observation(n, space.sample(rng), Outcome.DONE, float(n), completed=True) for n in range(30)
    ]
    TPETuner(space, TPEArgs(engine="hyperopt"), 0).propose(history, 2)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""
    assert [r for r in caplog.records if r.name.startswith("hyperopt")] == []

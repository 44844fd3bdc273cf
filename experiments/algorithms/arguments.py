"""The settings of every algorithm: names, defaults and meanings of the specification.

Apart from the algorithms themselves, so that forms and parsers need not import what the algorithms
compute with. The registry ties each class to its algorithm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from experiments.algorithms.settings import LARGEST_EXACT, Args, setting
from experiments.algorithms.space.parameters import join, show
from experiments.problems import Problem

OPTIMIZE_MODES = ("maximize", "minimize")


@dataclass(frozen=True)
class TunerArgs(Args):
    """What every tuner takes. ``optimize_mode`` is read by the engine alone: it flips the sign."""

    # every argument of any tuner in the specification, and NNI's name for an older switch
    ignored: ClassVar[frozenset[str]] = frozenset(
        {
            "constant_liar_type",
            "all_checkpoint_dir",
            "engine",
            "parallel_optimize",
            "population_size",
            "no_resampling",
            "no_candidates",
            "selection_num_starting_points",
            "cold_start_num",
            "exploration_probability",
            "utility",
            "kappa",
            "xi",
            "nu",
            "alpha",
            "selection_num_warm_up",
            "trials_per_update",
            "epochs_per_update",
            "minibatch_size",
            "ent_coef",
            "lr",
            "vf_coef",
            "max_grad_norm",
            "gamma",
            "lam",
            "cliprange",
            "factor",
            "resample_probability",
            "fraction",
            "n_startup_jobs",
            "n_ei_candidates",
            "prior_weight",
            "tpe_args",
            "costAware",
        }
    )

    optimize_mode: str = setting(
        "maximize",
        choices=OPTIMIZE_MODES,
        help="Whether larger or smaller final results are better.",
    )
    seed: int | None = setting(
        None,
        low=0,
        high=LARGEST_EXACT,
        help="Seed of all draws, for an experiment that can be repeated; by default the server "
        "chooses one.",
    )


@dataclass(frozen=True)
class AutoArgs(TunerArgs):
    """Auto."""

    costAware: bool = setting(
        False,
        help="Weigh what a trial promises against how long it will take, by the trials so far.",
    )


@dataclass(frozen=True)
class HyperoptArgs(TunerArgs):
    """Random and Anneal."""

    constant_liar_type: str = setting(
        "min",
        choices=("min", "max", "mean"),
        help="What a trial that still runs is taken to reach: the best (min), the worst (max) or "
        "the mean result of the finished ones.",
    )


# NNI's spellings of what a running trial is taken to reach
_NNI_LIARS = {"best": "min", "worst": "max", "mean": "mean"}


@dataclass(frozen=True)
class TPEArgs(HyperoptArgs):
    """TPE. NNI's ``tpe_args`` is an object of some of these settings."""

    engine: str = setting(
        "parzen",
        choices=("parzen", "hyperopt"),
        help="This project's multivariate estimator (parzen), or the one of hyperopt.",
    )
    n_startup_jobs: int | None = setting(
        None,
        low=1,
        high=100_000,
        help="Finished trials before the model starts; by default 10 (parzen) or 20 (hyperopt).",
    )
    n_ei_candidates: int = setting(
        24, low=1, high=100_000, help="Draws of which the most promising one is proposed."
    )
    prior_weight: float = setting(
        1.0, above=0, high=1e6, help="Weight of the even density beside the trials, in trials."
    )
    gamma: float | None = setting(
        None,
        above=0,
        high=1,
        help="Share of the trials that is good: of all, by default 0.1 (parzen); times the square "
        "root of their number, by default 0.25 (hyperopt).",
    )

    @classmethod
    def unfold(
        cls, raw: Mapping[str, Any], path: str
    ) -> tuple[dict[str, Any], list[Problem], list[Problem]]:
        """Read NNI 3.0's ``tpe_args``; what has no meaning here is warned about."""
        found, inner = {k: v for k, v in raw.items() if k != "tpe_args"}, raw.get("tpe_args")
        here = f"{path}.tpe_args"
        if inner is None:
            return found, [], []
        if not isinstance(inner, Mapping):
            return found, [Problem(here, f"must be an object, but got {show(inner)}.")], []
        problems, warnings = [], []
        for name, value in inner.items():
            if name == "linear_forgetting":
                warnings.append(Problem(f"{here}.{name}", "has no meaning here and is ignored."))
            elif name not in ("constant_liar_type", *_OF_TPE_ARGS):
                known = ", ".join(("constant_liar_type", *_OF_TPE_ARGS, "linear_forgetting"))
                message = f"is not one of tpe_args, which has: {known}."
                problems.append(Problem(join(here, str(name)), message))
            elif name in found:
                problems.append(Problem(f"{here}.{name}", f"is given as {path}.{name} too."))
            elif name == "constant_liar_type" and value is None:
                found[name] = "max"
                message = "null is read as max: running trials only keep others off their spot."
                warnings.append(Problem(f"{here}.{name}", message))
            elif name == "constant_liar_type":
                found[name] = _NNI_LIARS.get(value, value) if isinstance(value, str) else value
            else:
                found[name] = value
        return found, problems, warnings


_OF_TPE_ARGS = ("n_startup_jobs", "n_ei_candidates", "prior_weight", "gamma")


@dataclass(frozen=True)
class BatchArgs(TunerArgs):
    """Batch takes no settings of its own."""


@dataclass(frozen=True)
class GridSearchArgs(TunerArgs):
    """GridSearch takes no settings of its own."""


@dataclass(frozen=True)
class EvolutionArgs(TunerArgs):
    """Evolution."""

    population_size: int = setting(32, low=2, high=10_000, help="Trials in the first generation.")


@dataclass(frozen=True)
class CMAESArgs(TunerArgs):
    """CMA-ES."""

    population_size: int | None = setting(
        None,
        low=4,
        high=10_000,
        help="Trials of one generation; by default 4 and three times the logarithm of the number "
        "of numeric parameters.",
    )


@dataclass(frozen=True)
class MetisArgs(TunerArgs):
    """MetisTuner."""

    no_resampling: bool = setting(True, help="Never try a configuration again to measure noise.")
    no_candidates: bool = setting(False, help="Propose only the current optimum of the model.")
    selection_num_starting_points: int = setting(
        600, low=1, high=100_000, help="Points from which the best candidate is searched."
    )
    cold_start_num: int = setting(
        10, low=1, high=100_000, help="Random trials before the model starts."
    )
    exploration_probability: float = setting(
        0.9, low=0, high=1, help="How often a trial explores instead of exploiting."
    )


@dataclass(frozen=True)
class GPArgs(TunerArgs):
    """GPTuner."""

    utility: str = setting(
        "ei",
        choices=("ei", "ucb", "poi"),
        help="Acquisition: expected improvement, confidence bound or probability of improvement.",
    )
    kappa: float = setting(5.0, low=0, help="Exploration weight of ucb.")
    xi: float = setting(0.0, low=0, help="Exploration margin of ei and poi.")
    nu: float = setting(2.5, above=0, help="Smoothness of the Matérn kernel.")
    alpha: float = setting(1e-6, above=0, help="Noise added to the kernel's diagonal.")
    cold_start_num: int = setting(
        10, low=1, high=100_000, help="Random trials before the model starts."
    )
    selection_num_warm_up: int = setting(
        100_000,
        low=1,
        high=10_000_000,
        help="Random points scored to find the best candidate; more than 2048 count as 2048.",
    )
    selection_num_starting_points: int = setting(
        250,
        low=1,
        high=100_000,
        help="Points refined by gradient to find the best candidate; more than 5 count as 5.",
    )


@dataclass(frozen=True)
class PPOArgs(TunerArgs):
    """PPOTuner."""

    trials_per_update: int = setting(20, low=1, high=99_999, help="Trials per policy update.")
    epochs_per_update: int = setting(4, low=1, high=99_999, help="Passes over them per update.")
    minibatch_size: int = setting(4, low=1, high=99_999, help="Trials per gradient step.")
    ent_coef: float = setting(0.0, low=0, help="Weight of the entropy bonus.")
    lr: float = setting(3e-4, above=0, help="Learning rate of the policy.")
    vf_coef: float = setting(0.5, low=0, help="Weight of the value function's loss.")
    max_grad_norm: float = setting(0.5, above=0, help="Gradients are clipped to this norm.")
    gamma: float = setting(0.99, low=0, high=1, help="Discount of later rewards.")
    lam: float = setting(0.95, low=0, high=1, help="Lambda of generalised advantage estimation.")
    cliprange: float = setting(0.2, above=0, help="How far one update may move the policy.")


@dataclass(frozen=True)
class PBTArgs(TunerArgs):
    """PBTTuner."""

    population_size: int = setting(10, low=2, high=10_000, help="Trials of one generation.")
    factor: float = setting(0.2, above=0, below=1, help="How far a perturbation moves a value.")
    resample_probability: float = setting(
        0.25, low=0, high=1, help="How often a value is drawn anew instead of perturbed."
    )
    fraction: float = setting(
        0.2, above=0, high=0.5, help="Share of a generation that copies from the best."
    )
    all_checkpoint_dir: str | None = setting(
        None,
        help="Directory of all checkpoints, shared by all trials; by default one below the "
        "server's data. On a cluster it must lie on a volume that every trial mounts.",
    )


@dataclass(frozen=True)
class AssessorArgs(Args):
    """What every assessor takes. ``optimize_mode`` is read by the engine alone."""

    ignored: ClassVar[frozenset[str]] = frozenset({"start_step", "epoch_num", "threshold", "gap"})

    optimize_mode: str = setting(
        "maximize",
        choices=OPTIMIZE_MODES,
        help="Whether larger or smaller intermediate results are better.",
    )
    let_finish: int = setting(
        0,
        low=0,
        high=1000,
        help="One in so many of the trials that it would stop runs on all the same, which tells "
        "how often it is wrong; by default none does.",
    )


@dataclass(frozen=True)
class MedianstopArgs(AssessorArgs):
    """Medianstop."""

    start_step: int = setting(
        0,
        low=0,
        high=9_999,
        help="A trial is judged only from this many intermediate results on; too early stops "
        "trials that merely start slowly.",
    )


@dataclass(frozen=True)
class CurvefittingArgs(AssessorArgs):
    """Curvefitting."""

    epoch_num: int = setting(20, low=1, high=9_999, help="Intermediate results of a whole trial.")
    start_step: int = setting(6, low=0, high=9_999, help="Results before the first judgement.")
    threshold: float = setting(
        0.95, low=0, help="Share of the best result that a forecast must reach to go on."
    )
    gap: int = setting(1, low=1, high=9_999, help="Results between two judgements.")


@dataclass(frozen=True)
class AdvisorArgs(Args):
    """What every advisor takes. ``optimize_mode`` is read by the engine alone."""

    # NNI's BOHB takes a file of ConfigSpace's in place of the search space
    ignored: ClassVar[frozenset[str]] = frozenset({"config_space"})

    optimize_mode: str = setting(
        "maximize",
        choices=OPTIMIZE_MODES,
        help="Whether larger or smaller final results are better.",
    )
    seed: int | None = setting(
        None,
        low=0,
        high=LARGEST_EXACT,
        help="Seed of all draws, for an experiment that can be repeated; by default the server "
        "chooses one.",
    )


@dataclass(frozen=True)
class HyperbandArgs(AdvisorArgs):
    """Hyperband."""

    R: int = setting(60, low=1, high=1_000_000, help="Largest budget of one trial.")
    eta: int = setting(3, low=2, high=100, help="Each round keeps one trial in this many.")
    exec_mode: str = setting(
        "parallelism",
        choices=("serial", "parallelism"),
        help="Whether brackets run one after another or at once.",
    )


@dataclass(frozen=True)
class BOHBArgs(AdvisorArgs):
    """BOHB."""

    min_budget: float = setting(1.0, above=0, help="Smallest budget of one trial.")
    max_budget: float = setting(3.0, above=0, help="Largest budget of one trial.")
    eta: int = setting(3, low=2, high=100, help="Each round keeps one trial in this many.")
    min_points_in_model: int | None = setting(
        None, low=1, help="Results before the model starts; by default one more than parameters."
    )
    top_n_percent: int = setting(15, low=1, high=99, help="Share of results that counts as good.")
    num_samples: int = setting(64, low=1, high=100_000, help="Candidates drawn per proposal.")
    random_fraction: float = setting(0.3333, low=0, high=1, help="Share of random proposals.")
    bandwidth_factor: float = setting(3.0, above=0, help="Widens the density of good results.")
    min_bandwidth: float = setting(0.001, above=0, help="Keeps densities from collapsing.")


@dataclass(frozen=True)
class ASHAArgs(AdvisorArgs):
    """ASHA."""

    min_budget: float = setting(1.0, above=0, help="Smallest budget of one trial.")
    max_budget: float = setting(81.0, above=0, help="Largest budget of one trial.")
    reduction_factor: int = setting(
        3, low=2, high=100, help="Each rung promotes one trial in this many."
    )
    brackets: int = setting(
        1, low=1, high=20, help="Ladders that start on different rungs; more are more cautious."
    )

"""Makes a study with everything that a storage can hold, and writes down what Optuna reads back.

    python make_optuna.py DIRECTORY

Run once with each release of Optuna whose files are kept beside this.
"""

import json
import math
import sys
from pathlib import Path

import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)


def objective(trial):
    lr = trial.suggest_float("lr", 1e-5, 1e-1, log=True)
    model = trial.suggest_categorical("model", ["svm", "forest", None, 3, True])
    layers = trial.suggest_int("layers", 1, 5)
    width = trial.suggest_int("width", 16, 512, log=True)
    even = trial.suggest_int("even", 2, 10, step=2)
    dropout = trial.suggest_float("dropout", 0.1, 0.5, step=0.1)
    if model == "svm":
        trial.suggest_float("c", 0.1, 10.0, log=True)
        kernel = trial.suggest_categorical("kernel", ["rbf", "poly"])
        if kernel == "poly":
            trial.suggest_int("degree", 2, 5)
    elif model == "forest":
        trial.suggest_int("trees", 10, 100)
    trial.set_user_attr("note", {"lr": lr, "words": "ü <b>"})
    value = (math.log10(lr) + 3) ** 2 + layers / 10 + dropout + width / 1000 + even / 100
    for step in range(1, 6):
        reported = value + 1 / step
        if trial.number % 11 == 5 and step == 2:
            reported = float("nan")
        trial.report(reported, step * 10)
        if trial.number >= 4 and step == 3 and trial.should_prune():
            raise optuna.TrialPruned()
    if trial.number % 13 == 7:
        raise ValueError("out of memory")
    if trial.number % 17 == 9:
        return float("inf")
    return value


def fill(storage):
    study = optuna.create_study(
        study_name="ünï study",
        storage=storage,
        direction="minimize",
        sampler=optuna.samplers.TPESampler(seed=7),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=3),
    )
    study.set_user_attr("who", "me")
    study.optimize(objective, n_trials=30, catch=(ValueError,))
    study.enqueue_trial({"lr": 0.01})
    other = optuna.create_study(
        study_name="second",
        storage=storage,
        direction="maximize",
        sampler=optuna.samplers.NSGAIISampler(
            seed=1, constraints_func=lambda t: (t.params["x"] - 0.5, -1.0)
        ),
    )
    other.optimize(lambda trial: trial.suggest_float("x", 0, 1) ** 2, n_trials=10)
    running = other.ask()
    running.suggest_float("x", 0, 1)
    running.report(0.25, 1)
    both = optuna.create_study(
        study_name="two", storage=storage, directions=["minimize", "maximize"]
    )
    both.optimize(lambda t: (t.suggest_float("x", 0, 1), t.params["x"] ** 2), n_trials=3)
    gone = optuna.create_study(study_name="gone", storage=storage)
    gone.optimize(lambda t: t.suggest_float("y", 0, 1), n_trials=2)
    optuna.delete_study(study_name="gone", storage=storage)


def number(value):
    return value if value is None or math.isfinite(value) else repr(value)


def told(storage):
    found = {}
    for summary in optuna.get_all_study_summaries(storage):
        study = optuna.load_study(study_name=summary.study_name, storage=storage)
        found[study.study_name] = {
            "directions": [d.name for d in study.directions],
            "trials": [
                {
                    "number": t.number,
                    "state": t.state.name,
                    "params": t.params,
                    "values": None if t.values is None else [number(v) for v in t.values],
                    "intermediate": {str(k): number(v) for k, v in t.intermediate_values.items()},
                    "user_attrs": t.user_attrs,
                    "constraints": t.system_attrs.get("constraints"),
                    "start": t.datetime_start and t.datetime_start.isoformat(),
                    "complete": t.datetime_complete and t.datetime_complete.isoformat(),
                }
                for t in study.get_trials()
            ],
        }
    return found


def main():
    place = Path(sys.argv[1])
    place.mkdir(parents=True, exist_ok=True)
    try:
        from optuna.storages.journal import JournalFileBackend as Backend
    except ImportError:
        from optuna.storages import JournalFileStorage as Backend
    for name, storage in (
        ("study.db", f"sqlite:///{place}/study.db"),
        ("study.log", optuna.storages.JournalStorage(Backend(str(place / "study.log")))),
    ):
        fill(storage)
        text = json.dumps(
            {"optuna": optuna.__version__, "studies": told(storage)}, ensure_ascii=False
        )
        (place / f"{name}.json").write_text(text)


if __name__ == "__main__":
    main()

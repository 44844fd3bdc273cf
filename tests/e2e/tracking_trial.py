"""Trials as their users have them: scripts that know nothing of AutoTune, each a function here."""

import sys

X = float(sys.argv[2])


def by_hand() -> None:
    """mlflow.log_metric and its relatives, nested runs, files, reading back, another's run."""
    import mlflow

    mlflow.set_experiment("mnist")
    with mlflow.start_run(run_name="main") as run:
        mlflow.log_params({"x": X, "optimizer": "adam"})
        mlflow.set_tag("team", "a")
        for step in range(4):
            mlflow.log_metric("loss", (X - 1) ** 2 * (4 - step), step=step)
            mlflow.log_metrics({"acc": step / 4, "f1": float("nan")}, step=step)
        for fold in range(2):
            with mlflow.start_run(run_name=f"fold {fold}", nested=True):
                mlflow.log_metric("loss", 100.0 + fold)
        mlflow.log_dict({"a": 1}, "model/a.json")
        mlflow.set_experiment_tag("a", "b")
    told = mlflow.get_run(run.info.run_id)
    assert told.data.metrics["loss"] == (X - 1) ** 2, told
    assert told.data.params == {"x": str(X), "optimizer": "adam"}, told
    assert len(mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss")) == 4
    status = 200
    try:
        mlflow.MlflowClient().log_metric("0" * 32, "loss", 9.0)
    except mlflow.exceptions.RestException as error:
        status = error.get_http_status_code()
    assert status == 404, status


def autolog() -> None:
    """Of scikit-learn, which logs a model, and so tells its metrics again; and of XGBoost."""
    import mlflow
    import numpy as np
    import xgboost
    from sklearn.linear_model import Ridge

    mlflow.autolog()
    random = np.random.default_rng(0)
    rows, target = random.random((60, 3)), random.random(60)
    with mlflow.start_run():
        Ridge(alpha=abs(X)).fit(rows, target)
    with mlflow.start_run():
        data = xgboost.DMatrix(rows, target)
        xgboost.train({"nthread": 1}, data, 5, evals=[(data, "train")], verbose_eval=False)


def trainer() -> None:
    """The real callback, told what transformers' Trainer tells it; torch is not needed for that."""
    from transformers import TrainerControl, TrainerState
    from transformers.integrations.integration_utils import KubeflowCallback

    KubeflowCallback._MIN_UPDATE_INTERVAL = 0.0  # so that ten steps take no minute
    callback, control = KubeflowCallback(), TrainerControl()
    state = TrainerState(max_steps=10, is_world_process_zero=True)
    callback.on_train_begin(None, state, control)
    for step in range(1, 11):
        state.global_step, state.epoch = step, step / 10
        if step % 5 == 0:
            logs = {"loss": 1 / step, "eval_loss": (X - 1) ** 2 * (11 - step), "epoch": state.epoch}
            callback.on_log(None, state, control, logs=logs)
        callback.on_step_end(None, state, control)
    callback.on_train_end(None, state, control)


def tensorboard() -> None:
    """Event files of both kinds, in directories as Keras has them."""
    from tensorboard.summary import Writer
    from tensorboardX import SummaryWriter

    with SummaryWriter("logs/train") as writer:
        for step in range(4):
            writer.add_scalar("epoch_loss", X**2, step)
    writer = Writer("logs/validation")
    for step in range(4):
        writer.add_scalar("epoch_loss", 4 - step, step)
    writer.close()


known = {"tensorboard": tensorboard, "mlflow": by_hand, "autolog": autolog, "trainer": trainer}
known[sys.argv[1]]()

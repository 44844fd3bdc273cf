"""Files of other products: of Optuna and NNI real ones, made by ``files/make_optuna.py`` with each
release, and by an experiment of nni 3.0; Katib's and W&B's as their documentation writes them."""

from __future__ import annotations

import gzip
import json
import sqlite3
from pathlib import Path
from typing import Any

from experiments.earlier.reading import Given, read_files
from experiments.earlier.study import PastStudy, Wanted
from experiments.problems import ProblemsError

FILES = Path(__file__).parent / "files"
OPTUNAS = ("3.6.1", "4.5.0", "5.0.0")

SWEEP = """\
program: train.py
method: bayes
metric: {name: val_loss, goal: minimize}
parameters:
  lr: {min: 0.0001, max: 0.1}
  opt: {values: [adam, sgd]}
  optimizer:
    parameters:
      beta: {value: 0.9}
"""
WANDB = """\
"Name","State","Notes","User","Tags","Created","Runtime","Sweep","opt","lr","optimizer.beta","epoch","val_loss"
"brisk-2","crashed","","me","","2024-03-02T10:05:00.000Z","12","s1","sgd","0.05","0.9","",""
"calm-1","finished","=1","me","","2024-03-02T10:00:00.000Z","61.5","s1","adam","0.001","0.9","9","0.25"
"deep-0","killed","","me","","2024-03-02T09:59:00.000Z","3","s1","adam","0.0001","0.9","1","NaN"
"""
KATIB = """\
apiVersion: v1
kind: List
items:
- apiVersion: kubeflow.org/v1beta1
  kind: Experiment
  metadata: {name: random, namespace: kubeflow, uid: abc, generation: 1}
  spec:
    objective: {type: minimize, goal: 0.001, objectiveMetricName: loss}
    algorithm: {algorithmName: random}
    parallelTrialCount: 3
    maxTrialCount: 12
    parameters:
      - {name: lr, parameterType: double, feasibleSpace: {min: "0.01", max: "0.05"}}
      - {name: layers, parameterType: int, feasibleSpace: {min: "1", max: "4"}}
      - {name: opt, parameterType: categorical, feasibleSpace: {list: ["sgd", "1"]}}
    trialTemplate:
      primaryContainerName: training
      trialParameters: [{name: learningRate, reference: lr}]
      trialSpec:
        apiVersion: batch/v1
        kind: Job
        spec:
          template:
            spec:
              containers:
                - name: training
                  image: example/mnist
                  command: ["python3", "/mnist.py", "--lr=${trialParameters.learningRate}"]
  status: {trials: 3}
- apiVersion: kubeflow.org/v1beta1
  kind: Trial
  metadata:
    name: random-b
    labels: {katib.kubeflow.org/experiment: random}
  spec:
    objective: {type: minimize, objectiveMetricName: loss}
    parameterAssignments: [{name: lr, value: "0.02"}, {name: layers, value: "3"}, {name: opt, value: "1"}]
  status:
    startTime: "2024-03-02T10:00:10Z"
    completionTime: "2024-03-02T10:01:10Z"
    conditions:
      - {type: Created, status: "True"}
      - {type: Succeeded, status: "True", reason: TrialSucceeded}
    observation:
      metrics:
        - {name: loss, latest: "0.31", min: "0.29", max: "2.3"}
        - {name: accuracy, latest: "0.91", min: "0.1", max: "0.92"}
- apiVersion: kubeflow.org/v1beta1
  kind: Trial
  metadata:
    name: random-a
    labels: {katib.kubeflow.org/experiment: random}
  spec:
    parameterAssignments: [{name: lr, value: "0.04"}, {name: layers, value: "1"}, {name: opt, value: "sgd"}]
  status:
    startTime: "2024-03-02T10:00:00Z"
    completionTime: "2024-03-02T10:00:30Z"
    conditions:
      - {type: Failed, status: "True", message: "pod failed: OOMKilled"}
- apiVersion: kubeflow.org/v1beta1
  kind: Trial
  metadata:
    name: random-c
    labels: {katib.kubeflow.org/experiment: random}
  spec:
    parameterAssignments: [{name: lr, value: "0.03"}, {name: layers, value: "2"}, {name: opt, value: "sgd"}]
  status:
    startTime: "2024-03-02T10:00:20Z"
    conditions:
      - {type: EarlyStopped, status: "True"}
    observation:
      metrics: [{name: loss, latest: "0.5", min: "0.45", max: "1.0"}]
"""  # noqa: E501


def optuna_file(release: str, kind: str, place: Path) -> Path:
    """A storage as that release of Optuna wrote it; ``kind`` is db or log."""
    target = place / f"study.{kind}"
    target.write_bytes(gzip.decompress((FILES / f"optuna-{release}.{kind}.gz").read_bytes()))
    return target


def optuna_told(release: str, kind: str) -> dict[str, Any]:
    """What that release read back from it."""
    raw = gzip.decompress((FILES / f"optuna-{release}.{kind}.json.gz").read_bytes())
    found: dict[str, Any] = json.loads(raw)["studies"]
    return found


def nni_file(place: Path) -> Path:
    """The database of a real experiment of nni 3.0."""
    target = place / "nni.sqlite"
    with sqlite3.connect(target) as connection:
        connection.executescript(gzip.decompress((FILES / "nni.sql.gz").read_bytes()).decode())
    connection.close()
    return target


def imported(*files: Path, **wanted: Any) -> list[PastStudy]:
    return read_files([Given(file.name, file) for file in files], Wanted(**wanted))


def written(place: Path, **texts: str) -> list[Path]:
    """Files of these texts; two underscores of a name are its dot."""
    found = []
    for name, text in texts.items():
        file = place / name.replace("__", ".")
        file.write_text(text)
        found.append(file)
    return found


def refusal(*files: Path, **wanted: Any) -> str:
    """Why files cannot be imported."""
    try:
        imported(*files, **wanted)
    except ProblemsError as error:
        return " ".join(f"{problem.message} {problem.hint}" for problem in error.problems)
    raise AssertionError("They were imported.")

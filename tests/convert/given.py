"""Small configurations of other products, as their documentation writes them."""

from __future__ import annotations

import json
from typing import Any

from experiments.convert.conversion import Converted, convert
from experiments.manifest.spec import parse_text
from experiments.problems import Problem, ProblemsError

NNI_2 = """\
experimentName: MNIST run
searchSpaceFile: search_space.json
trialCommand: python3 mnist.py --data $HOME/$(date) $$
trialCodeDirectory: code
trialGpuNumber: 1
trialConcurrency: 4
maxTrialNumber: 10
maxExperimentDuration: 1h
tuner:
  name: TPE
  classArgs:
    optimize_mode: maximize
trainingService:
  platform: local
"""
NNI_1 = """\
authorName: default
experimentName: example
trialConcurrency: 1
maxExecDuration: 30m
maxTrialNum: 7
trainingServicePlatform: local
searchSpacePath: search_space.json
useAnnotation: false
tuner:
  builtinTunerName: GPTuner
  classArgs: {optimize_mode: minimize, kappa: 5, unheard: 1}
assessor:
  builtinAssessorName: Medianstop
  classArgs: {optimize_mode: minimize}
trial:
  command: python3 main.py
  codeDir: .
  gpuNum: 0
"""
SPACE = '{"lr": {"_type": "loguniform", "_value": [1e-5, 0.1]}}'
KATIB = """\
apiVersion: kubeflow.org/v1beta1
kind: Experiment
metadata: {name: random, namespace: kubeflow}
spec:
  objective: {type: minimize, goal: 0.001, objectiveMetricName: loss}
  algorithm: {algorithmName: random}
  parallelTrialCount: 3
  maxTrialCount: 12
  parameters:
    - {name: lr, parameterType: double, feasibleSpace: {min: "0.01", max: "0.05"}}
  trialTemplate:
    primaryContainerName: training-container
    trialParameters:
      - {name: learningRate, reference: lr}
    trialSpec:
      apiVersion: batch/v1
      kind: Job
      spec:
        template:
          spec:
            containers:
              - name: training-container
                image: mnist:1
                command: [python3, mnist.py, "--lr=${trialParameters.learningRate}"]
            restartPolicy: Never
"""
SWEEP = """\
program: train.py
method: bayes
metric: {name: val_loss, goal: minimize}
parameters:
  lr: {min: 0.0001, max: 0.1}
  layers: {min: 1, max: 4}
  optimizer: {values: [adam, sgd]}
  epochs: {value: 27}
early_terminate: {type: hyperband, min_iter: 3}
"""


def converted(text: str, name: str = "config.yml", **files: str) -> Converted:
    """What becomes of it; ``files`` are beside it, with ``_`` for ``.``. The parser takes it."""
    beside = {"search_space.json": SPACE} | {
        n.replace("_json", ".json"): t for n, t in files.items()
    }

    def read(wanted: str) -> str:
        if wanted not in beside:
            raise FileNotFoundError(2, "no such file")
        return beside[wanted]

    found = convert(text, name=name, read=read)
    parse_text(found.text)
    return found


def refused(text: str, name: str = "config.yml", **files: str) -> list[Problem]:
    try:
        found = converted(text, name, **files)
    except ProblemsError as error:
        return list(error.problems)
    raise AssertionError(f"it was converted:\n{found.text}")


def spec_of(found: Converted) -> dict[str, Any]:
    """The manifest's spec with its JSON texts read."""
    spec = dict(found.manifest["spec"])
    spec["searchSpace"] = json.loads(spec["searchSpace"])
    for kind in ("tuner", "assessor", "advisor"):
        if kind in spec and "classArgs" in spec[kind]:
            spec[kind] = {**spec[kind], "classArgs": json.loads(spec[kind]["classArgs"])}
    return spec


def container_of(found: Converted) -> dict[str, Any]:
    pod = found.manifest["spec"]["trainingConfig"]["tasks"][0]["template"]["spec"]
    container: dict[str, Any] = pod["containers"][0]
    return container


def left_of(found: Converted) -> str:
    return "\n".join(f"{p.line}: {p.path}: {p.message} {p.hint}" for p in found.left)

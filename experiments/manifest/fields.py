"""Every field of a manifest, declared once: what it is for, what may stand in it.

``spec``, ``training_spec`` and ``algorithm_spec`` read lists of fields and bounds from here, and
``crd`` turns the whole tree into the schema that a Kubernetes API server checks, so that both
refuse the same. A rule that no declaration can say is code in the parser and, where CEL can say it,
a Rule here.
"""

from __future__ import annotations

import re
from dataclasses import replace

from experiments.algorithms import registry
from experiments.manifest.field_kinds import (
    Amounts,
    Anything,
    Flag,
    JsonMapping,
    Quantity,
    Rows,
    Rule,
    Section,
    Text,
    Whole,
)
from experiments.manifest.local_spec import MEASURED
from experiments.manifest.names import LABEL, MAX_NAME
from experiments.redaction import KEY

API_GROUP, API_VERSION_NAME = "tensorstack.dev", "v1beta1"
API_VERSION = f"{API_GROUP}/{API_VERSION_NAME}"
KIND = "AutoTuneExperiment"

MAX_EXEC_SECONDS = 10**9  # 31 years
MAX_TRIALS = 10**6
MAX_CONCURRENCY = 10_000
MAX_REPLICAS = 1000
MAX_TASKS = 32
MAX_CONTAINERS = 32  # of a pod, init containers apart

FRAMEWORKS = ("tensorflow", "pytorch", "xgboost")
RESTART_POLICIES = ("Always", "OnFailure", "Never", "ExitCode")
# Replica types each TrainingJob knows; PyTorch's may be named freely.
REPLICA_TYPES: dict[str, tuple[str, ...]] = {
    "tensorflow": ("worker", "chief", "ps", "evaluator"),
    "xgboost": ("master", "worker"),
}
SINGLE_TYPES = {"tensorflow": "chief", "xgboost": "master"}
NAME_FIELDS = {
    "tuner": "builtinTunerName",
    "assessor": "builtinAssessorName",
    "advisor": "builtinAdvisorName",
}
LEGACY_STORES = ("aimd", "em")  # earlier spellings of aistore
EITHER = ("maxTrialNum", "maxExecSeconds")  # one may be missing, but for objects of a cluster
NO_END = "is required where maxExecSeconds is missing: one of the two ends the experiment."
NO_END_HINT = "How many trials to run, e.g. 50, or maxExecSeconds: 7200 for two hours."
NO_TUNER = "A tuner is required: it chooses the parameters."


def _listed(words: tuple[str, ...]) -> str:
    return ", ".join(f"'{word}'" for word in words)


# ---------------------------------------------------------------- trainingConfig

ENV = Section(
    "An environment variable.",
    {
        "name": Text("Its name, without '='.", required=True, pattern=re.compile(r"[^=]*\Z")),
        "value": Text("Its value.", max_length=131_072),
        "valueFrom": Anything("Where Kubernetes takes the value from."),
    },
    never_both=("value", "valueFrom"),
)
RESOURCES = Section(
    "What the container needs and may use at most.",
    {
        "requests": Amounts("What the scheduler keeps free for it."),
        "limits": Amounts("What it may use at most."),
    },
    is_open=True,
)
CONTAINER = Section(
    "A container of Kubernetes; fields not listed here are passed on.",
    {
        "name": Text("Its name, unique in the pod.", max_length=MAX_NAME, pattern=LABEL),
        "image": Text("The image it runs."),
        "workingDir": Text("The directory in which its command starts."),
        "command": Rows("The program and its arguments, one entry a word.", Text("A word.")),
        "args": Rows("Arguments, one entry a word.", Text("A word.")),
        "env": Rows("Environment variables.", ENV),
        "resources": RESOURCES,
    },
    is_open=True,
)
_CONTAINERS = replace(CONTAINER, required=True)
POD = Section(
    "A PodSpec of Kubernetes; fields not listed here are passed on.",
    {
        "containers": Rows(
            "What runs; the main container is named for the framework.",
            _CONTAINERS, required=True, most=MAX_CONTAINERS,
        ),
        "initContainers": Rows(
            "What runs to its end before.", _CONTAINERS, most=MAX_CONTAINERS
        ),
    },
    required=True,
    is_open=True,
    rules=(
        Rule(
            "self.containers.all(c, !has(c.name) || self.containers.exists_one(d, has(d.name) && "
            "d.name == c.name)) && (!has(self.initContainers) || self.initContainers.all(c, "
            "!has(c.name) || (self.initContainers.exists_one(d, has(d.name) && d.name == c.name) "
            "&& !self.containers.exists(d, has(d.name) && d.name == c.name))))",
            "Each container name may be given once.",
        ),
    ),
)  # fmt: skip
TEMPLATE = Section(
    "The pods of this type: a PodTemplateSpec of Kubernetes, passed on unchanged.",
    {"metadata": Anything("Labels and annotations of the pods."), "spec": POD},
    required=True,
    is_open=True,
)
TASK = Section(
    "Replicas of one type.",
    {
        "type": Text(
            "The replica type, e.g. worker: "
            + "; ".join(f"{name} knows {_listed(t)}" for name, t in REPLICA_TYPES.items())
            + "; pytorch's may be named freely.",
            required=True, hint="E.g. 'worker'.", max_length=MAX_NAME, pattern=LABEL,
            ignores_case=True,
        ),
        "replicas": Whole("How many pods of this type; 1 if absent.", 1, MAX_REPLICAS),
        "restartPolicy": Text(
            "What the job does when a container of it ends.", one_of=RESTART_POLICIES
        ),
        "template": TEMPLATE,
    },
    required=True,
)  # fmt: skip
T9K_SCHEDULER = Section(
    "The T9k scheduler's.",
    {
        "queue": Text("The queue in which the job waits.", required=True),
        "priority": Whole("The job's priority in the queue.", 0, 100),
    },
)
SCHEDULER = Section("Which scheduler places the pods.", {"t9kScheduler": T9K_SCHEDULER})
RUNTIME_KINDS = ("ClusterTrainingRuntime", "TrainingRuntime")
RUNTIME_REF = Section(
    "A runtime of Kubeflow's Trainer, whose template the trials' pods begin with. A field of ours.",
    {
        "name": Text(
            "The runtime's name.", required=True, hint="E.g. 'torch-distributed'.",
            max_length=MAX_NAME, pattern=LABEL,
        ),
        "kind": Text(
            "ClusterTrainingRuntime if absent, or TrainingRuntime: one of its namespace.",
            one_of=RUNTIME_KINDS,
        ),
    },
)  # fmt: skip
TRAINING = Section(
    "What every trial runs.",
    {
        "type": Text(
            "The framework, which decides the kind of training job.",
            required=True, one_of=FRAMEWORKS,
        ),
        "tasks": Rows(
            "The replicas of a trial, by type.", TASK, required=True, most=MAX_TASKS
        ),
        "scheduler": SCHEDULER,
        "runtimeRef": RUNTIME_REF,
    },
    required=True,
    rules=(
        Rule(
            "self.tasks.all(t, self.tasks.exists_one(u, "
            "u.type.lowerAscii() == t.type.lowerAscii()))",
            "Each replica type may be given once.",
        ),
        *(
            Rule(
                f"self.type != '{name}' || self.tasks.all(t, t.type.lowerAscii() in "
                f"[{_listed(types)}])",
                f"{name} has no replica types but {', '.join(types)}.",
            )
            for name, types in REPLICA_TYPES.items()
        ),
        *(
            Rule(
                f"self.type != '{name}' || self.tasks.all(t, t.type.lowerAscii() != '{single}' || "
                "!has(t.replicas) || t.replicas <= 1)",
                f"There can be one {single} only.",
            )
            for name, single in SINGLE_TYPES.items()
        ),
    ),
)  # fmt: skip

# ---------------------------------------------------------------- spec


def _algorithm(kind: str, doc: str) -> Section:
    known = [entry.name for entry in registry.KINDS[kind].values() if entry.available]
    return Section(
        doc,
        {
            NAME_FIELDS[kind]: Text(
                f"One of {', '.join(known)}.", required=True, hint=f"One of: {', '.join(known)}.",
                pattern=registry.names_pattern(kind),
            ),
            "classArgs": JsonMapping("Its settings: a mapping, or JSON text of one."),
        },
    )  # fmt: skip


AISTORE = Section(
    "Where the experiment's data is uploaded.",
    {
        "folder": Text(
            "The ID of an AIStore folder.",
            required=True, hint="The ID of an AIStore folder.", max_length=512,
        ),
        "secret": Text(
            "The name of the Secret whose key 'apikey' holds the API key.",
            required=True, hint="The name of the Secret that holds the API key.", max_length=253,
            never=KEY,  # it would be stored and shown with the manifest
        ),
    },
)  # fmt: skip

ALIKE = 3  # failures alike that suspend an experiment, unless it says otherwise
BREAKER = Section(
    "When failures suspend the experiment. A field of AutoTune Web's own.",
    {
        "alike": Whole(
            f"After how many failures alike, at the start or quickly in a row; {ALIKE} if absent, "
            "0: never.",
            0, 1000, hint="E.g. 3; 0 switches it off.",
        ),
    },
)  # fmt: skip

GPU_MEMORY = (MEASURED,)
LOCAL = Section(
    "How trials share one machine: read by the local engine only. A section of AutoTune Web's own.",
    {
        "python": Text(
            "The interpreter that python and python3 in a command mean: its path, or the name or "
            "the path of a conda environment.",
            hint="E.g. '/home/me/venv/bin/python', or a conda environment's name.",
            pattern=re.compile(r"[^\s](?:[^\r\n]*[^\s])?\Z"),
        ),
        "trialsPerGpu": Whole(
            "How many trials may share a GPU; 1 if absent, or with gpuMemory as many as fit.",
            1, 1000, hint="How many trials may share a GPU, e.g. 2.",
        ),
        "gpuMemory": Text(
            "With 'measured' a further trial joins a GPU only where the most memory that trials of "
            "this experiment took leaves room.",
            one_of=GPU_MEMORY,
        ),
        "useActiveGpu": Flag(
            "Whether GPUs are used on which processes run that are no trials; false if absent."
        ),
        "gpuIndices": Rows(
            "The GPUs that may be used, by their numbers in nvidia-smi; all if absent.",
            Whole("A GPU's number.", 0, 1023, required=True),
            most=64, not_empty=True, distinct=True,
        ),
        "preload": Rows(
            "Modules that are imported once for all trials rather than by each.",
            Text(
                "A module.", required=True, hint="E.g. 'torch' or 'sklearn.linear_model'.",
                max_length=255,
                pattern=re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*\Z"),
            ),
            most=64, distinct=True,
        ),
    },
)  # fmt: skip

METRICS = Section(
    "Where metrics come from besides the trial API. A field of AutoTune Web's own.",
    {
        "objective": Text(
            "The metric that decides.", required=True, hint="E.g. objective: loss.",
            max_length=200,
        ),
        "stdout": Section(
            "How lines are read: of what a trial prints, or of the file. By default name=value "
            "pairs and JSON.",
            {
                "pattern": Text(
                    "A regular expression of Python with groups 'name' and 'value', or two groups "
                    "in this order, or one, for the objective's value.",
                    max_length=1000,
                ),
            },
        ),
        "file": Text("A file that grows, read in place of stdout: lines, CSV, or JSON."),
        "tensorboard": Text("A directory of TensorBoard's event files, read in place of stdout."),
    },
)  # fmt: skip

ELSEWHERE = Section(
    "Trials run elsewhere: programs ask for them and tell what came of them. It stands in place of "
    "trainingConfig, and not in a cluster's objects. A section of AutoTune Web's own.",
    {
        "lostAfterSeconds": Whole(
            "After how many seconds of silence a trial is lost and given to another program; 60 if "
            "absent.",
            2, 604_800, hint="Seconds, e.g. 60.",
        ),
        "grows": Flag("Whether programs add to the search space as they meet parameters."),
    },
)  # fmt: skip

WARM_START = Section(
    "Earlier experiments whose trials the tuner learns from. A field of AutoTune Web's own.",
    {
        "experiments": Rows(
            "Their ids.",
            Text(
                "An experiment's id.", required=True, hint="Eight letters and digits, as its page "
                "shows them.", max_length=8, pattern=re.compile(r"[a-z][a-z0-9]{7}\Z"),
            ),
            required=True, most=20, distinct=True,
        ),
        "trials": Text(
            "Which of their trials: 'all', or 'top 20' for the best 20 of each; all if absent.",
            hint="Write 'all', or e.g. 'top 20'.", max_length=20,
            pattern=re.compile(r"(?:all|top [1-9][0-9]{0,5})\Z"),
        ),
    },
)  # fmt: skip

SPEC = Section(
    "What is tuned, by which algorithm, on what, and within which limits.",
    {
        "maxExecSeconds": Whole(
            "After how many seconds of running the experiment ends with TIMEOUT.",
            1, MAX_EXEC_SECONDS, required=True, hint="Seconds, e.g. 7200 for two hours.",
        ),
        "maxTrialNum": Whole(
            "After how many trials the experiment is DONE.",
            1, MAX_TRIALS, required=True, hint="How many trials to run, e.g. 50.",
        ),
        "maxTrialSeconds": Whole(
            "After how many seconds a trial is stopped, and has failed; never if absent. A field "
            "of AutoTune Web's own.",
            1, MAX_EXEC_SECONDS, hint="Seconds, e.g. 3600 for one hour.",
        ),
        "trialConcurrency": Whole(
            "How many trials run at once.",
            1, MAX_CONCURRENCY, required=True, hint="How many trials run at once, e.g. 3.",
        ),
        "searchSpace": JsonMapping(
            "The hyperparameters by name, each with _type and _value: JSON text, or a mapping.",
            required=True,
        ),
        "initial": Rows(
            "Configurations tried first, in this order; what one leaves open the tuner chooses. A "
            "field of AutoTune Web's own.",
            JsonMapping("Some or all parameters by name.", required=True),
            most=1000,
        ),
        "trainingConfig": replace(TRAINING, required=False),
        "elsewhere": ELSEWHERE,
        "tuner": _algorithm("tuner", "What chooses the parameters. It wins over an advisor."),
        "assessor": _algorithm("assessor", "What stops bad trials early, beside a tuner."),
        "advisor": _algorithm("advisor", "Tuner and assessor in one."),
        "storage": Quantity(
            "Size of the volume for configuration and metrics; kept, and not needed here.",
            above_zero=True,
        ),
        "aistore": AISTORE,
        "breaker": BREAKER,
        "local": LOCAL,
        "metrics": METRICS,
        "warmStart": WARM_START,
        **{name: replace(AISTORE, doc="An old spelling of 'aistore'.") for name in LEGACY_STORES},
    },
    required=True,
    never_both=("trainingConfig", "elsewhere"),
    rules=(
        Rule("has(self.tuner) || has(self.advisor)", NO_TUNER),
        Rule("has(self.trainingConfig) || has(self.elsewhere)", "trainingConfig is required."),
    ),
)  # fmt: skip

"""The command that runs a trial's parameters by hand, without us: for a POSIX shell. Pure.

Called by REST. ``autotune_trial`` takes the parameters from the variable where no server speaks to
it; a command that names them has them in its words anyway.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from experiments.manifest.placeholders import parameter_text, replaced
from experiments.manifest.spec import ExperimentSpec
from experiments.manifest.training_spec import containers_of, main_container_index

VARIABLE = "AUTOTUNE_PARAMETERS"


def command_line(spec: ExperimentSpec, parameters: Mapping[str, Any]) -> str:
    """One line: into the directory, the container's plain variables, the parameters, the words.

    Of the first task's training container; what needs several replicas is not run by one line.
    """
    task = spec.training.tasks[0]
    place = main_container_index(task.template, spec.training.framework)
    container = containers_of(task.template)[place]

    def word(text: Any) -> str:
        return replaced(str(text), lambda name: parameter_text(name, parameters))

    variables = [
        f"{entry['name']}={shlex.quote(word(entry['value']))}"
        for entry in container.get("env") or ()
        if isinstance(entry.get("value"), str) and "$(" not in word(entry["value"])
    ]
    given = json.dumps(dict(parameters), ensure_ascii=False)
    words = [*(container.get("command") or ()), *(container.get("args") or ())]
    line = [*variables, f"{VARIABLE}={shlex.quote(given)}", *(shlex.quote(word(w)) for w in words)]
    directory = container.get("workingDir")
    return f"cd {shlex.quote(directory)} && {' '.join(line)}" if directory else " ".join(line)

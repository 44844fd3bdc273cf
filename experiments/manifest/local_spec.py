"""How trials of an experiment share one machine: the manifest's ``spec.local`` once it is read.

Apart from its parser (``local_section``), as the process that starts trials loads it with
``training.base`` and must start in milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MEASURED = "measured"


@dataclass(frozen=True)
class LocalSpec:
    """How trials share this machine."""

    python: str = ""  # interpreter's path, or a conda environment's name or path; "": the usual one
    trials_per_gpu: int | None = None  # None: one, or with measured memory as many as fit
    measures_memory: bool = False  # a further trial joins a GPU where the peak so far leaves room
    use_active_gpu: bool = False  # GPUs that other people's processes use are used too
    gpu_indices: tuple[int, ...] = ()  # of the GPUs that may be used; (): all
    preload: tuple[str, ...] = ()  # modules imported once for all trials

    def as_manifest(self) -> dict[str, Any]:
        """The section again, without what is as if absent."""
        found = {
            "python": self.python,
            "trialsPerGpu": self.trials_per_gpu,
            "gpuMemory": MEASURED if self.measures_memory else "",
            "useActiveGpu": self.use_active_gpu,
            "gpuIndices": list(self.gpu_indices),
            "preload": list(self.preload),
        }
        return {key: value for key, value in found.items() if value}

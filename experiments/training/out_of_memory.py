"""Whether a program failed for want of memory, a GPU's or the machine's. Pure, and standard library
only: used by the supervisor of local trials, which holds nothing but its own few modules.
"""

from __future__ import annotations

import re

from experiments.training.last_words import lines_of

_LOOK_BACK = 40  # lines: what is printed after the exception, too
_OF_GPU = re.compile(
    r"CUDA out of memory|HIP out of memory|CUDA (?:driver )?error: out of memory"
    r"|CUDA_ERROR_OUT_OF_MEMORY|cudaErrorMemoryAllocation|cuda(?:Malloc)? failed: out of memory"
    r"|CU(?:BLAS|DNN|SOLVER|SPARSE)_STATUS_ALLOC_FAILED"
    r"|\b(?:torch|cupy)(?:\.cuda)?(?:\.memory)?\.OutOfMemoryError"
    r"|OOM when allocating tensor|RESOURCE_EXHAUSTED:.*(?:out of memory|OOM)"
    r"|Failed to allocate .* on (?:GPU|device)",
    re.IGNORECASE,
)


def is_of_gpu(tail: bytes) -> bool:
    """Whether the last lines that a failed program printed say that its GPU had no memory left."""
    return any(_OF_GPU.search(line) for line in lines_of(tail)[-_LOOK_BACK:])


def kernel_kills() -> int:
    """How many processes the kernel has killed for want of memory since this machine started."""
    try:
        with open("/proc/vmstat", "rb") as file:
            words = file.read().split()
        return int(words[words.index(b"oom_kill") + 1])
    except (OSError, ValueError, IndexError):
        return 0

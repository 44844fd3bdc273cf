"""What kind of obstacle keeps a trial from running, by what the cluster said of it. Pure.

The words are those of ``status``, ``backend`` and of the cluster itself, as they stand on a trial;
the answer is a word for a condition's reason.
"""

from __future__ import annotations

import re

SAID_BY = "Kubernetes: "  # what goes before words of the API server's, in all that we repeat of it

# Asked in this order: a Job's complaint quotes what the admission of its pods said.
_BY_WORDS = (
    ("PodSecurity", r"violates PodSecurity"),
    ("Quota", r"exceeded quota|must specify (?:limits|requests)\.|maximum .* usage per "),
    ("Queued", r"[Ii]t waits in the queue|[Ii]t is suspended"),
    (
        "ImagePull",
        r"\b(?:ErrImagePull|ImagePullBackOff|InvalidImageName|ErrImageNeverPull"
        r"|ImageInspectError|RegistryUnavailable|ErrInvalidImageName)\b",
    ),
    (
        "Configuration",  # a ConfigMap or Secret that is not there, a volume that does not come
        r"\b(?:CreateContainerConfigError|CreateContainerError|RunContainerError|FailedMount"
        r"|FailedAttachVolume|FailedCreatePodSandBox)\b",
    ),
    ("Unschedulable", r"\bUnschedulable\b|SchedulerError|FailedScheduling|has found no node"),
    ("Forbidden", r"FailedCreate|is forbidden|denied the request|denied request"),
)
_PATTERNS = [(reason, re.compile(words)) for reason, words in _BY_WORDS]


def obstacle(words: str) -> str:
    """E.g. ``ImagePull``; "" where these words tell of none."""
    return next((reason for reason, pattern in _PATTERNS if pattern.search(words)), "")

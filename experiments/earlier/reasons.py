"""Why trials that were made elsewhere ended as they did: stored with them, and shown later."""

PRUNED = "Pruned."
FAILED = "Failed."
UNFINISHED = "It had not ended when it was imported."
STOPPED = "Stopped early."
CANCELED = "Stopped by a person or by the end of the experiment."
NO_RESULT = "There is no final result."


def not_finite(shown: str) -> str:
    return f"The final result is {shown}, not a finite number."


def violates(n: int) -> str:
    return f"It violates {n} of the study's constraints."

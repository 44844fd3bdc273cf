"""What a trial sent, as plain values: both wire formats in, one ``Report`` or ``BadReport`` out.

Called by trial_api.py for each report. Pure: no database, no Django. Texts are decoded as plain
JSON alone: json_tricks and nni.load can build classes that the text names.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from experiments.strict_json import JsonRefused, read_json

PERIODICAL = "PERIODICAL"
FINAL = "FINAL"
DEFAULT = "default"

MAX_SEQUENCE = 2**31 - 1  # what the column holds
MAX_NAMES = 1000  # numbers kept of one report; docs/trials.md names it
MAX_NAME_LENGTH = 200  # characters
# JSON's numbers, short enough to be no integer that is too large for a float
_PLAIN_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?")
_NAMED = 5  # things left out that an answer names
_FINAL_TYPE = re.compile(rb'\\?"type\\?"\s*:\s*\\?"FINAL\\?"')
_SHOWN = 80  # characters of a wrong value that an error repeats


class BadReport(Exception):
    """The report cannot be used; the text is the one line that its sender gets to see."""


class Report(NamedTuple):
    """One report; ``values`` always has DEFAULT, and may hold NaN and ±inf."""

    trial_key: str
    kind: str  # PERIODICAL or FINAL
    sequence: int  # a FINAL has 0
    step: float | None
    values: dict[str, float]
    remark: str = ""  # what was left out of it, for the answer


def parse_t9k(body: bytes) -> Report:
    """Read the body of a POST to ``apis/v1/metric``.

    Raises:
        BadReport: with the line to answer.
    """
    return _report(_object(body, "the body"))


def parse_nni(command: Mapping[str, Any]) -> Report:
    """Read the ``metric`` command of the NNI channel; it knows no step, so sequence serves as one.

    Raises:
        BadReport: with the line to answer.
    """
    text = command.get("metric")
    if not isinstance(text, str):
        raise BadReport(f"metric must be a string of JSON text, but is {show(text)}")
    fields = _object(text, "metric")
    fields["step"] = fields.get("sequence") if fields.get("type") == PERIODICAL else None
    return _report(fields)


def parse_command(body: bytes) -> dict[str, Any]:
    """Read the body of a PUT on the NNI channel: one command, with a known ``type``.

    Raises:
        BadReport: with the line to answer.
    """
    command = _object(body, "the body")
    if command.get("type") not in ("request_parameter", "metric"):
        raise BadReport(
            f"type must be request_parameter or metric, but is {show(command.get('type'))}"
        )
    return command


def looks_final(body: bytes) -> bool:
    """Whether a report that cannot be read meant to be a FINAL one; NNI's stands in a string."""
    return _FINAL_TYPE.search(body) is not None


def _report(fields: dict[str, Any]) -> Report:
    key = fields.get("trial_job_id")
    if not isinstance(key, str) or not key:
        raise BadReport(f"trial_job_id must be the id of the trial, but is {show(key)}")
    kind = fields.get("type")
    if kind not in (PERIODICAL, FINAL):
        raise BadReport(f"type must be PERIODICAL or FINAL, but is {show(kind)}")
    if "value" not in fields:
        raise BadReport("value must be there: a number, or an object with a number as 'default'")
    values, left_out = _values(fields["value"])
    if kind == FINAL:  # both SDKs send sequence 0, T9k's also step 0: neither means anything
        return Report(key, FINAL, 0, None, values, left_out)
    sequence = fields.get("sequence")
    if type(sequence) is not int or not 0 <= sequence <= MAX_SEQUENCE:
        raise BadReport(
            f"sequence must be a whole number from 0 to {MAX_SEQUENCE}, but is {show(sequence)}"
        )
    step, remark = _step(fields.get("step"))
    remarks = "; ".join(words for words in (remark, left_out) if words)
    return Report(key, PERIODICAL, sequence, step, values, remarks)


def _object(text: bytes | str, what: str) -> dict[str, Any]:
    found = _decode(text, what)
    if not isinstance(found, dict):
        raise BadReport(f"{what} must be a JSON object, but is {show(found)}")
    return found


def _decode(text: bytes | str, what: str) -> Any:
    try:
        return read_json(text, nan=True, huge=True)
    except JsonRefused as error:
        raise BadReport(f"{what} must be JSON text, but: {_one_line(str(error))}") from None


def _values(value: Any) -> tuple[dict[str, float], str]:
    """Numbers of a report by name, and what was left out. ``value`` is JSON text; a bare number or
    object will do too. Only the default one decides whether the report can be used."""
    if isinstance(value, str):
        if _PLAIN_NUMBER.fullmatch(value):  # nearly every report; json takes five times as long
            return {DEFAULT: float(value)}, ""
        value = _decode(value, "value")
    number = _number(value)
    if number is not None:
        return {DEFAULT: number}, ""
    if isinstance(value, str):
        raise BadReport(f"value must be a number, but is text: report a number, not {show(value)}")
    if isinstance(value, bool):
        raise BadReport(f"value must be a number, but is {show(value)}: report 1 or 0")
    if not isinstance(value, dict) or DEFAULT not in value:
        raise BadReport(
            f"value must be a number or an object with a number as 'default', but is {show(value)}"
        )
    number = _number(value[DEFAULT])
    if number is None:
        raise BadReport(f"value.default must be a number, but is {show(value[DEFAULT])}")
    return _with_others({DEFAULT: number}, value)


def _with_others(
    values: dict[str, float], given: Mapping[str, Any]
) -> tuple[dict[str, float], str]:
    """Add the other numbers; say which could not be kept. The result outweighs them all."""
    remarks: list[str] = []
    beyond: list[str] = []
    for name, other in given.items():
        number = _number(other)
        if number is None or name == DEFAULT:
            continue
        if wrong := wrong_name(name):
            remarks.append(f"{show(name)} is left out: {wrong}")
        elif len(values) >= MAX_NAMES:
            beyond.append(name)
        else:
            values[name] = number
    if beyond:
        shown = ", ".join(map(show, beyond[:_NAMED])) + (", …" if len(beyond) > _NAMED else "")
        words = f"{len(beyond)} numbers are left out, as a report keeps {MAX_NAMES}: {shown}"
        remarks.append(words)
    if len(remarks) > _NAMED:
        remarks[_NAMED:] = [f"{len(remarks) - _NAMED} more are left out"]
    return values, "; ".join(remarks)


def json_number(number: float) -> float | str:
    """The number, or the name of what is not finite."""
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _number(value: Any) -> float | None:
    """The number that ``value`` stands for, None where it stands for none."""
    kind = type(value)
    if kind is float:
        return float(value)
    if kind is int:
        try:
            return float(value)
        except OverflowError:
            return None
    if kind is not dict:
        return None
    if "__ndarray__" in value:
        inner = value["__ndarray__"]
        while type(inner) is list and len(inner) == 1:
            inner = inner[0]
        return _number(inner) if type(inner) in (int, float) else None
    if "__decimal__" in value:
        try:
            return float(value["__decimal__"])
        except (TypeError, ValueError, OverflowError):
            return None
    return None


def wrong_name(name: str) -> str:
    """What is wrong with the name of a metric, "" where nothing is."""
    if not name or len(name) > MAX_NAME_LENGTH:
        return f"names must have 1 to {MAX_NAME_LENGTH} characters"
    # No database stores these; JSON can spell them.
    if "\0" in name or any("\ud800" <= c <= "\udfff" for c in name):
        return "names must be Unicode text"
    return ""


def _step(step: Any) -> tuple[float | None, str]:
    """The step as a finite number or None, and what to remark: a value outweighs its step."""
    if step is None:
        return None, ""
    number = _number(step)
    if number is None or not math.isfinite(number):
        return None, f"its step is left out: it must be a finite number, but is {show(step)}"
    return number, ""


def show(value: Any) -> str:
    """A short, printable form of what came."""
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 256:
        return f"an integer of {value.bit_length()} bits"
    try:
        text = json.dumps(value)  # ASCII only: control characters and surrogates are escaped
    except (RecursionError, ValueError):
        return "something nested too deeply"
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _one_line(text: str) -> str:
    return " ".join(text.split()).encode("ascii", "replace").decode()[:200]

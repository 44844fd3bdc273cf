"""``run --detach`` at a server that somebody named: the file goes there as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from experiments.shell.server import Client
from experiments.shell.trouble import BAD_INPUT, Trouble


def over(client: Client, file: Path) -> list[dict[str, Any]]:
    """Id, name and page of each experiment of the file. Raises Trouble."""
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise Trouble(BAD_INPUT, f"{file}: error: {error.strerror or error}") from None
    kind = "json" if file.suffix.lower() == ".json" else "yaml"
    headers = {"Content-Type": f"application/{kind}"}
    first = client.ask("POST", "experiments/", body=raw, headers=headers).json
    return [
        {name: made[name] for name in ("id", "name", "url")} for made in [first, *first["more"]]
    ]

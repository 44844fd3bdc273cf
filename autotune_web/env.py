"""Typed, loud reading of environment variables; the only place that touches ``os.environ``."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from importlib.util import find_spec
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from urllib.parse import urlsplit

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

# Where Kubernetes tells a pod its namespace, beside its account's token.
POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_TRUE = {"1", "true", "yes", "on"}
_ENGINES = ("django.db.backends.postgresql", "django.db.backends.sqlite3")
_FALSE = {"0", "false", "no", "off", ""}


def env_str(name: str, default: str = "") -> str:
    return os.environ.get(name, default).strip()


def env_bool(name: str, default: bool) -> bool:
    """Read yes or no.

    Raises:
        ImproperlyConfigured: if the value is neither.
    """
    raw = os.environ.get(name)
    if raw is None:
        return default
    word = raw.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ImproperlyConfigured(f"{name} must be one of 1, 0, true, false, yes, no, but is {raw!r}.")


def env_choice(name: str, default: str, choices: tuple[str, ...]) -> str:
    """Read one of a few words.

    Raises:
        ImproperlyConfigured: if the value is none of them.
    """
    value = env_str(name, default) or default
    if value not in choices:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(choices)}, but is {value!r}.")
    return value


def env_whole(name: str, default: int, low: int, high: int) -> int:
    """Read a whole number.

    Raises:
        ImproperlyConfigured: if it is none, or not between ``low`` and ``high``.
    """
    raw = env_str(name) or str(default)
    if not raw.isascii() or not raw.isdecimal() or not low <= int(raw) <= high:
        words = f"{name} must be a whole number from {low} to {high}, but is {raw!r}."
        raise ImproperlyConfigured(words)
    return int(raw)


def env_list(name: str, default: str) -> list[str]:
    return [part.strip() for part in env_str(name, default).split(",") if part.strip()]


def env_address(name: str) -> str:
    """Read HOST:PORT, with room for a few ports above; "" where nothing is set.

    Raises:
        ImproperlyConfigured: if it is none.
    """
    value = env_str(name)
    try:
        parts = urlsplit(f"//{value}")
        is_one = bool(parts.hostname) and 1 <= (parts.port or 0) <= 65000
    except ValueError:
        is_one = False
    if value and (not is_one or parts.netloc != value or "@" in value):
        raise ImproperlyConfigured(
            f"{name} must be an address and a port up to 65000, like 0.0.0.0:9464,"
            f" but is {value!r}."
        )
    return value


def env_indices(name: str) -> tuple[int, ...] | None:
    """Read whole numbers with commas; None where there are none.

    Raises:
        ImproperlyConfigured: if it holds anything else, or a number twice.
    """
    given = env_str(name)
    if not given:
        return None
    words = [word.strip() for word in given.split(",")]
    found = tuple(int(word) for word in words if word.isascii() and word.isdigit())
    if len(found) < len(words) or len(set(found)) < len(found):
        raise ImproperlyConfigured(
            f"{name} must be numbers of GPUs, each once, like 0,1,3, but is {given!r}."
        )
    return found


def env_header(name: str) -> bytes:
    """Read the name of a header, as ASGI writes it; b"" where none is named.

    Raises:
        ImproperlyConfigured: if no header can have that name.
    """
    given = env_str(name)
    if not all(char.isascii() and (char.isalnum() or char in "-_") for char in given):
        raise ImproperlyConfigured(f"{name} must be the name of a header, but is {given!r}.")
    return given.lower().encode()


def env_networks(name: str, default: str) -> list[IPv4Network | IPv6Network]:
    """Read addresses and networks.

    Raises:
        ImproperlyConfigured: if one is neither.
    """
    try:
        return [ip_network(part) for part in env_list(name, default)]
    except ValueError as error:
        raise ImproperlyConfigured(
            f"{name} must be addresses or networks, like 10.0.0.7 or 10.1.0.0/16: {error}."
        ) from None


def env_own_namespace(name: str) -> str:
    """The namespace of the pod we are in, as given or as the pod's account has it; else ""."""
    with suppress(OSError):
        return env_str(name) or POD_NAMESPACE.read_text().strip()
    return ""


def env_file(name: str) -> str:
    """The text of the file at this path; "" where none is named."""
    path = env_str(name)
    try:
        return Path(path).read_text() if path else ""
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(f"{name}: {path} cannot be read: {error}") from None


def env_path(name: str) -> list[str]:
    """Read directories as PATH has them, made absolute: they are used from elsewhere.

    Raises:
        ImproperlyConfigured: if one is not there.
    """
    parts = [part for part in env_str(name).split(":") if part]
    folders = [Path(part).expanduser().absolute() for part in parts]
    for folder in folders:
        if not folder.is_dir():
            raise ImproperlyConfigured(f"{name} must name directories, but {folder} is none.")
    return [str(folder) for folder in folders]


def env_python(name: str) -> str:
    """Read an interpreter: its file, a name on PATH, or an environment's directory.

    Raises:
        ImproperlyConfigured: if there is none.
    """
    given = env_str(name)
    if not given:
        return ""
    path = Path(given).expanduser().absolute()
    candidates = [path / "bin" / "python3", path / "bin" / "python"] if path.is_dir() else [path]
    if "/" not in given and (found := shutil.which(given)):
        candidates.insert(0, Path(found).absolute())
    for candidate in candidates:
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return str(candidate)
    raise ImproperlyConfigured(
        f"--python ({name}) must be a Python interpreter or the directory of an environment, "
        f"but got {given!r}."
    )


def env_directory(name: str, default: Path) -> Path:
    """The data directory, made where it is missing, then for its owner only: it holds sessions.

    Raises:
        ImproperlyConfigured: if it cannot be made or nothing can be written in it.
    """
    path = Path(env_str(name) or default).expanduser().resolve()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(
            f"the data directory {path} cannot be made: {error.strerror}."
            f" Name another with --data or {name}."
        ) from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise ImproperlyConfigured(
            f"the data directory {path} must be writable. Name another with --data or {name}."
        )
    return path


def env_database(name: str, file: Path) -> dj_database_url.DBConfig:
    """Read a database URL; without one it is SQLite in ``file``.

    Raises:
        ImproperlyConfigured: if it is none that we can use; its password is not repeated.
    """
    given = env_str(name)
    if not given:  # its path is no URL: it may hold a '?' or a '%'
        file.touch(mode=0o600)  # for its owner only, whoever made the directory: it holds sessions
        return {**dj_database_url.parse("sqlite://"), "NAME": str(file)}
    try:
        found = dj_database_url.parse(given)
    except (ValueError, dj_database_url.ParseError, dj_database_url.UnknownSchemeError):
        found = {}
    if found.get("ENGINE") not in _ENGINES:
        raise ImproperlyConfigured(
            f"{name} must be postgresql://USER:PASSWORD@HOST/NAME or sqlite:///FILE."
        )
    return found


def need_extra(module: str, extra: str, setting: str) -> None:
    """Check that what only some installations bring is there.

    Raises:
        ImproperlyConfigured: if it is not; the message says which extra brings it.
    """
    if find_spec(module) is None:
        raise ImproperlyConfigured(
            f"{setting} needs the package {module}: pip install 'autotune-web[{extra}]'"
        )


def env_url(name: str, schemes: tuple[str, ...]) -> str:
    """Read a URL of one of a few schemes, or nothing.

    Raises:
        ImproperlyConfigured: if it has another scheme or none.
    """
    value = env_str(name)
    scheme, separator, _ = value.partition("://")
    if value and (not separator or scheme not in schemes):
        starts = " or ".join(f"{scheme}://" for scheme in schemes)
        raise ImproperlyConfigured(f"{name} must start with {starts}.")
    return value

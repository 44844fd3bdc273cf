"""Plotly as a page can take it without standing still: the file ``vendor/plotly/plotly.parts.js``.

The bundle in Plotly's Python package blocks a page for more than a second: it evaluates all that it
has in one go, maps and three dimensions among it. What is made of it here, when the server first
looks for its static files, has the same modules, less those that our charts never ask for, and
evaluates nothing by itself: it leaves ``window.PlotlyParts``, functions that
``static/js/charts/plotly.js`` calls one after the other with pauses between. The last one returns
Plotly. And before the steps of a drawing it asks ``inPieces`` of the element, where there is one,
what to do in their place, so that ``static/js/charts/plot.js`` can pause between them. A bundle
that is not built as those known is served as it is: it works, in one go.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import BaseFinder
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import FileSystemStorage

NAME = "plotly.parts.js"
PREFIX = "vendor/plotly"
# Beside scatter, which is part of the core: ours, and what people's own figures may hold.
TRACES = frozenset(
    {"bar", "box", "contour", "heatmap", "histogram", "histogram2d", "histogram2dcontour", "pie"}
    | {"violin"}
)
FORM = 5  # counted up with every change of what is made here

# esbuild wraps each CommonJS module in W(), which runs it when it is first called. The last one
# registers every kind of trace with the core.
_MODULE = re.compile(r"var ([\w$]+)=W\((?P<given>\([\w$,]*\)|[\w$]+)=>\{")
_ENTRY = re.compile(
    r"var (?P<core>[\w$]+)=(?P<require>[\w$]+)\(\);"
    r"(?P=core)\.register\(\[(?P<traces>[\w$(),]+)\]\);"
    r"(?P<rest>[\w$]+\.exports=(?P=core)\}\);)return (?P<entry>[\w$]+)\(\);\}\)\(\);"
)
_ALIAS = re.compile(r'"use strict";[\w$]+\.exports=([\w$]+)\(\)\}')
_KIND = re.compile(r'moduleType:"trace",name:"(\w+)"')
_CALL = re.compile(r"(?<![\w$.])([\w$]+)\(\)")
# The function around all of it, and the one around that.
_WHOLE = (
    (re.compile(r"var Plotly=\(\(\)=>\{"), "var Plotly=(function(){"),
    (re.compile(r", \(\) => \{(?=\s+\"use strict\";)"), ", (function(){"),
)
_END = "return Plotly;\n}));"
_GLOBAL = "window.Plotly = Plotly;"
_ESM = re.compile(r"([\w$]+)=Ea\(")  # modules of the newer kind lie between the others, not in them
# Where a drawing sets out on its steps, each of which it waits for. It does not wait for what is
# within them: a legend that pauses is laid out after the margins were made for it.
_STEPS = re.compile(
    r"(\.doAutoMargin,[\w$]+\.previousPromises\);"
    r"var [\w$]+=[\w$]+\.syncOrAsync\()([\w$]+),([\w$]+)\)"
)
_MAPS = "maplibregl-"  # the largest of those, of no use without traces of maps


class UnknownBundle(ValueError):
    """The text is not built as the bundles that are known."""


@dataclass(frozen=True)
class Module:
    """A CommonJS module of the bundle; up to the next one, whatever lies between them."""

    start: int
    text: str

    @property
    def calls(self) -> list[str]:
        return list(dict.fromkeys(_CALL.findall(self.text)))

    @property
    def length(self) -> int:
        """Of the module itself; 0 where that is not plain, and it must stay."""
        depth = last = 0
        for found in re.finditer(r"\}\);", self.text):
            part = self.text[last : found.end()]
            last = found.end()
            depth += part.count("{") + part.count("(") - part.count("}") - part.count(")")
            if depth == 0:
                return last
        # a string or expression with a bracket of its own; safe where nothing else can follow
        is_alone = self.text.endswith("});") and not _ESM.search(self.text)
        return len(self.text) if is_alone else 0


def in_parts(bundle: str, traces: Iterable[str] = TRACES) -> str:
    """The bundle with ``window.PlotlyParts`` in place of ``window.Plotly``, and these traces only.

    Raises UnknownBundle where a piece of it is not found.
    """
    entry = _ENTRY.search(bundle, max(0, bundle.rfind(".register([") - 200))
    if entry is None or bundle.count(_GLOBAL) != 1:
        raise UnknownBundle("its end is not the one that is known")
    modules = _modules(bundle, entry.start())
    wanted = set(traces)
    kept = []
    for call in entry["traces"].split(","):
        kind = _KIND.search(_aliased(modules, call.removesuffix("()")).text)
        if kind is not None and kind[1] in wanted:
            kept.append(call.removesuffix("()"))
            wanted.remove(kind[1])
    if wanted:
        raise UnknownBundle(f"it has no trace {', '.join(sorted(wanted))}")
    core = entry["require"]
    # What the core asks for, in its order: evaluated once, whoever asks first.
    parts = [name for name in _aliased(modules, core).calls if name in modules]
    parts += [core, *kept]
    tail = (
        f"var {entry['core']}={core}();"
        f"{entry['core']}.register([{','.join(f'{name}()' for name in kept)}]);{entry['rest']}"
        f"return [{','.join(f'()=>{name}()' for name in parts)},()=>{entry['entry']}()];}})();"
    )
    rest = bundle[entry.end() :].replace(_GLOBAL, "window.PlotlyParts = Plotly;")
    kept_text = _without(bundle[: entry.start()], modules, _asked_for(modules, parts))
    return _whole_at_once(_at_once(_asking(kept_text)) + tail + rest)


def _at_once(text: str) -> str:
    """The modules as functions that browsers compile while the file is still coming in.

    A function in brackets is taken for one that is called at once, an arrow is not: that one is
    read once over, and again when it is called, on the thread on which the page stands still.
    """
    modules = _modules(text, len(text))
    pieces = [text[: next(iter(modules.values())).start]]
    for module in modules.values():
        head = _MODULE.match(module.text)
        length = module.length
        if head is None or not length:
            pieces.append(module.text)
            continue
        given = head["given"] if head["given"].startswith("(") else f"({head['given']})"
        pieces += [
            module.text[: head.start("given")],
            f"(function{given}{{",
            module.text[head.end() : length - len("});")],
            "}));",
            module.text[length:],
        ]
    return "".join(pieces)


def _whole_at_once(text: str) -> str:
    """The same for what is around all modules; as it is, where it is not the one that is known."""
    is_known = text.count(_END) == 1 and all(len(w.findall(text)) == 1 for w, _ in _WHOLE)
    if not is_known:
        return text
    for arrow, function in _WHOLE:
        text = arrow.sub(function, text)
    return text.replace(_END, f"{_END[:-3]})));")


def _asking(bundle: str) -> str:
    if len(_STEPS.findall(bundle)) != 1:
        raise UnknownBundle("the steps of a drawing are not those that are known")
    return _STEPS.sub(r"\1\3.inPieces?\3.inPieces(\2):\2,\3)", bundle)


def _modules(bundle: str, end: int) -> dict[str, Module]:
    found = [(match.start(), match[1]) for match in _MODULE.finditer(bundle, 0, end)]
    if not found:
        raise UnknownBundle("it has no modules as those known")
    ends = [start for start, _ in found[1:]] + [end]
    return {
        name: Module(start, bundle[start:stop])
        for (start, name), stop in zip(found, ends, strict=True)
    }


def _aliased(modules: dict[str, Module], name: str) -> Module:
    """The module, or the one that it merely hands on: lib/bar.js is traces/bar/index.js."""
    try:
        module = modules[name]
        alias = _ALIAS.search(module.text)
        return modules[alias[1]] if alias else module
    except KeyError as missing:
        raise UnknownBundle(f"it has no module {missing}") from None


def _asked_for(modules: dict[str, Module], first: Iterable[str]) -> set[str]:
    """These modules, those that they call, and so on."""
    found: set[str] = set()
    waiting = list(first)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [call for call in modules[name].calls if call in modules]
    return found


def _without(bundle: str, modules: dict[str, Module], kept: set[str]) -> str:
    """The bundle less the modules that nobody asks for."""
    pieces = []
    maps = []
    at = 0
    for name, module in modules.items():
        if name in kept or not module.length:
            continue
        pieces.append(bundle[at : module.start])
        at = module.start + module.length
        between = module.text[module.length :]
        if _MAPS in between:
            maps.append((len(pieces), between))
            pieces.append(between)
            at += len(between)
    pieces.append(bundle[at:])
    for place, text in maps:
        others = "".join(piece for i, piece in enumerate(pieces) if i != place)
        if not any(f"{name}()" in others for name in _ESM.findall(text)):
            pieces[place] = ""
    return "".join(pieces)


def made(folder: Path) -> Path:
    """The file of this release of Plotly in ``folder``, made where it is not there yet."""
    spec = find_spec("plotly")
    if spec is None or not spec.submodule_search_locations:
        raise ImproperlyConfigured("Package 'plotly' must be installed; see requirements.txt.")
    given = Path(next(iter(spec.submodule_search_locations))) / "package_data" / "plotly.min.js"
    facts = given.stat()
    target = folder / f"{facts.st_size}-{int(facts.st_mtime)}-{FORM}" / NAME
    if target.exists():
        return target
    text = given.read_text(encoding="utf-8")
    with contextlib.suppress(UnknownBundle):  # whole, then; a test of ours tells before a release
        text = in_parts(text)
    target.parent.mkdir(parents=True, exist_ok=True)
    _write(target.with_name(f"{NAME}.gz"), gzip.compress(text.encode(), 6, mtime=0))
    _write(target, text.encode())
    return target


def _write(target: Path, content: bytes) -> None:
    """Whole or not at all, however many processes are at it."""
    with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
        file.write(content)
    os.chmod(file.name, 0o644)
    os.replace(file.name, target)


class PlotlyFinder(BaseFinder):
    """Finds the file and its packed twin for ``django.contrib.staticfiles``."""

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        return []

    def find(self, path: str, find_all: bool = False, **kwargs: Any) -> Any:
        folder, _, name = path.rpartition("/")
        if folder != PREFIX or name not in (NAME, f"{NAME}.gz"):
            return []
        found = str(made(settings.DATA_DIR / "plotly").with_name(name))
        return [found] if find_all else found

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterator[tuple[str, Any]]:
        storage = FileSystemStorage(location=made(settings.DATA_DIR / "plotly").parent)
        storage.prefix = PREFIX  # type: ignore[attr-defined]
        yield NAME, storage
        yield f"{NAME}.gz", storage

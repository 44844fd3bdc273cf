"""The catalogues of ``locale/``: what the product says, in the languages it speaks.

``python -m tests.translations`` brings them up to date: words that are new come in, untranslated;
words that nobody says any more go; the compiled catalogues, which the product reads, are written
anew. ``tests/test_translations.py`` says what is missing. Neither needs GNU gettext.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

from experiments.algorithms.reference import catalogue as catalogue_of_algorithms
from experiments.said import EVENTS, PROBLEMS
from experiments.services.samples import leading_comment
from tests.sentences import sentences

ROOT = Path(__file__).parent.parent
LOCALE = ROOT / "locale"
LANGUAGES = ("zh_Hans",)
# Pages; their scripts; what is stored and shown later; what is answered at once.
DOMAINS = ("django", "djangojs", EVENTS, PROBLEMS)
WIDTH = 100
Words = str | tuple[str, ...]  # the forms of a plural
STRING = r'("(?:[^"\\]|\\.)*")'
CALL = re.compile(rf"\b(?:gettext\(|ngettext\()\s*{STRING}(?:,\s*{STRING})?")
KEYWORD = re.compile(rf"\b(?:{'|'.join(DEFAULT_KEYWORDS)})\s*\(")
UNDATED = datetime(2026, 1, 1, tzinfo=UTC)  # the same words give the same bytes


def said(domain: str) -> Catalog:
    """Every word marked for translation, with the places where it stands."""
    found = Catalog(domain=domain, fuzzy=False)
    for path, message, context in _found_in(domain):
        found.add(message, locations=[(str(path.relative_to(ROOT)), None)], context=context)
    return found


def _found_in(domain: str) -> Iterator[tuple[Path, Words, str | None]]:
    if domain == "djangojs":
        yield from _in_scripts()
    elif domain == "django":
        yield from _on_the_server()
    else:
        yield from ((path, sentence, None) for path, sentence in sentences(domain))


def _in_scripts() -> Iterator[tuple[Path, Words, None]]:
    for path in sorted((ROOT / "static" / "js").rglob("*.js")):
        for call in CALL.finditer(path.read_text()):
            # Biome writes every string with double quotes, so JSON reads it
            one, many = (word and json.loads(word) for word in call.groups())
            yield path, (one, many) if many else one, None


def _on_the_server() -> Iterator[tuple[Path, Words, str | None]]:
    for path in sorted((ROOT / "experiments").rglob("*.py")):
        text = path.read_text()
        if not KEYWORD.search(text):
            continue
        for _line, words, _comments, context in _extracted("python", text):
            yield path, words, context
    for words in _of_algorithms():
        yield ROOT / "experiments" / "algorithms" / "registry.py", words, None
    for path in sorted((ROOT / "examples").glob("*.yaml")):
        yield path, leading_comment(path.read_text()), None
    for path in sorted((ROOT / "templates").rglob("*.html")):
        text = templatize(path.read_text())  # no Python, but JavaScript's lexer takes anything
        for _line, words, _comments, context in _extracted("javascript", text):
            yield path, words, context


def _of_algorithms() -> list[str]:
    """What they declare of themselves; the form translates it."""
    said: list[str] = []

    def note(words: str) -> str:
        said.append(words)
        return words

    catalogue_of_algorithms(note)
    return said


def _extracted(method: str, text: str) -> Iterable[tuple[int, Words, list[str], str | None]]:
    stream = io.BytesIO(text.encode())
    return extract(method, stream, keywords=DEFAULT_KEYWORDS, options={"encoding": "utf-8"})


def file_of(language: str, domain: str, kind: str = "po") -> Path:
    return LOCALE / language / "LC_MESSAGES" / f"{domain}.{kind}"


def catalogue(language: str, domain: str) -> Catalog:
    """As it is kept; empty where there is none yet."""
    path = file_of(language, domain)
    if not path.exists():
        return Catalog(locale=language, domain=domain)
    with path.open("rb") as stream:
        return read_po(stream, locale=language, domain=domain)


def written(kept: Catalog) -> bytes:
    """The text of the catalogue: by words, without dates and line numbers, so changes are few."""
    stream = io.BytesIO()
    write_po(stream, kept, width=WIDTH, sort_output=True, ignore_obsolete=True, omit_header=True)
    header = (
        b'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n'
        b'"Plural-Forms: ' + kept.plural_forms.encode() + b'\\n"\n\n'
    )
    return header + stream.getvalue()


def compiled(kept: Catalog) -> bytes:
    """What the product reads."""
    kept.creation_date = UNDATED
    stream = io.BytesIO()
    write_mo(stream, kept)
    return stream.getvalue()


def update() -> None:
    for language in LANGUAGES:
        for domain in DOMAINS:
            kept = catalogue(language, domain)
            kept.update(said(domain), no_fuzzy_matching=True)
            path = file_of(language, domain)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(written(kept))
            file_of(language, domain, "mo").write_bytes(compiled(catalogue(language, domain)))
            missing = [m.id for m in kept if m.id and not is_translated(m)]
            print(f"{path.relative_to(ROOT)}: {len(kept)} messages, {len(missing)} not translated")


def is_translated(message: Message) -> bool:
    string = message.string
    return all(string) if isinstance(string, tuple | list) else bool(string)


if __name__ == "__main__":
    update()

"""Every word that is marked for translation has one, and no catalogue holds what nobody says."""

from __future__ import annotations

import re

import pytest
from babel.messages.catalog import Catalog, Message

from tests import translations
from tests.translations import DOMAINS, LANGUAGES

MEND = "run python -m tests.translations, and translate what is new"
PLACE = re.compile(r"%\(\w+\)[sd]|\{\w+\}|</?\w+|%%")


def words(catalogue: Catalog) -> dict[str, Message]:
    return {f"{m.context or ''}|{m.id}": m for m in catalogue if m.id}


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_catalogue_holds_what_is_said_and_nothing_else(language: str, domain: str) -> None:
    kept, said = words(translations.catalogue(language, domain)), words(translations.said(domain))
    assert len(said) > 100
    assert sorted(said.keys() - kept.keys()) == [], MEND
    assert sorted(kept.keys() - said.keys()) == [], MEND


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_message_is_translated_with_its_places(language: str, domain: str) -> None:
    for message in words(translations.catalogue(language, domain)).values():
        assert translations.is_translated(message), message.id
        assert not message.fuzzy, message.id
        ids = [message.id] if isinstance(message.id, str) else list(message.id)
        strings = [message.string] if isinstance(message.string, str) else list(message.string)
        for string in strings:  # of plurals the last form holds every place
            assert sorted(PLACE.findall(string)) == sorted(PLACE.findall(ids[-1])), string


@pytest.mark.parametrize("domain", DOMAINS)
def test_chinese_has_brackets_of_its_own(domain: str) -> None:
    for message in words(translations.catalogue("zh_Hans", domain)).values():
        assert not re.search(r"[\u4e00-\u9fff] \(", str(message.string)), message.string


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_what_the_product_reads_is_what_is_written(language: str, domain: str) -> None:
    kept = translations.catalogue(language, domain)
    assert translations.file_of(language, domain).read_bytes() == translations.written(kept), MEND
    compiled = translations.file_of(language, domain, "mo").read_bytes()
    assert compiled == translations.compiled(kept), MEND

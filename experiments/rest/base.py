"""What every REST view shares: who asks, how bodies are read, how lists are paged.

The answers are JSON whatever ``Accept`` says, except where a route is a text, so that no client is
turned away for a header it did not think about.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from asgiref.sync import sync_to_async
from django.core.files.uploadedfile import UploadedFile
from django.core.handlers.asgi import ASGIRequest
from django.http import Http404, QueryDict
from drf_spectacular.utils import OpenApiResponse
from rest_framework.exceptions import ParseError, PermissionDenied, ValidationError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.pagination import PageNumberPagination
from rest_framework.parsers import BaseParser, MultiPartParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from experiments.access import policy
from experiments.actor import acting_as
from experiments.models import Experiment, Trial
from experiments.rest.answers import ErrorsShape, ManifestErrorsShape
from experiments.rest.errors import TooLarge
from experiments.rest.inputs import MAX_PAGE_SIZE, SelectionQuery
from experiments.selectors import selection
from experiments.selectors.selection import Selection
from experiments.strict_json import read_json

MAX_BODY = 1024 * 1024  # bytes of a JSON body
MAX_MANIFEST_BODY = 8 * 1024 * 1024  # read, to say by how much a manifest is too large

# Refusals as the schema describes them
BAD = OpenApiResponse(ManifestErrorsShape, description="Bad input: every problem at once.")
GONE = OpenApiResponse(ErrorsShape, description="Not there, or not yours to see.")
NO_TOKEN = OpenApiResponse(ErrorsShape, description="Nobody is signed in.")
REFUSED = OpenApiResponse(ErrorsShape, description="Makes no sense in the present state.")
BUSY = OpenApiResponse(
    ErrorsShape, description="Database or training backend are busy or away: see Retry-After."
)
COMMON = {401: NO_TOKEN, 404: GONE, 503: BUSY}


class AnyAccept(BaseContentNegotiation):
    """Leaves out content negotiation: the route decides what is sent."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        from_client = request.content_type.partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == from_client), None)

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        first = next(iter(renderers))
        return first, first.media_type


def _read(stream: Any, limit: int) -> bytes:
    raw: bytes = stream.read(limit + 1)
    if len(raw) > limit:
        raise TooLarge(f"The request body must be at most {limit} bytes.")
    return raw


class StrictJSONParser(BaseParser):
    """JSON that every part of ours can keep: finite numbers, whole characters, sane depth."""

    media_type = "application/json"
    limit: ClassVar[int] = MAX_BODY

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        try:
            data = read_json(_read(stream, self.limit))
            _refuse_odd_text(data)
        except UnicodeError:
            raise ParseError("The body must be JSON in UTF-8, without half characters.") from None
        except ValueError as error:
            raise ParseError(f"The body is not acceptable JSON: {error}.") from None
        return data


def _refuse_odd_text(data: Any) -> None:
    """Half characters and NUL cannot be stored; they come as escapes, so look after decoding."""
    stack = [data]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            item.encode("utf-8")  # a half character raises UnicodeEncodeError
            if "\x00" in item:
                raise ValueError("it holds the character NUL")
        elif isinstance(item, dict):
            stack.extend(item)
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)


@dataclass(frozen=True)
class ManifestBody:
    """A manifest as it came, before anybody reads it."""

    raw: bytes
    is_json: bool


class _ManifestParser(BaseParser):
    is_json: ClassVar[bool] = False

    def parse(  # type: ignore[override]  # not a mapping: ``manifest_of`` reads it
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> ManifestBody:
        return ManifestBody(_read(stream, MAX_MANIFEST_BODY), self.is_json)


class ManifestJSONParser(_ManifestParser):
    media_type = "application/json"
    is_json = True


class ManifestYAMLParser(_ManifestParser):
    media_type = "application/yaml"


class ManifestXYAMLParser(_ManifestParser):
    media_type = "application/x-yaml"


class ManifestTextYAMLParser(_ManifestParser):
    media_type = "text/yaml"


class ManifestTextXYAMLParser(_ManifestParser):
    media_type = "text/x-yaml"


MANIFEST_PARSERS: list[type[BaseParser]] = [
    ManifestJSONParser,
    ManifestYAMLParser,
    ManifestXYAMLParser,
    ManifestTextYAMLParser,
    ManifestTextXYAMLParser,
    MultiPartParser,
]


def manifest_of(request: Request) -> ManifestBody:
    """The manifest in the body: sent as it is, or as the uploaded file ``file``."""
    body = request.data
    if isinstance(body, ManifestBody):
        return body
    if not body:
        return ManifestBody(b"", is_json=False)
    given = body.get("file") if isinstance(body, dict) else None
    if isinstance(given, UploadedFile):
        if (given.size or 0) > MAX_MANIFEST_BODY:
            raise TooLarge(f"The file must be at most {MAX_MANIFEST_BODY} bytes.")
        is_json = (given.name or "").lower().endswith(".json")
        return ManifestBody(given.read(), is_json)
    raise ValidationError({"file": ["Upload the manifest as a file in the field 'file'."]})


class ApiView(APIView):
    """Base of all REST views."""

    content_negotiation_class = AnyAccept
    parser_classes: Sequence[type[BaseParser]] = [StrictJSONParser]

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Let every event of a request name its user."""
        with acting_as(self._user_name):
            return super().dispatch(request, *args, **kwargs)

    def _user_name(self) -> str:
        return str(self.request.user.get_username())

    def experiment(self, experiment_id: str) -> Experiment:
        """The experiment to look at; a stranger's is not there."""
        return policy.get_visible(self.request.user, experiment_id)

    def experiment_to_change(self, experiment_id: str) -> Experiment:
        experiment = self.experiment(experiment_id)
        if not policy.may_change(self.request.user, experiment):
            raise PermissionDenied("You may look at this experiment but not change it.")
        return experiment

    def experiment_to_delete(self, experiment_id: str) -> Experiment:
        experiment = self.experiment(experiment_id)
        if not policy.may_delete(self.request.user, experiment):
            raise PermissionDenied("You may look at this experiment but not delete it.")
        return experiment

    def trial(self, experiment: Experiment, number: int) -> Trial:
        trial = experiment.trials.filter(number=number).first()
        if trial is None:
            raise Http404(f"Experiment {experiment.pk} has no trial {number}.")
        trial.experiment = experiment
        return trial

    def read(self, serializer_class: type[Serializer[Any]], data: Any) -> dict[str, Any]:
        """Validate a body or query; the answer to bad input is 400 with every problem."""
        serializer = serializer_class(data=data)
        serializer.is_valid(raise_exception=True)
        found: dict[str, Any] = serializer.validated_data
        return found

    def selection(self) -> Selection:
        """The trials that the query asks for, beside whatever else stands in it."""
        params = self.request.query_params
        asked = QueryDict(mutable=True)
        for name in selection.PARAMS:
            if name in params:
                asked.setlist(name, params.getlist(name))
        return selected(self.read(SelectionQuery, asked))


class Pages(PageNumberPagination):
    """``page`` and ``page_size``; ``serializers.PageQuery`` has refused bad numbers before."""

    page_size = 50
    max_page_size = MAX_PAGE_SIZE
    page_size_query_param = "page_size"
    given: int | None = None  # the page to answer with, whatever the query says

    def get_page_number(self, request: Request, paginator: Any) -> Any:
        return self.given or super().get_page_number(request, paginator)

    @property
    def number(self) -> int:
        """The page that was answered with."""
        assert self.page is not None
        return self.page.number


def page_of(
    rows: Any, request: Request, view: APIView, *, number: int | None = None
) -> tuple[list[Any], Pages]:
    """One page of a queryset or list, and the pager that writes the envelope around it.

    ``number``: of the page, where the query does not say it.
    """
    pager = Pages()
    pager.given = number
    return pager.paginate_queryset(rows, request, view) or [], pager


def selected(query: Mapping[str, Any]) -> Selection:
    """The trials that a ``SelectionQuery`` asks for."""
    return selection.of(
        query.get("state", ()), where=query.get("where", ""), ticked=query.get("ticked", "")
    )


def streamed(request: Request, chunks: Iterator[bytes]) -> Iterator[bytes] | AsyncIterator[bytes]:
    """Pieces as they are asked for; each is made where the database may be used."""
    if not isinstance(request._request, ASGIRequest):
        return chunks

    async def each() -> AsyncIterator[bytes]:
        while (chunk := await sync_to_async(lambda: next(chunks, None))()) is not None:
            yield chunk

    return each()

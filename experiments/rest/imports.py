"""REST: earlier results of other products, uploaded as files, as finished experiments."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.exceptions import PermissionDenied
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from experiments.access import policy
from experiments.earlier.study import Wanted
from experiments.problems import Problem, ProblemsError
from experiments.rest import answers, inputs
from experiments.rest.base import BAD, NO_TOKEN, ApiView
from experiments.rest.errors import TooLarge
from experiments.rest.heads import head
from experiments.said import problems_json
from experiments.services import imports

MOST_BYTES = 256 * 1024 * 1024  # of a request
MOST_FILES = 20
_WAL = "-wal"
FILES: Any = {
    "multipart/form-data": {
        "type": "object",
        "properties": {
            "file": {"type": "array", "items": {"type": "string", "format": "binary"}},
        },
        "required": ["file"],
    }
}


class ImportResults(ApiView):
    parser_classes = [MultiPartParser]

    @extend_schema(
        operation_id="experiments_import",
        summary="Store earlier results of Optuna, NNI, Katib, W&B or our own as experiments",
        parameters=[inputs.ImportQuery],
        request=FILES,
        responses={
            201: answers.ImportedShape,
            400: BAD,
            401: NO_TOKEN,
            403: OpenApiResponse(answers.ErrorsShape, description="You may not create it."),
        },
    )
    def post(self, request: Request) -> Response:
        if not policy.may_create(request.user):
            raise PermissionDenied("You may not create experiments.")
        query = self.read(inputs.ImportQuery, request.query_params)
        if int(request.META.get("CONTENT_LENGTH") or 0) > MOST_BYTES:
            raise TooLarge(f"The files must be at most {MOST_BYTES >> 20} MiB.")
        files = request.FILES.getlist("file")
        if not 0 < len(files) <= MOST_FILES:
            message = f"Upload 1 to {MOST_FILES} files in the field 'file', but got {len(files)}."
            raise ProblemsError([Problem("file", message)])
        with tempfile.TemporaryDirectory(prefix="autotune-upload-") as place:
            studies = imports.read(_kept(files, Path(place)), _wanted(query))
            made = imports.store_all(studies, owner=request.user)
        heads = [
            {
                **head(request, each),
                "left": problems_json(study.left),
                "n_trials": len(study.trials),
            }
            for each, study in zip(made, studies, strict=True)
        ]
        answer = {"experiments": heads}
        return Response(answer, status=status.HTTP_201_CREATED)


def _wanted(query: dict[str, Any]) -> Wanted:
    return Wanted(
        studies=tuple(_bare(name) for name in query.get("study", ())),
        all_studies=query.get("all", False),
        mode=query.get("mode", ""),
        objective=query.get("objective", ""),
        parameters=tuple(_bare(name) for name in query.get("parameters", ())),
    )


def _bare(name: str) -> str:
    """A name without the quotes that keep its commas."""
    is_quoted = len(name) > 1 and name[0] == name[-1] == '"'
    return name[1:-1] if is_quoted else name.strip()


def _kept(files: Sequence[UploadedFile[Any]], place: Path) -> list[tuple[str, Path]]:
    """Their names, and where their contents are for now; a name chooses no place.

    The write-ahead log of a SQLite file stays beside it.
    """
    at = {str(file.name): place / str(number) for number, file in enumerate(files)}
    found = []
    for file in files:
        name = str(file.name)
        main = at.get(name.removesuffix(_WAL)) if name.endswith(_WAL) else None
        target = at[name] if main is None else Path(f"{main}{_WAL}")
        with target.open("wb") as out:
            for piece in file.chunks():
                out.write(piece)
        if main is None:
            found.append((name, target))
    return found

"""Every sentence that the code makes for people: problems, refusals, reasons, texts of events.

``translations`` reads them here, so none needs a mark and none can be forgotten: a text with words
in it, in a module named below, is said to somebody. An f-string becomes a template whose places
are named after what stands in them; ``experiments/said.py`` finds the sentence again by it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent / "experiments"

# What is stored, and shown later: the pages' scripts are handed it too.
EVENTS = (
    *("aistore/client.py", "aistore/uploader.py", "aistore/vault.py", "algorithms/assessors/*.py"),
    "algorithms/borrowed/warm.py",
    *("cluster/objects.py", "cluster/sync.py", "engine/*.py", "loop/*.py", "models/secrets.py"),
    *("mirrors/mlflow.py", "mirrors/passing.py", "mirrors/batch.py", "mirrors/tensorboard.py"),
    *("mirrors/trackio.py", "selectors/blocked.py"),
    *("notices/delivery.py", "notices/webhook.py"),
    *(
        "redaction.py",
        "reports/rows.py",
        "reports/wire.py",
        "reports/trial_api.py",
        "reports/tracking.py",
    ),
    *("selectors/present.py", "services/actions.py", "services/generated/rows.py"),
    *("services/elsewhere.py", "services/growing.py"),
    *("services/imports.py", "services/borrowing.py", "earlier/reasons.py"),
    "services/repeats.py",
    *("strict_json.py", "training/**/*.py", "trials/*.py"),
)
# What is answered at once to who wrote something.
PROBLEMS = (
    *("access/busy.py", "access/policy.py", "algorithms/*.py", "algorithms/space/*.py"),
    *(
        "charts/base.py",
        "charts/own.py",
        "charts/pair.py",
        "charts/scatter.py",
        "convert/*.py",
        "earlier/[!r]*.py",
        "earlier/reading.py",
        "manifest/*.py",
        "rest/*.py",
        "selectors/across.py",
    ),
    *("selectors/chart_data.py", "selectors/compare.py", "selectors/selection.py"),
    *("selectors/trial_facts.py", "selectors/trial_filter.py", "services/channels.py"),
    *("services/creations.py", "services/figures.py", "services/many.py"),
    "services/saved_views.py",
    *("services/conversions.py", "services/intake.py", "services/samples.py", "web/*.py"),
    *("services/borrowing.py", "services/learning.py"),
)
# Generated pages and schemas, descriptions of the API, programs of their own, headers.
NEVER = (
    *("algorithms/reference.py", "algorithms/numerics/*.py", "manifest/crd.py", "rest/answers.py"),
    *("trials/by_hand.py", "training/kubernetes/blocked.py"),
    *("rest/urls.py", "training/client/*.py", "training/local/log.py", "web/account_*.py"),
)
# Of other modules of ours: calls whose texts nobody is shown, and errors that are defects of ours.
UNSHOWN_CALLS = frozenset(
    {"compile", "extend_schema", "OpenApiParameter", "execute", "add_argument", "Thread"}
    | {"Rule", "_algorithm"}
    | {"gettext", "ngettext", "gettext_lazy", "pgettext", "_", "N_", "HttpResponse", "create_task"}
    | {"extend_schema_view", "inline_serializer", "removeprefix", "OpenApiResponse", "info"}
)
# Of a manifest's fields the first argument is for the schema alone; hints are shown.
FIELDS = frozenset(
    {"Whole", "Flag", "Text", "JsonMapping", "Quantity", "Anything", "Amounts", "Rows", "Section"}
)
UNSHOWN_WORDS = frozenset({"help_text", "help", "label", "summary", "doc", "target", "headers"})
DEFECTS = frozenset(
    {
        "ValueError",
        "TypeError",
        "KeyError",
        "RuntimeError",
        "AssertionError",
        "LookupError",
        "PolicyError",
    }
    | {"IllegalMove", "NotImplementedError", "ImproperlyConfigured", "UploadDefect"}
)
# What else has words in it: SQL, code, what is looked for in texts of others.
NOT_SAID = re.compile(
    r"INSERT INTO|UPDATE |COPY | FOR NO KEY|import |exception occurred:|direct cause"
    r"|^(?:Traceback|api key$|query is needed|node not found|Invalid conflicting|`|private, )"
    r"|^(?:mapping values are|cannot start any|expected key|expected <|unexpected end|PR_SET)"
    r"|errors in the manifest$|^(?:Numbers|Ids) of \{|^AutoTune Web API|^application/"
    r"|^(?:<|failed: |HTTP \{|a \{kind\}$)"
    r"|^Bearer \{|^ \(attempt \{|^trial \{number\}\{again\}$"  # of runs elsewhere
    r"|^(?:SELECT |WHERE | AND key|-c default_|objective \{i\}$|pip install |(?:Katib|W&B): \{)"
    r"|^(?:End Time|GPU Count|GPU Type|Job Type|Python version|Start Time|AutoTune Web)$"
    r"|^(?:Relative Time \(Process\)|Optuna \{library\}|study '\{name\}' of|top \{top\}$)"
    r"|^\{name\} \(a journal"
)
# Words of libraries that we pass on, and single ones that stand in places of a sentence.
ALSO = {
    "events": ("tuner", "assessor", "advisor", "nothing", "Started."),
    "problems": (
        *("Expecting value", "Expecting ',' delimiter", "Expecting ':' delimiter", "Extra data"),
        *("Expecting property name enclosed in double quotes", "Invalid \\escape"),
        *(
            "Illegal trailing comma before end of object",
            "Illegal trailing comma before end of array",
        ),
        *("Unterminated string starting at", "Invalid control character at"),
        *("mapping values are not allowed in this context", "mapping values are not allowed here"),
        *("did not find expected key", "did not find expected ',' or ']'"),
        *("did not find expected ',' or '}'", "did not find expected '-' indicator"),
        *("did not find expected node content", "did not find expected <document start>"),
        *("found unexpected end of stream", "found character that cannot start any token"),
        *("while parsing a block mapping", "while parsing a block collection"),
        *(
            "while parsing a flow sequence",
            "while parsing a flow mapping",
            "while parsing a flow node",
        ),
        *("while scanning a quoted scalar", "while scanning for the next token"),
        *(
            "while scanning a simple key",
            "could not find expected ':'",
            "while parsing a block node",
        ),
    ),
}
PLACE = re.compile(r"\{([A-Za-z_]\w*)(?:![rs])?(?::[^{}\s]*)?\}")
# A text that goes on after another, or begins with the path of what is wrong.
BEFORE = re.compile(r"^(?:; |(?:spec\.\S+|\{(?:where|path|tasks)\}\S*): )")
IN_PERCENT = re.compile(r"%\((\w+)\)[sd]")
WORDS = re.compile(r"[A-Za-z]+[',:;]? (?:[A-Za-z{'\"]|\d)|\}'? [a-z]{2,}|[a-z]{2} \(")


def modules(domain: str) -> set[Path]:
    """Whose sentences ``events`` or ``problems`` holds."""
    never = {path for pattern in NEVER for path in ROOT.glob(pattern)}
    patterns = EVENTS if domain == "events" else PROBLEMS
    return {path for pattern in patterns for path in ROOT.glob(pattern)} - never


def sentences(domain: str) -> Iterator[tuple[Path, str]]:
    """Every template of ``events`` or ``problems``, with the module that says it."""
    known: dict[str, str] = {}
    for path in sorted(modules(domain)):
        reader = _Reader()
        reader.visit(ast.parse(path.read_text()))
        for sentence in reader.found:  # the first names its places for all of the same words
            yield path, known.setdefault(PLACE.sub("{}", sentence), sentence)
    for sentence in ALSO[domain]:
        yield ROOT / "said.py", sentence


class _Reader(ast.NodeVisitor):
    """Collects the texts of a module that are no docstrings, log lines or names."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def _body(self, node: ast.Module | ast.ClassDef | ast.FunctionDef) -> None:
        rest = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
        for statement in rest:
            self.visit(statement)
        if isinstance(node, ast.FunctionDef):
            self.visit(node.args)

    visit_Module = visit_ClassDef = visit_FunctionDef = visit_AsyncFunctionDef = _body

    def visit_Call(self, node: ast.Call) -> None:
        called = node.func
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        owner = called.value if isinstance(called, ast.Attribute) else None
        if isinstance(owner, ast.Name) and owner.id in ("logger", "serializers", "OpenApiTypes"):
            return
        if name in UNSHOWN_CALLS or name in DEFECTS:
            return
        self.visit(called)
        for argument in node.args[name in FIELDS :]:
            self.visit(argument)
        for keyword in node.keywords:
            if keyword.arg not in UNSHOWN_WORDS:
                self.visit(keyword.value)

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a text that stands for itself is a comment
            self.visit(node.value)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            text = IN_PERCENT.sub(r"{\1}", node.value)
            self._note(PLACE.sub(r"{\1}", text))

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        said, names = "", []
        for part in node.values:
            if isinstance(part, ast.Constant):
                said += str(part.value)
                continue
            assert isinstance(part, ast.FormattedValue)
            self.visit(part.value)
            names.append(_name(part.value))
            n = names.count(names[-1])
            said += f"{{{names[-1]}{n if n > 1 else ''}}}"
        self._note(said)

    def _note(self, text: str) -> None:
        text = BEFORE.sub("", text)
        if WORDS.search(text) and "\n" not in text and not NOT_SAID.search(text):
            self.found.append(text)


def _name(node: ast.expr) -> str:
    """What a place is called, after the variable that fills it."""
    match node:
        case ast.Name():
            return node.id.strip("_").lower()
        case ast.Attribute():
            return node.attr.strip("_").lower()
        case ast.Call(func=ast.Name(id="len"), args=[counted, *_]):
            return f"n_{_name(counted)}"
        case ast.Call(func=ast.Attribute(attr="join"), args=[listed, *_]):
            return _name(listed)
        case ast.Call(args=[first, *_]):
            return _name(first)
        case ast.Call(func=ast.Attribute(value=owner)):
            return _name(owner)
        case ast.Subscript(value=inner) | ast.BinOp(left=inner) | ast.IfExp(body=inner):
            return _name(inner)
        case ast.GeneratorExp(elt=inner) | ast.BoolOp(values=[inner, *_]):
            return _name(inner)
    return "what"

"""Whatever is shown goes through one door: no line break, no escape, no mark of direction, and no secret."""

from __future__ import annotations

import ast
import inspect
import io
import json
import logging
import pickle
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_provider_honeyhive import display, exceptions
from airflow_provider_honeyhive.api.client import HoneyHiveClient
from airflow_provider_honeyhive.api.settings import ClientSettings
from airflow_provider_honeyhive.display import (
    HIDDEN,
    LONGEST_ARGUMENT,
    LONGEST_ERROR,
    LineFormatter,
    described,
    get_logger,
    hide,
    listed,
    place_of,
    shown,
    write_error,
    write_json,
    write_line,
)
from airflow_provider_honeyhive.exceptions import (
    DestinationError,
    ExportWouldShrinkError,
    HoneyHiveAuthError,
    HoneyHiveError,
    IncompleteExportError,
    InvalidArgumentError,
    TooFewEventsError,
    TooLargeForXComError,
    UnmatchedFieldsError,
    WrongProjectError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: What a hostile name may hold, and how it is shown.
HOSTILE = "a\nOK: fine\r\x1b[31m\u202ebc\u2066\u200b\ud800\x00\x7f\x9b\u2028\ufeff"
HOSTILE_SHOWN = (
    r"a\nOK: fine\r\x1b[31m\u202ebc\u2066\u200b\ud800\x00\x7f\x9b\u2028\ufeff"
)  # fmt: skip

KEY = "hh_S3cr3t/k+y"


@pytest.fixture(autouse=True)
def no_secrets_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display, "_secrets", {})


# --------------------------------------------------------------------------------------------------- one text


def test_a_text_is_one_line_that_prints():
    assert shown(HOSTILE) == HOSTILE_SHOWN
    assert shown("é 漢 \N{GRINNING FACE}") == "é 漢 \N{GRINNING FACE}"


@pytest.mark.parametrize("text", ["x" * 11, "x" * 100_000, "\n" * 10, "\n" * 100_000])
def test_a_long_text_is_cut_and_says_so(text):
    assert len(shown(text, 10)) == 10
    assert shown(text, 10).endswith("…")


def test_a_text_that_just_fits_is_not_cut():
    assert shown("x" * 10, 10) == "x" * 10


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("proxy http://user:SECRET@proxy:3128 refused", "proxy http://***@proxy:3128 refused"),
        ("sftp://user:SEC@RET@host/x", "sftp://***@host/x"),
        ("s3://AKIA:SEC/RET+x@bucket/x", "s3://***@bucket/x"),
        ("http://:SECRET@host", "http://***@host"),
        ("http://user:12345@host", "http://***@host"),
        ("https://SECRET@host/x", "https://***@host/x"),
        ("get 'https://h/o?sig=SECRET&x=1'", "get 'https://h/o?***'"),
        ("HTTPS://h/o?X-Goog-Signature=SECRET", "HTTPS://h/o?***"),
        ("/b/o?sv=1&sig=SECRET&se=2", "/b/o?sv=1&sig=***&se=2"),
        ("/b/o?upload_id=SECRET", "/b/o?upload_id=***"),
        ("X-Amz-Signature=SECRET", "X-Amz-Signature=***"),
        ("X-Amz-Security-Token=SECRET", "X-Amz-Security-Token=***"),
        ("x-amz-server-side-encryption-customer-key=SECRET", "x-amz-server-side-encryption-customer-key=***"),
        ("{'X-Amz-Copy-Source-Customer-Key': 'SECRET'}", "{'X-Amz-Copy-Source-Customer-Key': '***'}"),
        ("AccountName=a;AccountKey=SECRET==;End", "AccountName=a;AccountKey=***;End"),
        ("SharedAccessSignature=SECRET", "SharedAccessSignature=***"),
        ("aws_secret_access_key=SECRET", "aws_secret_access_key=***"),
        ("AWSAccessKeyId=SECRET&Signature=SECRET", "AWSAccessKeyId=***&Signature=***"),
        ("Credential=SECRET, Signature=SECRET", "Credential=***, Signature=***"),
        ("HH_API_KEY=SECRET", "HH_API_KEY=***"),
        ('{"password": "SECRET", "x": 1}', '{"password": "***", "x": 1}'),
        ("{'conn_type': 'h', 'password': 'SE\\'CRET'}", "{'conn_type': 'h', 'password': '***'}"),
        ("{'aws_session_token': \"SE'CRET\"}", "{'aws_session_token': \"***\"}"),
        ('"{\\"api_key\\": \\"SECRET\\", \\"b\\": 1}"', '"{\\"api_key\\": \\"***\\", \\"b\\": 1}"'),
        ('{"password": "SECRET', '{"password": "***'),
        ("Authorization: Bearer SECRET_1 x", "Authorization: Bearer *** x"),
        ("Authorization: Basic SECRET==", "Authorization: Basic ***"),
    ],
)
def test_a_secret_is_known_by_its_shape(text, expected):
    assert shown(text) == expected
    assert shown(expected) == expected


@pytest.mark.parametrize(
    "text",
    [
        "http://host:8080/a@b",
        "abfs://container@account.dfs.core.windows.net/a",
        "allowed: honeyhive://:KEY@HOST:PORT/https?project=NAME&timeout=60 (each piece percent-encoded)",
        "what? that",
        "HH_API_KEY: got None; set it to the API key",
        "redact_secret: got None; at least 16 characters",
        "Bearer authentication",
        "s3://bucket/event_date=2026-11-22/part-0.jsonl.gz",
        "give trust_total=False",
    ],
)
def test_what_is_no_secret_is_shown_as_it_is(text):
    assert shown(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "//a:",
        "//a:b@",
        "\\",
        "http://",
        "%25",
        "&#0000",
        "'token':'",
        "bearer ",
        "x-amz-",
        "'a-",
        "'",
        "a",
        "amz-a-",
        "'amz-",
    ],
)
def test_no_text_makes_endless_work(text):
    hide(KEY)
    # An exponential or a quadratic search over millions of characters would not end.
    assert len(shown(text * 3_000_000, LONGEST_ERROR)) <= LONGEST_ERROR


# ---------------------------------------------------------------------------------------------------- secrets

SPELLINGS: list[Callable[[str], str]] = [
    str,
    lambda key: key.replace("/", "\\/"),
    lambda key: json.dumps(json.dumps(key.replace("/", "\\/"))),
    lambda key: "".join(f"\\u{ord(one):04x}" for one in key),
    lambda key: "".join(f"\\\\u{ord(one):04X}" for one in key),
    lambda key: "".join(f"\\x{ord(one):02x}" for one in key),
    lambda key: "".join(f"%{ord(one):02x}" for one in key),
    lambda key: key.replace("/", "%252F").replace("+", "%2b"),
    lambda key: "".join(f"&#{ord(one)};" for one in key),
    lambda key: "".join(f"&#x{ord(one):04X};" for one in key),
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_secret_is_found_in_any_spelling(spelling):
    hide(KEY)
    said = f"your key {spelling(KEY)} is wrong"
    assert shown(said).replace('"', "").replace("\\", "") == f"your key {HIDDEN} is wrong"


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("before", range(LONGEST_ARGUMENT - 20, LONGEST_ARGUMENT + 1))
def test_no_part_of_a_secret_stays_where_a_text_is_cut(spelling, before):
    hide(KEY)
    assert "S3" not in shown("." * before + spelling(KEY) * 3)


@pytest.mark.parametrize("between", ["", " ", "."])
def test_no_part_of_a_secret_stays_where_hiding_makes_a_text_short(between):
    hide(KEY)
    for shift in range(len(KEY) + 1):
        assert "hh_" not in shown("." * shift + (KEY + between) * 3_000)


def test_what_is_too_short_for_a_secret_hides_nothing():
    hide("key")
    hide("")
    hide(None)
    assert shown("the key of it") == "the key of it"


def test_what_a_client_knows_is_hidden_from_then_on():
    hashes = "secret of the hashes"
    assert shown(f"{KEY} {hashes}") == f"{KEY} {hashes}"
    HoneyHiveClient(ClientSettings.parse(api_key=KEY, redact_secret=hashes)).close()
    assert shown(f"{KEY} {hashes}") == f"{HIDDEN} {HIDDEN}"
    # A project that a server gives the name of the key.
    assert "S3cr3t" not in f"{WrongProjectError('demo', KEY)}"


# ----------------------------------------------------------------------------------------------------- errors

ERRORS: list[HoneyHiveError] = [
    HoneyHiveError(HOSTILE),
    InvalidArgumentError(HOSTILE, HOSTILE, HOSTILE),
    InvalidArgumentError("filters", {"password": KEY, HOSTILE: HOSTILE}, "allowed: a text"),
    InvalidArgumentError("filters", [HOSTILE] * 100_000, "allowed: a text"),
    WrongProjectError(HOSTILE, HOSTILE * 100_000),
    WrongProjectError("demo", KEY),
    IncompleteExportError(None, 1, HOSTILE),
    IncompleteExportError(2, 1, agreed=True),
    TooFewEventsError(2, 1),
    UnmatchedFieldsError([HOSTILE, KEY] * 100),
    ExportWouldShrinkError(2, 1, 1, HOSTILE, HOSTILE),
    TooLargeForXComError(2, 1),
    HoneyHiveAuthError(f"no {KEY} {HOSTILE}", status_code=401, server_message=HOSTILE, error_code=HOSTILE),
    DestinationError(HOSTILE * 100_000),
]


def texts_of(error: BaseException) -> list[str]:
    """Return an error as all those show it who show errors."""
    stacks = [traceback.format_exception(error), traceback.format_exception_only(error)]
    return [str(error), repr(error), f"{error}", described(error), *map("".join, stacks)]


@pytest.mark.parametrize("error", ERRORS, ids=[type(error).__name__ for error in ERRORS])
def test_no_error_shows_what_is_hostile_or_secret_and_all_are_pickled_as_they_are(error):
    hide(KEY)
    for one in (error, pickle.loads(pickle.dumps(error))):  # noqa: S301
        assert (type(one), str(one)) == (type(error), str(error))
        for text in texts_of(one):
            assert "S3cr3t" not in text
            assert all(line.isprintable() for line in text.split("\n"))
            assert "\nOK: fine" not in text
        assert len(str(one)) <= LONGEST_ERROR


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (WrongProjectError("x" * 100_000, "y" * 100_000), "Use a connection whose key belongs to"),
        (InvalidArgumentError("filters", ["x" * 100_000], "allowed: a text"), "allowed: a text"),
    ],
)
def test_what_to_do_is_read_however_long_the_facts_are(error, remedy):
    assert remedy in str(error)
    assert len(str(error)) < 1_500


def test_every_kind_of_error_is_one_of_ours():
    for _, kind in inspect.getmembers(exceptions, lambda it: isinstance(it, type) and issubclass(it, Exception)):
        assert issubclass(kind, HoneyHiveError)


def raised_in_passing() -> HoneyHiveError:
    try:
        try:
            raise OSError(f"the original says {KEY}")
        except OSError:
            raise HoneyHiveError("it failed")  # noqa: B904 - what is forgotten is no leak either
    except HoneyHiveError as error:
        return error


def shown_by_airflow(error: BaseException) -> str:
    tracebacks = pytest.importorskip("structlog.tracebacks")
    transform = tracebacks.ExceptionDictTransformer(use_rich=False, show_locals=False)
    return json.dumps(transform((type(error), error, error.__traceback__)))


def shown_by_rich(error: BaseException) -> str:
    rich_traceback, console = pytest.importorskip("rich.traceback"), pytest.importorskip("rich.console")
    stream = io.StringIO()
    made = rich_traceback.Traceback.from_exception(type(error), error, error.__traceback__)
    console.Console(file=stream, width=200).print(made)
    return stream.getvalue()


@pytest.mark.parametrize("show", [shown_by_airflow, shown_by_rich, lambda error: "\n".join(texts_of(error))])
def test_no_traceback_goes_on_to_the_original(show):
    error = raised_in_passing()
    assert isinstance(error.__context__, OSError)
    text = show(error)
    assert "it failed" in text
    assert "S3cr3t" not in text


def test_a_place_is_where_and_not_what():
    place = place_of(raised_in_passing())
    assert place.startswith("test_display.py:")
    assert place.endswith(" raised_in_passing")


def test_many_texts_are_counted():
    assert listed(["a", "b"]) == "a; b"
    assert listed(list("abcd"), ", ", most=2) == "a, b, and 2 more"


# ------------------------------------------------------------------------------------------------------- logs


class Odd:
    def __str__(self) -> str:
        return HOSTILE

    __repr__ = __str__


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("a %s", (HOSTILE,)),
        ("a %r", (HOSTILE,)),
        ("a %s", ([HOSTILE],)),
        ("a %s %r", (Odd(), Odd())),
        ("a %(b)s", ({"b": HOSTILE},)),
        ("a %s", (HoneyHiveError(HOSTILE),)),
        ("a %r", (ValueError(HOSTILE),)),
        ("a %s", (f"//u:{KEY}@h",)),
    ],
)
def test_no_log_line_shows_what_is_hostile(caplog, line, arguments):
    log = get_logger("airflow_provider_honeyhive.somewhere")
    log.warning(line, *arguments)
    (said,) = caplog.messages
    assert said.isprintable()
    assert "S3cr3t" not in said


def test_numbers_stay_numbers_in_a_log(caplog):
    get_logger("airflow_provider_honeyhive.somewhere").warning("%d %.1f %s %5s|", 1, 2.25, True, None)
    assert caplog.messages == ["1 2.2 True  None|"]


def test_a_log_line_of_another_library_is_one_line_too():
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        record = logging.LogRecord("lib", logging.ERROR, "x.py", 1, f"{HOSTILE} //u:p@h", (), sys.exc_info())
    line = LineFormatter("%(message)s").format(record)
    assert line.isprintable()
    assert "//***@h" in line


# -------------------------------------------------------------------------------------------------- terminals


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
@pytest.mark.parametrize(("write", "name"), [(write_line, "stdout"), (write_error, "stderr")])
def test_a_line_is_written_whatever_the_terminal_can_show(monkeypatch, encoding, write, name):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, name, io.TextIOWrapper(raw, encoding, errors="strict"))
    write(f"é漢 {HOSTILE}")
    lines = raw.getvalue().decode(encoding).split("\n")
    assert len(lines) == 2
    assert lines[0].isprintable()
    assert HOSTILE_SHOWN in lines[0]


def test_json_is_ascii_that_prints_and_nothing_is_left_out_of_it(capsys):
    value = {HOSTILE: ["é" * LONGEST_ERROR, HOSTILE, "s3://u:p@h?sig=x"]}
    write_json(value)
    (line, end) = capsys.readouterr().out.split("\n")
    assert (json.loads(line), end) == (value, "")
    assert line.isascii()
    assert line.isprintable()


# ----------------------------------------------------------------------- nothing in the package goes past it

PACKAGE = Path(display.__file__).parent
MODULES = {str(path.relative_to(PACKAGE)): ast.parse(path.read_text("utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}
DOOR, TERMINAL = "display.py", "cli/terminal.py"
LEVELS = {"debug", "info", "warning", "error", "critical", "log"}
OURS = {name for name, kind in vars(exceptions).items() if isinstance(kind, type) and issubclass(kind, Exception)}
#: Errors that hold an error of ours, and no text of others.
CARRIERS = {"ReadAgainError"}


def found(test: Callable[[ast.AST], bool], *, but: tuple[str, ...] = (DOOR,)) -> list[str]:
    """Return the places in the package's source at which a test holds."""
    return [
        f"{name}:{getattr(node, 'lineno', 0)}: {ast.unparse(node)[:100]}"
        for name, tree in MODULES.items()
        if name not in but
        for node in ast.walk(tree)
        if test(node)
    ]


def dotted(node: ast.AST) -> str:
    return ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""


def called(node: ast.AST) -> str:
    return dotted(node.func) if isinstance(node, ast.Call) else ""


def imports(node: ast.AST, module: str) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.module == module
    return isinstance(node, ast.Import) and any(alias.name == module for alias in node.names)


def test_the_walk_sees_the_package():
    assert {DOOR, TERMINAL, "triggers/watch.py", "operators/honeyhive.py"} <= MODULES.keys()
    assert "HoneyHiveError" in OURS
    assert found(lambda node: called(node) == "get_logger")


def test_all_loggers_are_ours():
    assert found(lambda node: called(node).endswith("getLogger") or called(node) == "logging.Logger") == []
    # Of an operator, a sensor or a trigger: it is Airflow's own.
    assert (
        found(lambda node: isinstance(node, ast.Attribute) and node.attr == "log" and dotted(node) != "log.log") == []
    )
    functions = LEVELS | {"exception", "basicConfig"}
    assert found(lambda node: called(node) in {f"logging.{name}" for name in functions}) == []


def test_no_log_line_shows_a_traceback_which_goes_on_to_the_original():
    assert found(lambda node: called(node).endswith(".exception") and dotted(node).startswith("log")) == []
    assert found(lambda node: called(node) == "log.exception") == []
    assert found(lambda node: isinstance(node, ast.keyword) and node.arg in {"exc_info", "stack_info"}) == []
    assert found(lambda node: imports(node, "traceback")) == []


def test_what_a_log_line_says_of_others_is_an_argument():
    def says_it_itself(node: ast.AST) -> bool:
        if called(node) not in {f"log.{level}" for level in LEVELS}:
            return False
        text = node.args[1 if called(node) == "log.log" else 0]
        return not (isinstance(text, ast.Constant) and isinstance(text.value, str))

    assert found(says_it_itself) == []


def test_only_the_door_writes_to_a_terminal():
    assert found(lambda node: called(node) in {"print", "input"}) == []
    streams = {"stdout", "stderr", "__stdout__", "__stderr__"}
    # It only looks what stderr is, hands it to the log and the bar, and leaves stdout.
    # The sandbox prints its own key, which the door would hide.
    doors = (DOOR, TERMINAL, "sandbox/command.py")
    assert found(lambda node: isinstance(node, ast.Attribute) and node.attr in streams, but=doors) == []
    assert found(lambda node: called(node).startswith(("sys.stdout.write", "sys.stderr.write")), but=doors) == []
    # A former name of an argument is told by a constant text.
    assert found(lambda node: called(node) in {"warnings.warn", "warn"}, but=("operators/honeyhive.py",)) == []


def handlers(tree: ast.AST) -> Iterator[tuple[ast.ExceptHandler, ast.Raise]]:
    for handler in ast.walk(tree):
        if isinstance(handler, ast.ExceptHandler):
            yield from ((handler, node) for node in ast.walk(handler) if isinstance(node, ast.Raise))


def kinds_of(handler: ast.ExceptHandler) -> set[str]:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return {ast.unparse(kind) if kind else "everything" for kind in kinds}


def test_no_error_is_raised_from_one_whose_text_is_not_ours():
    wrong = []
    for name, tree in MODULES.items():
        for handler, node in handlers(tree):
            if node.exc is None or ast.unparse(node.exc) == handler.name:
                continue
            has_no_cause = isinstance(node.cause, ast.Constant) and node.cause.value is None
            if not has_no_cause and not kinds_of(handler) <= OURS | CARRIERS:
                wrong.append(f"{name}:{node.lineno}: {ast.unparse(node)}")
    assert wrong == []


def test_an_error_of_airflows_own_says_only_what_is_shown():
    shows = {"shown", "described", "quoted"}

    def is_shown(node: ast.AST) -> bool:
        if isinstance(node, ast.Constant) or called(node) in shows:
            return True
        if isinstance(node, ast.JoinedStr):
            return all(is_shown(one.value if isinstance(one, ast.FormattedValue) else one) for one in node.values)
        # A name that was given a shown text in the same function, and numbers of the task.
        return dotted(node) in {"message", "self.timeout"}

    def says_more(node: ast.AST) -> bool:
        raised = node.exc if isinstance(node, ast.Raise) else None
        is_airflows = raised is not None and called(raised).startswith("Airflow")
        return is_airflows and isinstance(raised, ast.Call) and not all(map(is_shown, raised.args))

    assert found(lambda node: called(node).startswith("Airflow"))
    assert found(says_more) == []


def test_what_a_trigger_says_of_an_error_is_shown():
    def names_an_error(node: ast.AST) -> bool:
        return isinstance(node, ast.FormattedValue) and dotted(node.value) == "error"

    assert found(names_an_error, but=tuple(name for name in MODULES if not name.startswith("triggers/"))) == []

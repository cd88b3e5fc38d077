"""One stream of log lines on standard output: structlog, without its global configuration.

A line is a dictionary that ends as JSON (by msgspec, written as bytes), or on a terminal as words for people.
The level is read at each call, so that a reload can change it. What the libraries say through the standard
`logging` module ends in the same stream, without passwords in URLs and without objects' addresses.
"""

import asyncio
import contextlib
import functools
import json
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal, Protocol

import msgspec
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from tms_bridge.log.output import ATOMIC_BYTES, LogOutput
from tms_bridge.settings.model import Logging as LogSettings

Logger = FilteringBoundLogger
"""What the rest of the service logs with."""

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_METHOD_LEVELS = _LEVELS | {"exception": 40, "msg": 20, "warn": 30, "fatal": 50, "err": 40}
_TRACES_EVERY_S = 60.0
_PASSWORD_IN_URL = re.compile(r"(?<=://)[^/@\s]*@")
_REPR = re.compile(r"<([^<>]*?)(?: object)? at 0x[0-9a-f]+>")


class Line(msgspec.Struct, gc=False):
    """What a line of the short way begins with; each kind of line derives from it, and ends with `event`."""

    timestamp: str
    level: Literal["info", "warning"]


class _Stream(Protocol):
    """Where the bytes of a line go."""

    def write(self, line: bytes, /) -> object:
        """Write one line, with its newline."""
        ...


class Log:
    """The log of this process; `logger` is what others write with."""

    def __init__(self, settings: LogSettings, stream: _Stream | None = None) -> None:
        self._threshold = _LEVELS[settings.level]
        terminal = stream is None and sys.stdout.isatty()
        self._is_json = (settings.format or ("console" if terminal else "json")) == "json"
        self._stream = stream or LogOutput(sys.stdout.fileno())
        self._sink = sink = _Sink(self._stream)
        render = (
            _render_json if self._is_json else _ForPeople(colours=terminal and "NO_COLOR" not in os.environ)
        )
        self.logger: Logger = structlog.wrap_logger(
            structlog.BytesLogger(sink),  # type: ignore[arg-type]  # it uses write and flush alone
            processors=[self._drop_below_level, _add_level_and_time, _format_traceback, render],
            wrapper_class=structlog.make_filtering_bound_logger(0),
            cache_logger_on_first_use=True,
        ).bind()

    def line(self, line: Line) -> None:
        """Write one line by the short way, for what is said at every webhook; the timestamp is set here.

        The result is that of `logger`; the way through its processors would cost several times as much.
        """
        if _LEVELS[line.level] < self._threshold:
            return
        if self._is_json:
            line.timestamp = _now()
            self._sink.gather(_encoded(line) + b"\n")
        else:
            fields = msgspec.to_builtins(line)
            del fields["timestamp"]
            self.logger.log(_LEVELS[fields.pop("level")], fields.pop("event"), **fields)

    def set_level(self, settings: LogSettings) -> None:
        """Write from now on what this level and those above it say."""
        self._threshold = _LEVELS[settings.level]

    def close(self) -> None:
        """Give lines that wait for a slow reader a moment to go out."""
        self._sink.flush()
        if isinstance(self._stream, LogOutput):
            self._stream.close()

    @contextlib.contextmanager
    def adopt_libraries(self) -> Iterator[None]:
        """Take in the warnings of libraries that use the standard `logging` module."""
        handler = _LibraryHandler(self.logger)
        root = logging.getLogger()
        root.addHandler(handler)
        try:
            yield
        finally:
            root.removeHandler(handler)

    def _drop_below_level(self, _: WrappedLogger, method: str, event: EventDict) -> EventDict:
        if _METHOD_LEVELS[method] < self._threshold:
            raise structlog.DropEvent
        return event


class _Sink:
    """A reader of the log that went away, or a full disk under it, must not fail a webhook."""

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream
        self._thread = threading.get_ident()
        self._gathered: list[bytes] = []
        self._size = 0

    def write(self, line: bytes) -> None:
        self.flush()  # lines keep their order
        with contextlib.suppress(OSError):
            self._stream.write(line)

    def gather(self, line: bytes) -> None:
        """Write a line together with the others of this turn of the event loop: one system call for all."""
        if self._size + len(line) > ATOMIC_BYTES:
            self.flush()
        if not self._gathered:
            loop = asyncio._get_running_loop()  # noqa: SLF001 - documented, and None instead of an error
            if loop is None:
                self.write(line)
                return
            loop.call_soon(self.flush)
        self._gathered.append(line)
        self._size += len(line)

    def flush(self) -> None:
        """Write what has gathered; a thread that only says something itself leaves that alone."""
        if self._gathered and threading.get_ident() == self._thread:
            lines, self._gathered, self._size = self._gathered, [], 0
            with contextlib.suppress(OSError):
                self._stream.write(b"".join(lines))


class _LibraryHandler(logging.Handler):
    """Turns a standard log record into a line of ours."""

    def __init__(self, logger: Logger) -> None:
        super().__init__(logging.WARNING)
        self._logger = logger
        self._traces_told_at = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        failure = record.exc_info if record.exc_info and record.exc_info[0] else None
        if record.name.startswith(("aiormq", "aio_pika")):
            self._tell_of_client(record, failure[1] if failure else None)
            return
        if record.name.startswith("opentelemetry"):
            self._tell_of_traces(record)
            return
        self._logger.log(record.levelno, _in_words(record.getMessage()), logger=record.name, exc_info=failure)

    def _tell_of_client(self, record: logging.LogRecord, failure: BaseException | None) -> None:
        """Write one line, without the traceback that it gives to every lost connection."""
        # Whoever connects reports a failure once and better; these lines would repeat it at each attempt.
        level = logging.DEBUG if record.name.startswith("aiormq.connection") else record.levelno
        reason = {"reason": _in_words(repr(failure))} if failure else {}
        self._logger.log(level, _in_words(record.getMessage()), logger=record.name, **reason)

    def _tell_of_traces(self, record: logging.LogRecord) -> None:
        """Write a line a minute: while its receiver is away, the exporter would write one every second."""
        if record.created - self._traces_told_at >= _TRACES_EVERY_S:
            self._traces_told_at = record.created
            self._logger.warning("traces are not sent", detail=_in_words(record.getMessage()))


def without_passwords(text: str) -> str:
    """Return the text with the user information of every URL in it replaced."""
    return _PASSWORD_IN_URL.sub("***@", text)


def without_addresses(text: str) -> str:
    """Return the text with what Python makes of objects that have no text of their own cut to their names."""
    return _REPR.sub(r"\1", text)


def _in_words(text: str) -> str:
    return without_addresses(without_passwords(text))


def _add_level_and_time(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    level = "error" if method == "exception" else method
    return _stamp(logger, method, {"timestamp": "", "level": level, **event})


_stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)


def _format_traceback(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    if not event.get("exc_info"):
        event.pop("exc_info", None)
        return event
    # The plain formatter shows no local variables: they could hold a body or a credential.
    event = structlog.processors.format_exc_info(logger, method, event)
    event["exception"] = without_passwords(event["exception"])
    return event


def _now() -> str:
    seconds, microseconds = divmod(time.time_ns() // 1000, 1_000_000)
    return f"{_second(seconds)}.{microseconds:06d}Z"


@functools.lru_cache(maxsize=2)
def _second(unix_s: int) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")


_encoder = msgspec.json.Encoder(enc_hook=str)


def _render_json(_: WrappedLogger, __: str, event: EventDict) -> bytes:
    return _encoded(event)


def _encoded(line: EventDict | Line) -> bytes:
    try:
        return _encoder.encode(line)
    except UnicodeEncodeError:  # a path or header with bytes that are no UTF-8
        return json.dumps(msgspec.to_builtins(line, enc_hook=str), default=str).encode()


_STYLES = {"warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[1;31m"}
_PLAIN, _DIM, _RESET = "", "\x1b[2m", "\x1b[0m"


class _ForPeople:
    """One line a person takes in at a glance: the time, then what happened, then the rest, prose last."""

    def __init__(self, *, colours: bool) -> None:
        self._colours = colours

    def __call__(self, _: WrappedLogger, __: str, event: EventDict) -> bytes:
        rest = dict(event)
        moment, level, name = rest.pop("timestamp"), str(rest.pop("level")), str(rest.pop("event"))
        # Every webhook's line is called webhook; what became of it is what one looks for.
        what = str(rest.pop("outcome", None) or name)
        detail, traceback = rest.pop("detail", ""), rest.pop("exception", "")
        known = [f"{key}={_shown(value)}" for key, value in rest.items() if value not in ("", None, [])]
        head = what if level in ("info", "debug") else f"{level.upper()} {what}"
        parts = [
            self._styled(str(moment)[11:19], _DIM),
            self._styled(_printable(head), _STYLES.get(level, _PLAIN)),
            *known,
        ]
        line = "  ".join([*parts, _printable(str(detail))] if detail else parts)
        return "\n".join([line, str(traceback)] if traceback else [line]).encode(errors="backslashreplace")

    def _styled(self, text: str, style: str) -> str:
        return f"{style}{text}{_RESET}" if self._colours and style else text


def _shown(value: object) -> str:
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return f'"{_printable(text)}"' if " " in text else _printable(text)


def _printable(text: str) -> str:
    """Spell control characters out: a path or a header is the caller's, and must not steer the terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)

"""Reads the TOML file into settings, or says everything that is wrong with it."""

import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

from tms_bridge.errors import SettingsError
from tms_bridge.settings import amqp, listeners, sources
from tms_bridge.settings.interpolation import Interpolation, Unresolved, read_file
from tms_bridge.settings.model import Mistake, Settings, Tls, join
from tms_bridge.settings.network import AddressList, AllowFrom
from tms_bridge.settings.shape import Shape

_FILES: Final = frozenset({"cafile", "capath", "certfile", "keyfile"})
"""The options of an AMQP URL that name a file or a directory."""


class Loaded(msgspec.Struct, frozen=True):
    """What was read, and where from.

    Attributes:
        settings: the checked values; every path in them is absolute.
        files: the configuration and every file that it names, for whoever watches them for changes.
        literal_secrets: keys of secrets that are spelled out in the file itself.
        former_outbox: where a relative `outbox.dir` led when it began at the working directory; None where
            that is no other place.
    """

    settings: Settings
    files: tuple[Path, ...]
    literal_secrets: tuple[str, ...]
    former_outbox: Path | None = None


def load(path: Path, environ: Mapping[str, str]) -> Settings:
    """Return the settings of a file.

    Raises:
        SettingsError: the file cannot be used; the text names every key at fault, a line each.
    """
    return read(path, environ).settings


def read(path: Path, environ: Mapping[str, str]) -> Loaded:
    """As load, with what a watcher and `tms-bridge check` want to know besides."""
    document = _parse(path)
    interpolation = Interpolation(environ, path.parent)
    shape = Shape(interpolation)
    settings = shape.fit(document)
    problems = shape.problems
    if settings is not None:
        settings = _with_lists(settings, interpolation, problems)
        problems += find_problems(settings)
    if settings is None or problems:
        raise _refusal(path, problems)
    placed = _placed(settings, path.absolute().parent)
    if problems := [*listeners.certificate_problems(placed)]:
        raise _refusal(path, problems)
    files = tuple(dict.fromkeys([path, *interpolation.files, *listeners.certificate_files(placed)]))
    return Loaded(placed, files, tuple(shape.literal_secrets), _former_outbox(settings, placed))


def find_problems(settings: Settings) -> list[Mistake]:
    """Return everything that keeps these settings from being used and that their types cannot say."""
    return [
        *listeners.find_problems(settings),
        *amqp.find_problems(settings.amqp),
        *sources.find_problems(settings),
    ]


def _parse(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(read_file(path))
    except Unresolved as error:
        hint = "" if os.path.lexists(path) else f"; `tms-bridge init {path}` writes one"
        raise SettingsError(f"{path}: cannot be read ({error}){hint}") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: is not valid TOML: {error}") from None
    except RecursionError:
        raise SettingsError(f"{path}: is nested too deeply") from None


def _with_lists(settings: Settings, interpolation: Interpolation, problems: list[Mistake]) -> Settings:
    """Put the addresses of the lists that `@file` names in the place of their names."""
    proxies = AddressList("http.trusted_proxies", interpolation)
    http = msgspec.structs.replace(
        settings.http, trusted_proxies=proxies.expand(settings.http.trusted_proxies)
    )
    problems += proxies.problems
    sources = {}
    for name, source in settings.sources.items():
        allow_from = AllowFrom(f"{join('sources', name)}.allow_from", interpolation)
        sources[name] = msgspec.structs.replace(source, allow_from=allow_from.expand(source.allow_from))
        problems += allow_from.problems
    return msgspec.structs.replace(settings, http=http, sources=sources)


def _placed(settings: Settings, directory: Path) -> Settings:
    """Return the settings with each relative path made absolute, beginning at this directory."""
    urls = tuple(_placed_url(url, directory) for url in settings.amqp.urls)
    amqp = msgspec.structs.replace(settings.amqp, urls=urls)
    http = msgspec.structs.replace(settings.http, tls=_placed_tls(settings.http.tls, directory))
    admin = msgspec.structs.replace(settings.admin, tls=_placed_tls(settings.admin.tls, directory))
    outbox = settings.outbox
    if outbox is not None:
        outbox = msgspec.structs.replace(outbox, dir=str(directory / outbox.dir))
    return msgspec.structs.replace(settings, http=http, admin=admin, amqp=amqp, outbox=outbox)


def _placed_tls(written: Tls | None, directory: Path) -> Tls | None:
    if written is None:
        return None
    client_ca = None if written.client_ca is None else str(directory / written.client_ca)
    return Tls(
        certificate=str(directory / written.certificate),
        key=str(directory / written.key),
        client_ca=client_ca,
    )


def _placed_url(url: str, directory: Path) -> str:
    parts = urlsplit(url)
    options = parse_qsl(parts.query, keep_blank_values=True)
    placed = [
        (name, str(directory / value) if name in _FILES and value else value) for name, value in options
    ]
    # A URL that names no relative path stays as it was written, letter for letter.
    return url if placed == options else parts._replace(query=urlencode(placed)).geturl()


def _former_outbox(written: Settings, placed: Settings) -> Path | None:
    if written.outbox is None or placed.outbox is None:
        return None
    try:
        former = Path(written.outbox.dir).absolute()
        return former if former.resolve() != Path(placed.outbox.dir).resolve() else None
    except OSError:  # the working directory is gone
        return None


def _refusal(path: Path, problems: Iterable[Mistake]) -> SettingsError:
    return SettingsError("\n".join(f"{path}: {problem}" for problem in problems))

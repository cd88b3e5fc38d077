"""Reads the TOML file into settings, or says everything that is wrong with it."""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from tms_bridge.errors import SettingsError
from tms_bridge.settings.allow_from import AllowFrom
from tms_bridge.settings.checks import find_problems
from tms_bridge.settings.interpolation import Interpolation
from tms_bridge.settings.model import Settings, Source
from tms_bridge.settings.problem import Problem, join
from tms_bridge.settings.shape import Shape


class Loaded(msgspec.Struct, frozen=True):
    """What was read, and where from.

    Attributes:
        settings: the checked values.
        files: the configuration and every file that it names, for whoever watches them for changes.
        literal_secrets: keys of secrets that are spelled out in the file itself.
    """

    settings: Settings
    files: tuple[Path, ...]
    literal_secrets: tuple[str, ...]


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
        settings = msgspec.structs.replace(
            settings, sources=_with_lists(settings.sources, interpolation, problems)
        )
        problems += find_problems(settings)
    if settings is None or problems:
        raise _refusal(path, problems)
    files = tuple(dict.fromkeys([path, *interpolation.files]))
    return Loaded(settings, files, tuple(shape.literal_secrets))


def _parse(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_bytes().decode())
    except FileNotFoundError:
        raise SettingsError(f"{path}: there is no such file; `tms-bridge init {path}` writes one") from None
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: is not UTF-8 text, which TOML must be") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: is not valid TOML: {error}") from None
    except RecursionError:
        raise SettingsError(f"{path}: is nested too deeply") from None


def _with_lists(
    sources: Mapping[str, Source], interpolation: Interpolation, problems: list[Problem]
) -> dict[str, Source]:
    """Put the addresses of the lists that `@file` names in the place of their names."""
    expanded = {}
    for name, source in sources.items():
        allow_from = AllowFrom(f"{join('sources', name)}.allow_from", interpolation)
        expanded[name] = msgspec.structs.replace(source, allow_from=allow_from.expand(source.allow_from))
        problems += allow_from.problems
    return expanded


def _refusal(path: Path, problems: Iterable[Problem]) -> SettingsError:
    return SettingsError("\n".join(f"{path}: {problem}" for problem in problems))

"""How a command comes to its configuration."""

import os
from pathlib import Path

from tms_bridge.errors import SettingsError
from tms_bridge.settings.load import read
from tms_bridge.settings.model import Settings, Source


def load(path: Path) -> Settings:
    """Read the file, with the environment's values filled in.

    Raises:
        SettingsError: it is missing or cannot be used.
    """
    return read(path, os.environ).settings


def source_of(settings: Settings, name: str) -> Source:
    """Return the source of this name.

    Raises:
        SettingsError: there is none.
    """
    source = settings.sources.get(name)
    if source is None:
        known = ", ".join(settings.sources)
        raise SettingsError(f'there is no source "{name}"; configured: {known}')
    return source

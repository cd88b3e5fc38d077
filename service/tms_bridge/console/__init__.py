"""The console: pages for people, on the admin listener."""

from tms_bridge.console.app import mount
from tms_bridge.console.frame import Board
from tms_bridge.console.sessions import Sessions, Tries

__all__ = ["Board", "Sessions", "Tries", "mount"]

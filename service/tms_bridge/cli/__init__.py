"""Arguments in, exit codes out."""

from tms_bridge.cli.program import main

__all__ = ["main"]

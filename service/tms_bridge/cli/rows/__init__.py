"""What the commands `outbox` and `quarantine` work on: the directory itself, or the bridge that holds it."""

from tms_bridge.cli.rows.interface import Row, Rows, Status, every
from tms_bridge.cli.rows.opening import with_rows

__all__ = ["Row", "Rows", "Status", "every", "with_rows"]

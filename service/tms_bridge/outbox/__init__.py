"""Where an event is durable: the journal on disk, or memory and the broker's confirm."""

from tms_bridge.outbox.journal import Journal, Machine, Stats
from tms_bridge.outbox.memory import MemoryOutbox
from tms_bridge.outbox.records import Records

__all__ = ["Journal", "Machine", "MemoryOutbox", "Records", "Stats"]

"""Pure: a body becomes a typed event and its message, or a reason for quarantine.

Nothing here opens a socket, reads a clock or rolls a die: id, time and the source's rules are arguments.

    rules = rules_of(name, settings.sources[name])[trigger]
    message = understand(body, rules, stamp)      # or raises Undecodable
"""

from tms_bridge.ingest.decoded import Decoded
from tms_bridge.ingest.explanation import Explanation, Proposal, explain, propose
from tms_bridge.ingest.fields import unreadable_fields
from tms_bridge.ingest.observation import News, Observation, Observations, ObservedMember, schema_of
from tms_bridge.ingest.rules import Rules, rules_of
from tms_bridge.ingest.tolerant import Find
from tms_bridge.ingest.understanding import (
    Stamp,
    decode,
    digest,
    quarantined,
    remark,
    reread,
    trial,
    understand,
    understand_in_full,
)

__all__ = [
    "Decoded",
    "Explanation",
    "Find",
    "News",
    "Observation",
    "Observations",
    "ObservedMember",
    "Proposal",
    "Rules",
    "Stamp",
    "decode",
    "digest",
    "explain",
    "propose",
    "quarantined",
    "remark",
    "reread",
    "rules_of",
    "schema_of",
    "trial",
    "understand",
    "understand_in_full",
    "unreadable_fields",
]

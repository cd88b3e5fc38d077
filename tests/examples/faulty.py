"""Copies of `consumer.py`, each with a fault that consumers really have, planted into its text."""

import os
from pathlib import Path

import msgspec

from .day import EXAMPLES

Edit = tuple[str, str]

ONCE = 'inbox.execute("INSERT OR IGNORE INTO inbox VALUES (?)", [event.id]).rowcount'
APPLY = "        apply(inbox, tms_events.decode(message.body))\n"
MAIN = "async def main() -> None:\n"
ACK = "    else:\n        await message.ack()\n"


# RabbitMQ 4 limits to 20 where nobody says otherwise.
UNLIMITED = ', "x-delivery-limit": -1' if os.environ.get("RABBITMQ_SERIES") == "4" else ""


class Fault(msgspec.Struct, frozen=True):
    """What is wrong with a copy, the ordeal that shows it, and the kind under which it must be found."""

    kind: str
    ordeal: str
    edits: tuple[Edit, ...]

    def plant(self, directory: Path) -> Path:
        """Write the copy, and return its path."""
        text = (EXAMPLES / "consumer.py").read_text()
        for old, new in self.edits:
            assert old in text, f"the example has changed, and this fault cannot be planted: {old}"
            text = text.replace(old, new)
        path = directory / "consumer.py"
        path.write_text(text)
        return path


FAULTS = {
    "acknowledges before the work": Fault(
        "acked-early",
        "kill-in-hand",
        (("    try:\n        apply", "    await message.ack()\n    try:\n        apply"), (ACK, "")),
    ),
    "has no dead letters": Fault(
        "not-dead-lettered", "poison", (("DEAD = {", 'DEAD: dict[str, str] = {}\n_ = {"x": QUEUE,'),)
    ),
    "takes an equal digest for a copy": Fault(
        "lost",
        "equal-bodies",
        ((APPLY, APPLY.replace(")\n", ', message.headers["tms-digest"])\n').replace("body)", "body)")),
         ("event: tms_events.Event) -> None", "event: tms_events.Event, digest: str) -> None"),
         (ONCE, ONCE.replace("event.id", "digest"))),
    ),
    "asks Newest before it acts": Fault(
        "lost",
        "late",
        ((APPLY, ("        event = tms_events.decode(message.body)\n"
                 "        if NEWEST.judge(event) is tms_events.Verdict.FRESH:\n"
                 "            apply(inbox, event)\n"
                 "            NEWEST.remember(event)\n")),
         (MAIN, f"NEWEST = tms_events.Newest()\n\n\n{MAIN}")),
    ),
    "crashes on an unknown status": Fault(
        "crashed",
        "unknown-status",
        ((APPLY, f"        COLOURS[tms_events.decode(message.body).status]\n{APPLY}"),
         (MAIN, "COLOURS = {status: 'red' for status in tms_events.ClassStatus}\n\n\n" + MAIN)),
    ),
    "crashes on an unknown member": Fault(
        "crashed",
        "unknown-members",
        ((APPLY, (f'        tms_events.decode(message.body)\n'
                 f'        tms_events.Class(**json.loads(message.body)["class"])\n{APPLY}')),),
    ),
    "knows copies by its memory": Fault(
        "twice",
        "kill-before-ack",
        ((f"if not {ONCE}:", "if event.id in SEEN:"),
         ("    print(", "    SEEN.add(event.id)\n    print("),
         (MAIN, f"SEEN = set()\n\n\n{MAIN}")),
    ),
    "puts poison back for ever": Fault(
        "stuck",
        "poison",
        (("await message.reject()", "await message.nack()"), (', "x-delivery-limit": 20', UNLIMITED)),
    ),
    "applies copies": Fault("twice", "copies", ((f"if not {ONCE}:", f"if {ONCE} is None:"),)),
    "puts an old state over a new one": Fault(
        "overwritten", "late", (("iif(excluded.last > last, excluded.status, status)", "excluded.status"),)
    ),
    "drops what was replayed": Fault(
        "lost",
        "replay",
        ((APPLY, '        if not message.headers.get("tms-replayed"):\n    ' + APPLY),),
    ),
    "refuses what is large": Fault(
        "lost",
        "large",
        ((APPLY, (f'        if len(message.body) > 131072:\n'
                 f'            raise tms_events.MalformedMessage("too large", message.body)\n{APPLY}')),),
    ),
    "asks for no acknowledgements": Fault(
        "acked-early",
        "every-topic",
        (
            ("queue.iterator()", "queue.iterator(no_ack=True)"),
            ("await message.ack()", "pass"),
            ("await message.reject()", "pass"),
        ),
    ),
}  # fmt: skip

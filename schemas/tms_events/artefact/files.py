"""The artefact: every file's name and content."""

import json
from typing import Any

from tms_events import __version__
from tms_events.artefact import asyncapi, typescript
from tms_events.artefact.golden import golden_messages
from tms_events.artefact.json_schema import MESSAGES, event_schema, union_schema
from tms_events.topics import EXCHANGE, PREFIX


def files(exchange: str = EXCHANGE, prefixes: tuple[str, ...] = (PREFIX,)) -> dict[str, str]:
    """Return the content of each file by its path in the artefact, which is an npm package too.

    Args:
        exchange: the topic exchange as configured.
        prefixes: every first word of routing keys that is configured.
    """
    documents = {f"{trigger}_changed.json": event_schema(trigger) for trigger in MESSAGES}
    documents |= {"event.json": union_schema(), "asyncapi.json": asyncapi.document(exchange, prefixes)}
    documents |= {
        f"golden/{golden.name}.json": golden.document(exchange, prefixes[0]) for golden in golden_messages()
    }
    documents["package.json"] = _package()
    return {name: f"{json.dumps(document, indent=2)}\n" for name, document in documents.items()} | {
        "index.d.ts": typescript.declarations()
    }


def _package() -> dict[str, Any]:
    return {
        "name": "tms-events",
        "version": __version__,
        "description": "The messages of TMS Bridge: types, JSON Schemas, golden messages",
        "license": "Apache-2.0",
        "types": "index.d.ts",
        "exports": {".": {"types": "./index.d.ts"}, "./*.json": "./*.json", "./golden/*": "./golden/*"},
        "files": ["index.d.ts", "*_changed.json", "event.json", "asyncapi.json", "golden"],
    }

"""The configuration in writing: its reference in Markdown, and a file to begin with."""

import secrets
from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import inspect

from tms_bridge.settings.model import Settings
from tms_bridge.settings.shape import bounds, struct_type

BEGIN: Final = "<!-- generated from the code: begin -->"
END: Final = "<!-- generated from the code: end -->"
_ITEM: Final = "NAME"
_HEAD: Final = "| key | type | default | meaning |\n| --- | --- | --- | --- |"
_PASSWORD_BYTES: Final = 24

_TEMPLATE: Final = """\
# TMS Bridge. Every key, with its default: docs/configuration.md.
# In any string: ${NAME} is an environment variable, ${NAME:-default} one with a default,
# ${file:/path} the content of a file, and $${ a literal. Relative paths begin at this file.
# `tms-bridge check` looks this file over; `tms-bridge tms-settings --source contoso` says what to put
# into TMS.

[http]
listen = "0.0.0.0:8080"
# Where TMS reaches this listener; the console shows it.
# url = "https://hooks.example.com"
# Behind a reverse proxy: say which header it sends, and which addresses it has.
# client_address = "x-forwarded-for"
# trusted_proxies = ["192.0.2.7"]
# Every answer comes within it.
deadline_s = 5.0
# What one connection may cost before it has proved itself:
# max_head_bytes = 32768
# head_timeout_s = 10.0
# idle_timeout_s = 120.0
# max_connections = 0
# max_connections_per_peer = 256
# How the bridge stops: not ready but serving, then delivering what waits.
# shutdown_delay_s = 5.0
# drain_timeout_s = 20.0
# TLS here, where no proxy does it; renewed files are taken over. [admin.tls] likewise.
#   [http.tls]
#   certificate = "tls/fullchain.pem"
#   key = "tls/privkey.pem"

[admin]
# Probes and metrics; the API too, which beyond loopback needs a token.
listen = "127.0.0.1:8081"
# token = "${file:/run/secrets/admin-token}"
# More tokens by name: a viewer looks, at some sources alone if you say which; an operator may do everything.
# [[admin.tokens]]
# name = "tms-admin"
# token = "${file:/run/secrets/tms-admin-token}"
# role = "viewer"
# sources = ["contoso"]

[amqp]
urls = ["${AMQP_URL:-amqp://guest:guest@localhost:5672/}"]
exchange = "tms.events"

# A stream that keeps every event for a while. Then no event is unroutable: the stream takes it.
# archive = { name = "tms.archive", max_age = "7d", max_bytes = 10737418240 }

# A queue for a consumer that does not declare its own.
# [[amqp.queues]]
# name = "crm"
# bindings = ["tms.class.*"]

[outbox]
# Events wait here, on a local disk, until the broker has confirmed them.
dir = "var/outbox"
# max_bytes = 1073741824
# min_free_bytes = 268435456

[held]
# Events from unlisted addresses, kept for release, have a room of their own.
# max_bytes = 104857600

[quarantine]
# Bodies that could not be understood are kept here, until you replay or drop them.
max_bytes = 104857600
max_age_days = 30

[dedup]
# How long TMS's own retry of a body is recognised.
window_s = 120.0

# One table a sender (an organisation in TMS); its name is part of the URL:
# POST /webhooks/contoso/class-changed and /webhooks/contoso/course-assignment-changed
[sources.contoso]
# The addresses that the vendor publishes, and this machine for a first try (see `tms-bridge simulate`).
allow_from = ["skillable-tms", "127.0.0.1", "::1"]
# Timeout Seconds, as set in TMS; over http.deadline_s.
timeout_s = 10.0
# Events with right credentials from another address: "refuse", or "hold" until you release them.
on_unlisted_address = "refuse"
# derive_status = false
# payload = "verbatim"

[[sources.contoso.credentials]]
name = "initial"
# The default was drawn at random when this file was written.
basic = { username = "tms", password = "${TMS_PASSWORD:-@PASSWORD@}" }

[log]
# "json" or "console"; where it is not set, people read lines on a terminal, and everything else gets JSON.
# format = "json"
level = "info"
"""


def template(password: str | None = None) -> str:
    """Return a commented configuration that starts as it is, with a password drawn at random."""
    return _TEMPLATE.replace("@PASSWORD@", password or secrets.token_urlsafe(_PASSWORD_BYTES))


def reference() -> str:
    """Return a heading and a table of keys for each table of the TOML file."""
    return "\n\n".join(_tables(struct_type(Settings), ""))


def refresh(document: str) -> str:
    """Return a document with what stands between its two markers replaced by the reference.

    Raises:
        ValueError: it lacks the markers.
    """
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document has no place for it: {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{reference()}\n\n{END}{after}"


def _tables(struct: inspect.StructType, key: str) -> Iterator[str]:
    """Yield the section of a struct, then those of the structs within."""
    rows = [_row(field) for field in struct.fields if not key or not _is_inner(field.type)]
    if key and rows:
        summary = (struct.cls.__doc__ or "").strip()
        yield f"### `{key}`\n\n{summary}\n\n{_HEAD}\n" + "\n".join(rows)
    for field in struct.fields:
        inner, path = _inner(field.type, f"{key.strip('[]')}.{field.name}".strip("."))
        if inner is not None:
            yield from _tables(inner, path)


def _inner(wanted: inspect.Type, path: str) -> tuple[inspect.StructType | None, str]:
    """Return the struct that a field holds, once, by name or in a list, and how TOML heads its table."""
    wanted = _plain(wanted)
    if isinstance(wanted, inspect.StructType):
        return wanted, f"[{path}]"
    if isinstance(wanted, inspect.DictType):
        return _inner(wanted.value_type, f"{path}.{_ITEM}")
    if isinstance(wanted, inspect.VarTupleType):
        inner, table = _inner(wanted.item_type, path)
        return inner, f"[{table}]"
    return None, path


def _is_inner(wanted: inspect.Type) -> bool:
    return _inner(wanted, "")[0] is not None


def _plain(wanted: inspect.Type) -> inspect.Type:
    """Return a type without its description, and without the None that stands for an absent key."""
    if isinstance(wanted, inspect.Metadata):
        return _plain(wanted.type)
    if isinstance(wanted, inspect.UnionType):
        kinds = [kind for kind in wanted.types if not isinstance(kind, inspect.NoneType)]
        return _plain(kinds[0]) if len(kinds) == 1 else wanted
    return wanted


def _row(field: inspect.Field) -> str:
    schema = field.type.extra_json_schema if isinstance(field.type, inspect.Metadata) else None
    meaning = str((schema or {}).get("description", ""))
    return f"| `{field.name}` | {_name(_plain(field.type))} | {_default(field)} | {meaning} |"


def _name(wanted: inspect.Type) -> str:
    if isinstance(wanted, inspect.UnionType):
        return " or ".join(map(_name, wanted.types))
    if isinstance(wanted, inspect.LiteralType):
        return ", ".join(f"`{value}`" for value in wanted.values)
    if isinstance(wanted, inspect.VarTupleType):
        return f"list of {_name(_plain(wanted.item_type))}s"
    if isinstance(wanted, inspect.IntType):
        return "integer" + bounds(wanted)
    if isinstance(wanted, inspect.FloatType):
        return "number" + bounds(wanted)
    return {inspect.StrType: "string", inspect.BoolType: "true or false"}.get(type(wanted), "table")


def _default(field: inspect.Field) -> str:
    if field.required:
        return "required"
    if field.default is None or field.default is msgspec.NODEFAULT:
        return "none"
    return f"`{_toml(field.default)}`"


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)

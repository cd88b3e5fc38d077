"""The senders: names, limits, credentials, pointers."""

import re
from collections.abc import Iterator
from typing import Final

from tms_bridge.settings.amqp import SHORT_STRING_BYTES
from tms_bridge.settings.model import Basic, Credential, Http, Mistake, Settings, Source, join
from tms_events.class_ import Class
from tms_events.course_assignment import CourseAssignment

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_CREDENTIAL_NAME_LENGTH: Final = 64
_PREFIX: Final = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")
_POINTER: Final = re.compile(r"(?:/(?:[^~/]|~[01])*)+")
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_LONGEST_TOPIC: Final = len(".course_assignment.completed")
_FOLLOWING: Final = {"confirmation_status_id", "time_zone"}
"""Fields of a class that follow from what stands where `status` and `time_zone_id` point to."""
_FIELDS: Final = {
    "class": ("status", *(name for name in Class.__struct_fields__ if name not in _FOLLOWING)),
    "course_assignment": ("status", *CourseAssignment.__struct_fields__),
}


def find_problems(settings: Settings) -> Iterator[Mistake]:
    """Yield what is wrong with `[sources]`."""
    if not settings.sources:
        yield Mistake("sources", "is empty; add a [sources.NAME] table for each organisation in TMS")
    for name, source in settings.sources.items():
        key = join("sources", name)
        if not _NAME.fullmatch(name):
            yield Mistake(
                key,
                "the name is part of the URL: up to 64 of a-z, 0-9, - and _, and not beginning with - or _",
            )
        yield from _fit(key, source, settings)
        yield from _credentials(f"{key}.credentials", source)
        yield from _certificates(f"{key}.credentials", source, settings.http)
        yield from _pointers(f"{key}.fields", source)


def _fit(key: str, source: Source, settings: Settings) -> Iterator[Mistake]:
    deadline_s = settings.http.deadline_s
    if source.timeout_s <= deadline_s:
        yield Mistake(
            f"{key}.timeout_s",
            f"{source.timeout_s:g} s must be over http.deadline_s ({deadline_s:g} s), or TMS gives up before "
            "it is answered; raise it, here and in TMS, or lower the deadline",
        )
    if source.on_unlisted_address == "hold" and settings.outbox is None:
        yield Mistake(
            f"{key}.on_unlisted_address",
            '"hold" keeps events on disk; add an [outbox] table, or use "refuse"',
        )
    prefix = source.routing_key_prefix
    if not _PREFIX.fullmatch(prefix):
        yield Mistake(
            f"{key}.routing_key_prefix", "must be words of A-Z, a-z, 0-9, - and _, separated by dots"
        )
    elif len(prefix) > SHORT_STRING_BYTES - _LONGEST_TOPIC:
        yield Mistake(
            f"{key}.routing_key_prefix",
            f"is over {SHORT_STRING_BYTES - _LONGEST_TOPIC} bytes; a routing key holds {SHORT_STRING_BYTES}",
        )


def _credentials(key: str, source: Source) -> Iterator[Mistake]:
    if not source.credentials:
        yield Mistake(key, f"is empty; add a [[{key}]] table")
    names: set[str] = set()
    for at, credential in enumerate(source.credentials):
        yield from _credential(f"{key}[{at}]", credential)
        if credential.name in names:
            yield Mistake(
                f"{key}[{at}].name", f'"{credential.name}" stands twice; logs could not tell them apart'
            )
        names.add(credential.name)


def _credential(key: str, credential: Credential) -> Iterator[Mistake]:
    name = credential.name
    if not name.strip() or not name.isprintable() or len(name) > _CREDENTIAL_NAME_LENGTH:
        yield Mistake(f"{key}.name", "must be 1 to 64 printable characters; it goes into logs and metrics")
    kinds = (credential.basic, credential.headers, credential.client_certificate)
    if sum(kind is not None for kind in kinds) != 1:
        yield Mistake(
            key,
            "must have one of basic = { username, password }, headers = { ... }, client_certificate = NAME",
        )
    if credential.basic is not None:
        yield from _basic(f"{key}.basic", credential.basic)
    if credential.headers is not None:
        yield from _headers(f"{key}.headers", credential.headers)


def _certificates(key: str, source: Source, http: Http) -> Iterator[Mistake]:
    """Yield what keeps a client certificate from being proof of who calls."""
    for at, credential in enumerate(source.credentials):
        inner = f"{key}[{at}].client_certificate"
        if credential.client_certificate is None:
            continue
        if not credential.client_certificate.strip():
            yield Mistake(inner, "is blank; write a name that stands in the certificate")
        if http.tls is None or http.tls.client_ca is None:
            yield Mistake(inner, "needs http.tls.client_ca, the CAs that sign such certificates")
        if http.client_address != "peer":
            yield Mistake(
                inner,
                f'does not go with http.client_address = "{http.client_address}": the certificate would be '
                "the proxy's, and prove whoever calls it; check certificates there, and use headers here",
            )


def _basic(key: str, basic: Basic) -> Iterator[Mistake]:
    if not basic.username or ":" in basic.username or _CONTROL.search(basic.username):
        yield Mistake(f"{key}.username", "must not be empty, nor hold a colon or control characters")
    if not basic.password or _CONTROL.search(basic.password):
        yield Mistake(
            f"{key}.password", "must not be empty, nor hold control characters such as a line break"
        )


def _headers(key: str, headers: dict[str, str]) -> Iterator[Mistake]:
    if not headers:
        yield Mistake(key, "is empty, which would let everybody in; name at least one header")
    seen: set[str] = set()
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            yield Mistake(join(key, name), "is not a valid header name")
        if name.lower() in seen:
            yield Mistake(join(key, name), "stands twice; the case of a header's name does not count")
        seen.add(name.lower())
        if not value.strip() or _CONTROL.search(value):
            yield Mistake(
                join(key, name),
                "the value must not be blank, nor hold control characters such as a line break",
            )


def _pointers(key: str, source: Source) -> Iterator[Mistake]:
    for trigger, pointers in source.fields.items():
        fields = _FIELDS.get(trigger)
        if fields is None:
            yield Mistake(join(key, trigger), f"is not a trigger; the triggers are {' and '.join(_FIELDS)}")
            continue
        for field, pointer in pointers.items():
            if field not in fields:
                yield Mistake(
                    join(join(key, trigger), field), f"is not a field; the fields are {', '.join(fields)}"
                )
            if not _POINTER.fullmatch(pointer):
                yield Mistake(
                    join(join(key, trigger), field),
                    'must be a JSON Pointer, as in "/Class/ConfirmationStatusId" (~0 is ~, ~1 is /)',
                )

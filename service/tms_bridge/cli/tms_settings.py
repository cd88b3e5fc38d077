"""The command `tms-settings`: what a person types into the TMS webhook form."""

import base64
from pathlib import Path

import click
import msgspec

from tms_bridge.cli.output import Output, base_url, common_options, load, note, source_of
from tms_bridge.settings.model import Credential, Settings, Source

PLACEHOLDER = "https://YOUR-BRIDGE"
MASK = "********"

TRIGGERS = {
    "course-assignment-changed": "Course assignment changed",
    "class-changed": "Class changed",
}
"""The end of each webhook's path, and what TMS calls its trigger event."""

MAX_RETRIES = 5

WHY = {
    "name": "For people only.",
    "trigger_event": "One webhook for each trigger: two on one trigger deliver every event twice.",
    "url": "Open it in a browser: one line of text, no error. That proves the URL, and nothing else.",
    "http_headers": "Proves to the bridge that TMS calls. One name=value a line.",
    "delay_seconds": "The same for both webhooks, best 0: with different delays events arrive out of order.",
    "timeout_seconds": "The source's timeout_s; the bridge answers within http.deadline_s, well before it.",
    "max_retries": "The most that TMS takes: after 1, 2, 3, 4 and 5 seconds. Then the event is gone.",
    "enabled": "TMS sends nothing while it is off, and does not send it later either.",
}

WARNINGS = (
    "Two webhooks with different Delay Seconds can arrive out of order: give both the same.",
    "Two webhooks on one trigger event deliver every event twice: keep one for each trigger and bridge.",
)

_NO_HEADERS = (
    "This credential is a client certificate, which TMS cannot show. It is for a gateway between TMS and the "
    "bridge; for TMS itself add one with basic or headers."
)


class Webhook(msgspec.Struct, frozen=True):
    """One TMS webhook form, field by field."""

    name: str
    trigger_event: str
    url: str
    http_headers: tuple[str, ...]
    delay_seconds: int
    timeout_seconds: float
    max_retries: int
    enabled: bool


class FormAnswer(msgspec.Struct, frozen=True):
    """What `--json` prints."""

    source: str
    credential: str
    revealed: bool
    webhooks: tuple[Webhook, ...]
    why: dict[str, str]
    warnings: tuple[str, ...]


@click.command()
@common_options
@click.option("--source", "name", required=True, metavar="NAME", help="The source, as in [sources.NAME].")
@click.option(
    "--url",
    default=PLACEHOLDER,
    callback=base_url,
    metavar="BASE",
    help="Where TMS reaches the bridge, as https://hooks.example.com.",
)
@click.option(
    "--credential",
    metavar="NAME",
    help="Which of the source's credentials; default: the first that TMS can send.",
)
@click.option("--reveal", is_flag=True, help="Show the secrets instead of asterisks.")
def tms_settings(  # noqa: PLR0913 - one argument for each option
    *, config: Path, out: Output, name: str, url: str, credential: str | None, reveal: bool
) -> None:
    """Say what to put into the TMS webhook form.

    There are two webhooks to add, one for each trigger event. In TMS: Site Administration, My Organizations,
    the organization, Edit, tab Webhooks, Add.

    \b
    Examples:
      tms-bridge tms-settings --source contoso --url https://hooks.example.com
      tms-bridge tms-settings --source contoso --url https://hooks.example.com --reveal
    """  # noqa: D301 - \b is how click is told to keep line breaks
    settings = load(config)
    source = source_of(settings, name)
    chosen = credential_of(source, credential)
    headers = tuple(http_headers(chosen, reveal=reveal))
    webhooks = tuple(_webhook(name, source, path, url, headers) for path in TRIGGERS)
    warnings = WARNINGS + tuple(_warnings(settings, source, url))
    if chosen.client_certificate is not None:
        warnings += (_NO_HEADERS,)
    if out.as_json:
        out.document(FormAnswer(name, chosen.name, reveal, webhooks, WHY, warnings))
    else:
        _show(out, webhooks)
    for warning in () if out.as_json else warnings:
        note(f"note: {warning}")


def credential_of(source: Source, name: str | None) -> Credential:
    """Return the credential of this name, or the first that TMS can send; another name is a wrong call."""
    if name is None:
        sent = (one for one in source.credentials if one.client_certificate is None)
        return next(sent, source.credentials[0])
    for credential in source.credentials:
        if name == credential.name:
            return credential
    known = ", ".join(credential.name for credential in source.credentials)
    raise click.BadParameter(f"there is no credential {name!r}; there is: {known}", param_hint="--credential")


def _webhook(name: str, source: Source, path: str, url: str, headers: tuple[str, ...]) -> Webhook:
    return Webhook(
        name=f"TMS Bridge {name}: {TRIGGERS[path].lower()}",
        trigger_event=TRIGGERS[path],
        url=f"{url.rstrip('/')}/webhooks/{name}/{path}",
        http_headers=headers,
        delay_seconds=0,
        timeout_seconds=source.timeout_s,
        max_retries=MAX_RETRIES,
        enabled=True,
    )


def http_headers(credential: Credential, *, reveal: bool) -> list[str]:
    """Return the lines of TMS's HttpHeaders field, masked unless they are to be revealed."""
    if credential.basic is not None:
        pair = f"{credential.basic.username}:{credential.basic.password}"
        token = base64.urlsafe_b64encode(pair.encode()).decode()
        return [f"Authorization=Basic {token if reveal else MASK}"]
    headers = credential.headers or {}
    return [f"{name}={value if reveal else MASK}" for name, value in headers.items()]


def _warnings(settings: Settings, source: Source, url: str) -> list[str]:
    warnings = []
    if url == PLACEHOLDER:
        warnings.append(f"Give --url; {PLACEHOLDER} stands for where TMS reaches the bridge.")
    elif not url.startswith("https://"):
        warnings.append("The URL is not https: the credentials would cross the network in clear text.")
    if settings.http.deadline_s >= source.timeout_s:
        warnings.append(
            "http.deadline_s is not under timeout_s: TMS would give up before the bridge answers."
        )
    return warnings


def _show(out: Output, webhooks: tuple[Webhook, ...]) -> None:
    for webhook in webhooks:
        out.block(_rows(webhook))
        out.text("")


def _rows(webhook: Webhook) -> list[tuple[str, str, str]]:
    return [
        ("Name", webhook.name, WHY["name"]),
        ("Trigger Event", webhook.trigger_event, WHY["trigger_event"]),
        ("URL", webhook.url, WHY["url"]),
        ("HttpHeaders", "\n".join(webhook.http_headers), WHY["http_headers"]),
        ("Delay Seconds", str(webhook.delay_seconds), WHY["delay_seconds"]),
        ("Timeout Seconds", f"{webhook.timeout_seconds:g}", WHY["timeout_seconds"]),
        ("Max Retries", str(webhook.max_retries), WHY["max_retries"]),
        ("Enabled", "yes", WHY["enabled"]),
    ]

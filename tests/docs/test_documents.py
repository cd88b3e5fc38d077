"""What the pages say is held to the files and the code that they speak of."""

import ast
import json
import re
from pathlib import Path

import click
import msgspec
import pytest
from prometheus_client import CollectorRegistry

import tms_events
from tms_bridge.broker.publisher import properties_of
from tms_bridge.cli.program import program
from tms_bridge.message import Kind, Message
from tms_bridge.metrics import Metrics
from tms_bridge.settings.model import Settings

REPOSITORY = Path(__file__).parents[2]
PAGES = sorted(
    str(path.relative_to(REPOSITORY))
    for pattern in ("*.md", "docs/*.md", "schemas/*.md")
    for path in REPOSITORY.glob(pattern)
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
METRIC = re.compile(r"\btms_bridge_[a-z_]+")
COMMAND = re.compile(r"`tms-bridge ([a-z][a-z -]*[a-z])")
KEY = re.compile(r"`([a-z]+)\.([a-z_]+)`")
LEVELS = {"info", "warning", "error", "critical", "exception"}
"""Methods of a logger whose lines an operator sees."""


def text(page: str) -> str:
    return (REPOSITORY / page).read_text()


def anchors(page: Path) -> set[str]:
    headings = HEADING.findall(page.read_text())
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def metric_names() -> set[str]:
    registry = CollectorRegistry()
    Metrics(registry)
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count", "")}
    return {
        family.name + suffix for family in registry.collect() for suffix in suffixes.get(family.type, ("",))
    }


def settings_table() -> str:
    rows = ["| table | what it is about | keys |", "| --- | --- | --- |"]
    for table in msgspec.structs.fields(Settings):
        struct = next(kind for kind in structs(table.type))
        keys = ", ".join(f"`{field.name}`" for field in msgspec.structs.fields(struct))
        name = f"{table.name}.NAME" if table.name == "sources" else table.name
        rows.append(f"| `[{name}]` | {struct.__doc__} | {keys} |")
    return "\n".join(rows)


def structs(kind: object) -> list[type[msgspec.Struct]]:
    inner = getattr(kind, "__args__", (kind,))
    return [one for one in inner if isinstance(one, type) and issubclass(one, msgspec.Struct)]


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    for link in LINK.findall(text(page)):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (REPOSITORY / page).parent / path if path else REPOSITORY / page
        assert target.exists(), f"{page} links to {link}"
        if anchor:
            assert anchor in anchors(target), f"{page} links to {link}"


@pytest.mark.parametrize("page", PAGES)
def test_every_metric_is_one_that_the_bridge_has(page: str) -> None:
    assert set() == set(METRIC.findall(text(page))) - metric_names()


@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_one_that_the_bridge_has(page: str) -> None:
    for words in COMMAND.findall(text(page)):
        command: click.Command | None = program
        for word in words.split():
            if not isinstance(command, click.Group):
                break
            command = command.get_command(click.Context(command), word)
            assert command is not None, f"{page} speaks of tms-bridge {words}"


@pytest.mark.parametrize("page", PAGES)
def test_every_key_is_one_that_the_configuration_has(page: str) -> None:
    tables = {
        table.name: {field.name for field in msgspec.structs.fields(struct)}
        for table in msgspec.structs.fields(Settings)
        for struct in structs(table.type)
    }
    for table, key in KEY.findall(text(page)):
        if table in tables and key not in {"md", "db", "accept", "page", "settle"}:
            assert key in tables[table], f"{page} speaks of {table}.{key}"


def log_events() -> set[str]:
    """Return what the code logs for operators, with an ellipsis for what is filled in."""
    calls = [
        node
        for path in (REPOSITORY / "service" / "tms_bridge").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS
    ]
    texts = [call.args[0].value for call in calls if call.args and isinstance(call.args[0], ast.Constant)]
    events = {
        re.sub(r"%[.\d]*[sf]", "…", text).partition(": …")[0] for text in texts if isinstance(text, str)
    }
    return events - {"…"}


def test_every_line_of_the_log_is_explained_to_operators() -> None:
    table = text("docs/operations.md").partition("## What the log says")[2].partition("\n## ")[0]
    assert set() == {event for event in log_events() if f"`{event}`" not in table}


def test_the_readme_shows_the_consumer_that_is_tested() -> None:
    code = (REPOSITORY / "examples" / "consumer.py").read_text()
    assert f"```python\n{code}```" in text("README.md")


def test_the_readme_shows_the_demo_with_all_twelve_topics() -> None:
    demo = text("README.md").partition("`make demo` prints")[2].partition("```\n\n")[0]
    topics = [topic for topic in tms_events.TOPICS if not topic.endswith(".unknown")]
    assert topics == re.findall(r"tms\.[a-z_]+\.[a-z_]+", demo)


def test_the_readmes_first_screen_says_what_it_is_shows_it_and_has_the_two_commands() -> None:
    first_screen = "\n".join(text("README.md").splitlines()[:40])
    assert first_screen.startswith("# TMS Bridge\n\nSkillable TMS calls a URL")
    assert "(docs/flow.svg)" in first_screen
    assert re.findall(r"^make (\w+)", first_screen, re.MULTILINE) == ["demo", "test"]
    assert "12 events arrived on 12 routing keys" in first_screen


def test_the_readme_lists_the_tables_of_the_configuration() -> None:
    assert settings_table() in text("README.md")


def test_the_message_of_the_messages_page_is_what_the_bridge_sends() -> None:
    shown = json.loads(text("docs/messages.md").partition("```json\n")[2].partition("```")[0])
    event = tms_events.decode(json.dumps(shown["body"]).encode())
    assert isinstance(event, tms_events.ClassChanged)
    assert shown["properties"]["message_id"] == event.id
    assert shown["routing_key"] == tms_events.topic(event.trigger, event.status)
    properties = properties_of(message_of(event, shown["headers"]))
    assert shown["headers"] == properties.headers
    assert shown["properties"]["type"] == properties.message_type
    assert shown["properties"]["app_id"] == properties.app_id


def message_of(event: tms_events.ClassChanged, headers: dict[str, str]) -> Message:
    return Message(
        id=event.id,
        kind=Kind.EVENT,
        source=event.source,
        trigger=event.trigger,
        status=event.status,
        routing_key=tms_events.topic(event.trigger, event.status),
        entity=str(event.class_.id),
        received_at_us=round(event.received_at.timestamp() * 1_000_000),
        digest=headers["tms-digest"],
        traceparent=headers["traceparent"],
        body=b"",
    )

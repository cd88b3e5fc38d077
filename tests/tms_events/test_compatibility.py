"""The gate between releases: breaks that it finds, additions that it lets pass, and both packages at work."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tms_events import decode
from tms_events.__main__ import main
from tms_events.artefact.compatibility import compare, releases

SCHEMAS = Path(__file__).parents[2] / "schemas"
RELEASED = releases(SCHEMAS / "released")
CLASS = "class_changed.json"
GOLDEN = "golden/class.denied.json"

Change = Callable[[Any], object]


def class_of(schema: Any) -> Any:
    return schema["$defs"]["Class"]


def members(schema: Any) -> Any:
    return class_of(schema)["properties"]


def rename(schema: Any) -> None:
    members(schema)["fewest_students"] = members(schema).pop("min_students")
    class_of(schema)["required"].remove("min_students")


def status(schema: Any) -> Any:
    return schema["$defs"]["ClassStatus"]


BREAKS: dict[str, tuple[str, Change, str]] = {
    "a member removed": (CLASS, lambda s: members(s).pop("is_public"), "class_changed.class.is_public"),
    "a member renamed": (CLASS, rename, "class_changed.class.min_students"),
    "a type changed": (
        CLASS, lambda s: members(s)["id"].update(type="string"), "class_changed.class.id"
    ),
    "a type narrowed": (
        CLASS, lambda s: members(s)["name"]["anyOf"].pop(), "class_changed.class.name"
    ),
    "a type widened": (
        CLASS, lambda s: s["$defs"]["ClassChanged"]["properties"]["source"].update(type=["string", "null"]),
        "class_changed.source",
    ),
    "an item's type changed": (
        CLASS, lambda s: members(s)["instructor_ids"]["anyOf"][0]["items"].update(type="string"),
        "class_changed.class.instructor_ids[]",
    ),
    "a member that may be left out now": (
        CLASS, lambda s: class_of(s)["required"].remove("enabled"), "class_changed.class.enabled"
    ),
    "a new member that is required": (
        CLASS, lambda s: (members(s).update(room={"type": "string"}), class_of(s)["required"].append("room")),
        "class_changed.class.room",
    ),
    "a word removed": (
        CLASS, lambda s: status(s)["anyOf"][0]["enum"].remove("denied"), "class_changed.status"
    ),
    "words closed": (CLASS, lambda s: status(s)["anyOf"].pop(), "class_changed.status"),
    "a limit": (CLASS, lambda s: members(s)["id"].update(maximum=1000), "class_changed.class.id"),
    "a format changed": (
        CLASS, lambda s: members(s)["start"]["anyOf"][0].update(format="date"), "class_changed.class.start"
    ),
    "another schema id": (
        CLASS, lambda s: s.update({"$id": "urn:tms-events:class-changed:2"}), "class_changed"
    ),
    "a header removed": (
        GOLDEN, lambda m: m["headers"].pop("tms-digest"), f"{GOLDEN}.headers.tms-digest"
    ),
    "a property of another type": (
        GOLDEN, lambda m: m["properties"].update(delivery_mode="2"), f"{GOLDEN}.properties.delivery_mode"
    ),
    "a routing key changed": (
        GOLDEN, lambda m: m.update(routing_key="tms.class.refused"), f"{GOLDEN}.routing_key"
    ),
}  # fmt: skip

ADDITIONS: dict[str, tuple[str, Change]] = {
    "a member": (CLASS, lambda s: members(s).update(room={"type": "string"})),
    "a member of the event": (
        CLASS, lambda s: s["$defs"]["ClassChanged"]["properties"].update(tenant={"type": "string"})
    ),
    "a list of the reading": (
        CLASS, lambda s: s["$defs"]["Reading"]["properties"].update(guessed={"type": "array", "items": {}})
    ),
    "a word": (CLASS, lambda s: status(s)["anyOf"][0]["enum"].append("archived")),
    "a word of another enumeration": (
        CLASS, lambda s: s["$defs"]["StatusFrom"]["anyOf"][0]["enum"].append("operator")
    ),
    "an explanation": (CLASS, lambda s: members(s)["id"].update(description="Another.", examples=[7])),
    "a title": (CLASS, lambda s: class_of(s).update(title="A class")),
    "another order of members": (
        CLASS, lambda s: class_of(s).update(properties=dict(sorted(members(s).items())))
    ),
    "a part that nobody refers to": (CLASS, lambda s: s["$defs"].update(Room={"type": "object"})),
    "a promise that was always kept": (CLASS, lambda s: class_of(s)["required"].append("time_zone")),
    "a header": (GOLDEN, lambda m: m["headers"].update(tracestate="a=b")),
    "a property": (GOLDEN, lambda m: m["properties"].update(priority=1)),
}  # fmt: skip


@pytest.fixture
def changed(tmp_path: Path) -> Callable[[str, Change], Path]:
    """The contract of today with one change."""

    def change_it(name: str, change: Change) -> Path:
        shutil.copytree(SCHEMAS / "golden", tmp_path / "golden")
        for path in SCHEMAS.glob("*_changed.json"):
            shutil.copy(path, tmp_path)
        document = json.loads((tmp_path / name).read_text())
        change(document)
        (tmp_path / name).write_text(json.dumps(document))
        return tmp_path

    return change_it


@pytest.mark.parametrize("planted", BREAKS)
def test_the_gate_finds(planted: str, changed: Callable[[str, Change], Path]) -> None:
    name, change, place = BREAKS[planted]
    assert place in [one.place for one in compare(SCHEMAS, changed(name, change))]


@pytest.mark.parametrize("harmless", ADDITIONS)
def test_the_gate_lets_pass(harmless: str, changed: Callable[[str, Change], Path]) -> None:
    assert compare(SCHEMAS, changed(*ADDITIONS[harmless])) == []


def test_the_gate_finds_a_routing_key_that_is_gone(changed: Callable[[str, Change], Path]) -> None:
    directory = changed(GOLDEN, lambda _: None)
    (directory / GOLDEN).unlink()
    assert [one.place for one in compare(SCHEMAS, directory)] == [GOLDEN]


def test_the_contract_keeps_every_release(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(SCHEMAS / "released"), str(SCHEMAS)]) == 0
    assert capsys.readouterr().out.splitlines() == [f"keeps {release.name}" for release in RELEASED]


def test_a_break_is_named_and_fails(
    changed: Callable[[str, Change], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(SCHEMAS / "released"), str(changed(CLASS, rename))]) == 1
    assert (
        "breaks 0.1.0: class_changed.class.min_students is gone, or has another name\n"
        in capsys.readouterr().out
    )


def test_nothing_released_is_no_pass(tmp_path: Path) -> None:
    assert main(["compare", str(tmp_path), str(SCHEMAS)]) == 1


@pytest.mark.parametrize("release", RELEASED, ids=lambda path: path.name)
def test_every_break_that_was_accepted_is_one(release: Path, tmp_path: Path) -> None:
    shutil.copytree(release, tmp_path / "released")
    accepted = json.loads((tmp_path / "released" / "accepted.json").read_text())
    (tmp_path / "released" / "accepted.json").unlink()
    assert {one.place for one in compare(tmp_path / "released", SCHEMAS)} == set(accepted)


@pytest.mark.parametrize("release", RELEASED, ids=lambda path: path.name)
def test_this_package_decodes_the_messages_of_a_release(release: Path) -> None:
    for path in sorted((release / "golden").iterdir()):
        message = json.loads(path.read_text())
        event = decode(json.dumps(message["body"]).encode())
        assert (event.id, event.status) == (message["properties"]["message_id"], path.name.split(".")[1])


DECODE = """
import sys
sys.path.insert(0, sys.argv[1])
import json, tms_events
assert tms_events.__file__.startswith(sys.argv[1]), tms_events.__file__
refused = []
for path in sys.argv[2:]:
    body = json.load(open(path))["body"]
    try:
        event = tms_events.decode(json.dumps(body).encode())
        assert (event.id, event.status) == (body["id"], body["status"])
    except tms_events.MessageError as error:
        refused.append(f"{path}: {error}")
print(json.dumps(refused))
"""


@pytest.mark.parametrize("release", RELEASED, ids=lambda path: path.name)
def test_the_package_of_a_release_decodes_the_messages_of_today(release: Path) -> None:
    wheel = next(release.glob("*.whl"))
    golden = sorted((SCHEMAS / "golden").iterdir())
    done = subprocess.run(
        [sys.executable, "-c", DECODE, wheel, *golden], capture_output=True, text=True, check=True
    )
    without_payload = SCHEMAS / "golden" / "class.cancelled.without_payload.json"
    refused = json.loads(done.stdout)
    # The one break that was accepted, and nothing else.
    assert [line.partition(": ")[0] for line in refused] == [str(without_payload)] * (release.name == "0.1.0")

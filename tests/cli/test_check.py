import asyncio
import contextlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import aio_pika
import pytest
from tests import administering

from rabbitmq import Node
from tms_bridge.cli.check import archive_finding
from tms_bridge.outbox.journal import Journal
from tms_bridge.settings.model import Dedup, Outbox, Quarantine

from .conftest import Invoke, Run


def findings(output: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for finding in json.loads(output)["checks"]:
        found.setdefault(finding["check"], set()).add(finding["result"])
    return found


def test_a_configuration_that_can_be_used_is_exit_code_0_even_with_warnings(
    invoke: Invoke, config: Path
) -> None:
    result = invoke("check", "--config", config, "--json")
    assert 0 == result.exit_code
    assert True is json.loads(result.stdout)["ok"]
    assert {"ok"} == findings(result.stdout)["configuration"]


def test_traps_are_warned_of(invoke: Invoke, config: Path) -> None:
    config.write_text(config.read_text() + "\n[http]\ndeadline_s = 9.5\n")
    result = invoke("check", "--config", config)
    assert 0 == result.exit_code
    assert "sources.contoso.timeout_s: leaves less than 1 s" in result.stdout
    assert "warn" in result.stdout


def test_a_forwarding_header_without_trusted_proxies_fails(invoke: Invoke, config: Path) -> None:
    config.write_text(config.read_text() + '\n[http]\nclient_address = "x-forwarded-for"\n')
    result = invoke("check", "--config", config)
    assert 1 == result.exit_code
    assert "http.trusted_proxies: is empty" in result.stdout


def test_an_outbox_that_cannot_be_written_fails(invoke: Invoke, config: Path, tmp_path: Path) -> None:
    (tmp_path / "outbox").write_text("a file")
    result = invoke("check", "--config", config, "--json")
    assert 1 == result.exit_code
    assert {"fail"} == findings(result.stdout)["outbox"]


def test_the_outbox_is_told_with_its_place_and_its_backlog(run: Run, config: Path, tmp_path: Path) -> None:
    config.write_text(config.read_text().replace(f'dir = "{tmp_path}/outbox"', 'dir = "var/outbox"'))
    assert f"{tmp_path}/var/outbox: created at the start" in run("check").stdout
    elsewhere = tmp_path / "elsewhere"
    for directory, events in ((tmp_path, 2), (elsewhere, 7)):
        keep(directory / "var/outbox", events)
    assert f"{tmp_path}/var/outbox: events that wait for the broker: 2" in run("check").stdout
    moved = run("check", "--config", config, cwd=elsewhere)
    assert f"{tmp_path}/var/outbox: events that wait for the broker: 2" in moved.stdout
    assert f"another outbox is at {elsewhere}/var/outbox" in moved.stdout
    assert "its events (7) are not delivered" in moved.stdout


@pytest.mark.usefixtures("config")
def test_an_outbox_that_is_open_or_broken_is_told_as_such(run: Run, tmp_path: Path) -> None:
    async def look() -> str:
        journal = await Journal.open(Outbox(dir=str(tmp_path / "outbox"), min_free_bytes=0))
        said = await asyncio.to_thread(run, "check")
        await journal.close()
        assert 0 == said.returncode
        return said.stdout

    open_now = "a running bridge has it open; `tms-bridge outbox status` says what waits"
    assert f"{tmp_path}/outbox: {open_now}" in asyncio.run(look())
    assert f"{tmp_path}/outbox: events that wait for the broker: 0" in run("check").stdout
    (tmp_path / "outbox" / "outbox.db").write_bytes(b"nonsense" * 1000)
    assert "outbox.db cannot be read: file is not a database" in run("check").stdout


TRAPS = """
[http]
client_address = "x-forwarded-for"
trusted_proxies = ["10.0.0.0/8"]
[sources.fabrikam]
allow_from = ["203.0.113.7"]
[[sources.fabrikam.credentials]]
name = "short"
basic = { username = "fabrikam", password = "short " }
[[sources.fabrikam.credentials]]
name = "underscore"
headers = { X_Api_Key = "a-key-with-enough-letters" }
"""


@pytest.mark.parametrize(
    "told",
    [
        '"10.0.0.0/8" is as wide as a pod network',
        "sources.fabrikam.credentials[0].basic.password: begins or ends with a space",
        "sources.fabrikam.credentials[0].basic.password: is shorter than 12 characters",
        "sources.fabrikam.credentials[1].headers.X_Api_Key: has an underscore in its name",
    ],
)
def test_each_trap_is_named(invoke: Invoke, config: Path, told: str) -> None:
    config.write_text(config.read_text() + TRAPS)
    assert told in invoke("check", "--config", config).stdout


def test_credentials_in_clear_text_from_other_machines_are_named(invoke: Invoke, config: Path) -> None:
    config.write_text(config.read_text() + '[http]\nlisten = "0.0.0.0:8080"\n')
    assert "takes credentials in clear text from other machines" in invoke("check", "--config", config).stdout


def keep(directory: Path, events: int) -> None:
    """Make an outbox in which so many events wait."""

    async def make() -> None:
        journal = await Journal.open(Outbox(dir=str(directory), min_free_bytes=0), Quarantine(), Dedup())
        await journal.close()

    asyncio.run(make())
    with contextlib.closing(sqlite3.connect(directory / "outbox.db")) as connection, connection:
        rows = [(number, f"id-{number}", b"") for number in range(1, events + 1)]
        connection.executemany("INSERT INTO pending (seq, id, message) VALUES (?, ?, ?)", rows)


def test_a_disk_under_its_floor_fails(invoke: Invoke, config: Path) -> None:
    config.write_text(config.read_text().replace("[outbox]", "[outbox]\nmin_free_bytes = 1000000000000000"))
    result = invoke("check", "--config", config)
    assert 1 == result.exit_code
    assert "less than outbox.min_free_bytes" in result.stdout


def test_a_secret_file_that_others_may_read_is_warned_of(
    invoke: Invoke, config: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "password"
    secret.write_text("s3cret\n")
    config.write_text(config.read_text().replace("${TMS_PASSWORD:-webhookpassword}", "${file:password}"))
    for mode, result in ((0o644, "warn"), (0o604, "warn"), (0o640, "ok"), (0o440, "ok"), (0o600, "ok")):
        secret.chmod(mode)
        rows = json.loads(invoke("check", "--config", config, "--json").stdout)["checks"]
        assert [result] == [row["result"] for row in rows if str(secret) in row["text"]]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("${TMS_PASSWORD:-webhookpassword}", "${NOT_SET_ANYWHERE}", "NOT_SET_ANYWHERE is not set"),
        ("${TMS_PASSWORD:-webhookpassword}", "${file:/not/there}", "cannot read the file /not/there"),
        ("[outbox]", "[outbox]\nsize = 3", "outbox.size: unknown key"),
    ],
)
def test_a_file_that_cannot_be_used_is_exit_code_2_and_says_how_to_mend_it(
    run: Run, config: Path, old: str, new: str, says: str
) -> None:
    config.write_text(config.read_text().replace(old, new))
    done = run("check", "--config", config, "--json")
    assert (2, "") == (done.returncode, done.stdout)
    assert says in done.stderr


def test_no_secret_is_shown(run: Run, config: Path) -> None:
    done = run("check", "--config", config, TMS_PASSWORD="hunter2-hunter2")
    assert "hunter2" not in done.stdout + done.stderr


def test_online_a_broker_that_is_not_there_fails_and_shows_no_password(run: Run, config: Path) -> None:
    config.write_text(config.read_text().replace("guest:guest@", "bridge:${SECRET:-hunter2}@"))
    done = run("check", "--online", "--config", config, "--json")
    assert (1, {"fail"}) == (done.returncode, findings(done.stdout)["broker"])
    assert "hunter2" not in done.stdout + done.stderr


def test_online_a_topology_that_is_yet_to_be_made_is_a_warning(invoke: Invoke, with_broker: Path) -> None:
    result = invoke("check", "--online", "--config", with_broker, "--json")
    found = findings(result.stdout)
    assert (0, {"ok"}, {"warn"}) == (result.exit_code, found["broker"], found["topology"])
    with_broker.write_text(with_broker.read_text().replace("[amqp]", "[amqp]\ndeclare = false"))
    result = invoke("check", "--online", "--config", with_broker, "--json")
    assert (1, {"fail"}) == (result.exit_code, findings(result.stdout)["topology"])


def test_online_a_broker_that_takes_the_test_publish_is_right(invoke: Invoke, with_broker: Path) -> None:
    invoke("topology", "apply", "--config", with_broker)
    result = invoke("check", "--online", "--config", with_broker, "--json")
    found = findings(result.stdout)
    assert (0, {"ok"}, {"ok"}) == (result.exit_code, found["topology"], found["publish"])


def test_online_a_user_who_may_not_write_fails(
    invoke: Invoke, with_broker: Path, vhost: str, rabbitmq: Node
) -> None:
    invoke("topology", "apply", "--config", with_broker)
    administering.permit(rabbitmq, vhost, ".*", "^$", ".*")
    result = invoke("check", "--online", "--config", with_broker, "--json")
    assert (1, {"fail"}) == (result.exit_code, findings(result.stdout)["publish"])


LEAST = r"^(tms\..*|crm)$"
"""What docs/operations.md gives the bridge's own user: configure, write and read on these names."""


Permit = Callable[..., None]


@pytest.fixture
def permit(vhost: str, rabbitmq: Node) -> Permit:
    """Let the user of the configuration do only this."""

    def permit(*, configure: str = LEAST, write: str = LEAST, read: str = LEAST) -> None:
        administering.permit(rabbitmq, vhost, configure, write, read)

    return permit


def test_online_the_documented_rights_are_enough_before_and_after_the_first_start(
    invoke: Invoke, with_broker: Path, permit: Permit
) -> None:
    permit()
    for deed, code in (("show", 1), ("apply", 0), ("show", 0)):
        found = findings(invoke("check", "--online", "--config", with_broker, "--json").stdout)
        assert {"ok"} == found["rights"]
        assert code == invoke("topology", deed, "--config", with_broker).exit_code


@pytest.mark.parametrize(
    ("lacking", "told"),
    [
        ({"configure": "^$"}, "the user may not make the exchange tms.events: 403 ACCESS_REFUSED"),
        ({"write": r"^tms\.events$"}, "the user may not publish to exchange tms.unroutable: 403"),
        ({"read": "^$"}, "the user may not make the binding of queue crm to exchange tms.events"),
    ],
    ids=str,
)
@pytest.mark.parametrize("applied", [False, True])
def test_online_a_right_that_serve_will_need_fails_before_it_does(
    invoke: Invoke, with_broker: Path, permit: Permit, lacking: dict[str, str], told: str, *, applied: bool
) -> None:
    if applied:
        invoke("topology", "apply", "--config", with_broker)
    permit(**lacking)
    result = invoke("check", "--online", "--config", with_broker, "--json")
    assert (1, {"fail"}) == (result.exit_code, findings(result.stdout)["rights"])
    assert told in result.stdout


def test_online_a_topic_that_nothing_is_bound_to_is_a_warning(
    invoke: Invoke, with_broker: Path, vhost: str
) -> None:
    invoke("topology", "apply", "--config", with_broker)
    before = invoke("check", "--online", "--config", with_broker, "--json")
    assert "no queue is bound to tms.course_assignment.started; " in before.stdout
    assert "tms.class.scheduled" not in before.stdout
    asyncio.run(bind_all(vhost))
    after = invoke("check", "--online", "--config", with_broker, "--json")
    assert "no queue is bound" not in after.stdout


async def bind_all(vhost: str) -> None:
    async with await aio_pika.connect(vhost) as connection:
        queue = await (await connection.channel()).declare_queue("everything", durable=True)
        await queue.bind("tms.events", "tms.#")


def test_online_the_archive_is_judged_by_the_brokers_version(invoke: Invoke, with_broker: Path) -> None:
    text = with_broker.read_text().replace(
        "[[amqp.queues]]", '[amqp.archive]\nmax_age = "2d"\n[[amqp.queues]]'
    )
    with_broker.write_text(text)
    invoke("topology", "apply", "--config", with_broker)
    result = invoke("check", "--online", "--config", with_broker, "--json")
    assert 0 == result.exit_code
    found = findings(result.stdout)
    assert ({"ok"}, {"ok"}) == (found["archive"], found["bindings"])
    assert "the archive takes every event" in result.stdout


@pytest.mark.parametrize(
    ("version", "expected"),
    [("3.8.34", "fail"), ("3.9.0", "ok"), ("3.10.8", "ok"), ("4.1.2", "ok"), ("", "warn"), ("odd", "warn")],
)
def test_streams_came_with_3_9(version: str, expected: str) -> None:
    assert expected == archive_finding(version).result

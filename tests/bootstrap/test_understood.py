"""What the broker says, and what an operator's files hold: each on a running bridge."""

import asyncio
import codecs
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.administering import Alarm, close_connections, delete_user, permit, set_password
from tests.bootstrap.running import ask, bridge, configure, webhook
from tests.bootstrap.test_service import consume, queue_is_there, relay
from tests.faults.half_open import Manner, half_open
from yarl import URL

import tms_events
from rabbitmq import Node

REPR = re.compile(r"object at 0x")
LEAST = r"^(tms\..*|all)$"
"""What docs/operations.md gives the bridge's own user: configure, write and read on these names."""


def call(command: str, config: Path) -> "subprocess.CompletedProcess[str]":
    arguments = [sys.executable, "-m", "tms_bridge", *command.split(), "--config", str(config)]
    environ = os.environ | {"TMS_PASSWORD": "webhookpassword"}
    return subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=180, env=environ)


def through(head: str, entity: int = 7) -> bytes:
    """Return a webhook with more lines in its head."""
    return webhook(entity).replace(b"Connection: close", head.encode() + b"Connection: close")


@pytest.mark.parametrize("which", ["missing", "forbidden"])
async def test_a_virtual_host_that_is_closed_to_the_bridge_is_told_in_the_brokers_words(
    which: str, tmp_path: Path, vhost: str, rabbitmq: Node
) -> None:
    url = URL(vhost)
    name = url.path.removeprefix("/") if which == "forbidden" else "nowhere"
    if which == "forbidden":
        rabbitmq.ctl("clear_permissions", "--vhost", name, str(url.user), timeout_s=180)
    config = configure(tmp_path, str(url.with_path(f"/{name}")))
    async with bridge(config) as process:
        line = await process.until("broker connection failed")
    checked = await asyncio.to_thread(call, "check --online", config)
    wanted = (
        f"the broker said 530 NOT_ALLOWED - {'vhost' if which == 'missing' else 'access to vhost'} '?{name}"
    )
    assert re.search(wanted, str(line["reason"])), line
    assert re.search(wanted, checked.stdout), checked.stdout
    assert (1, None) == (checked.returncode, REPR.search(f"{line}{checked.stdout}{checked.stderr}"))


async def test_a_close_after_the_handshake_is_told_in_the_brokers_words(
    tmp_path: Path, vhost: str, rabbitmq: Node
) -> None:
    async with bridge(configure(tmp_path, vhost)) as process:
        await process.until("broker connected")
        await asyncio.to_thread(close_connections, rabbitmq, vhost, "the rack is moved")
        await process.until("broker connected", 2)
    assert any("320" in str(line) and "the rack is moved" in str(line) for line in process.lines)
    assert not any(REPR.search(str(line)) for line in process.lines)


ENDS = [manner for manner in Manner if "silent" not in manner]
PLACES = ("/", "/calls", "/outbox", "/quarantine", "/topology", "/configuration", "/metrics", "/readyz")
ANSWERS = ("/api/v1/status", "/api/v1/calls", "/api/v1/events", "/api/v1/outbox", "/api/v1/quarantine")


@pytest.mark.parametrize(
    "manner", [ENDS[0], *(pytest.param(end, marks=pytest.mark.long) for end in ENDS[1:])]
)
async def test_at_whatever_step_the_broker_ends_it_everything_tells_it_in_words(
    manner: Manner, tmp_path: Path
) -> None:
    async with half_open(manner) as port:
        config = configure(tmp_path, f"amqp://tms:s3cret@127.0.0.1:{port}/")
        async with bridge(config) as process:
            asking = tmp_path / "asking.toml"
            asking.write_text(
                config.read_text().replace(
                    '[admin]\nlisten = "127.0.0.1:0"', f'[admin]\nlisten = "{process.admin}"'
                )
            )
            assert 202 == (await process.post(7))[0]
            line = await process.until("broker connection failed", 2)
            shown = [(await process.get(path))[1] for path in (*PLACES, *ANSWERS)]
            ended = [
                await asyncio.to_thread(call, command, asking)
                for command in ("status", "calls", "check --online", "topology show", "unroutable status")
            ]
    assert [1, 0, 1, 1, 1] == [each.returncode for each in ended]
    told = [str(line), *shown, *(each.stdout + each.stderr for each in ended)]
    assert f"127.0.0.1:{port}" in str(line)
    assert [] == [text for text in told if REPR.search(text) or "Traceback" in text or "s3cret" in text]


async def test_user_and_password_from_files_may_hold_any_character(
    tmp_path: Path, vhost: str, rabbitmq: Node
) -> None:
    user, password = "br:i/d@ge%41", "p@ss/w:rd#?%é"
    set_password(rabbitmq, user, password)
    permit(rabbitmq, vhost, ".*", ".*", ".*", user=user)
    (tmp_path / "user").write_text(user + "\n")
    (tmp_path / "password").write_bytes(codecs.BOM_UTF8 + password.encode())
    rest = vhost.partition("@")[2]
    async with bridge(configure(tmp_path, f"amqp://${{file:user}}:${{file:password}}@{rest}")) as process:
        await process.until("broker connected")
        assert 202 == (await process.post(7))[0]
        assert [7] == [tms_events.entity_id(event) for event in await consume(vhost, 1)]
    delete_user(rabbitmq, user)


async def test_a_broker_by_its_ipv6_address_is_reached_and_named_in_brackets(
    tmp_path: Path, vhost: str, rabbitmq: Node
) -> None:
    async with relay(rabbitmq.port, host="::1") as port:
        url = str(URL(vhost)).replace(f"127.0.0.1:{rabbitmq.port}", f"[::1]:{port}")
        async with bridge(configure(tmp_path, url)) as process:
            line = await process.until("broker connected")
    assert f"amqp://[::1]:{port}/{vhost.rpartition('/')[2]}" == line["broker"]


@pytest.mark.parametrize("option", ["cadata=zzz", "no_verify_ssl=1"])
async def test_an_option_of_the_url_that_is_not_taken_ends_the_start_by_its_name(
    option: str, tmp_path: Path
) -> None:
    config = configure(tmp_path, f"amqps://tms:s3cret@127.0.0.1:1/?{option}")
    for command in ("serve", "check", "check --online"):
        ended = await asyncio.to_thread(call, command, config)
        assert (command, 2) == (command, ended.returncode)
        assert option.partition("=")[0] in ended.stderr
        assert not re.search(r"Traceback|s3cret|zzz", ended.stdout + ended.stderr)


async def test_a_queue_that_a_reload_brings_during_an_alarm_is_declared_once_it_is_over(
    tmp_path: Path, vhost: str, alarm: Alarm
) -> None:
    config = configure(tmp_path, vhost)
    async with bridge(config) as process:
        await process.until("broker connected")
        alarm.begin()
        blocked = False
        for entity in range(400):
            await process.post(entity)
            blocked = "tms_bridge_broker_blocked 1.0" in (await process.get("/metrics"))[1]
            if blocked:
                break
        assert blocked
        more = '[[amqp.queues]]\nname = "late"\nbindings = ["tms.class.*"]\n[outbox]'
        config.write_text(config.read_text().replace("[outbox]", more))
        await process.until("configuration reloaded")
        alarm.end()
        await queue_is_there(vhost, "late")


async def test_the_documented_rights_are_enough_for_a_bridge_that_starts_for_the_first_time(
    tmp_path: Path, vhost: str, rabbitmq: Node
) -> None:
    permit(rabbitmq, vhost, LEAST, LEAST, LEAST)
    async with bridge(configure(tmp_path, vhost)) as process:
        await process.until("broker connected")
        assert 202 == (await process.post(7))[0]
        assert 1 == len(await consume(vhost, 1))
    assert "topology is not as configured" not in [line["event"] for line in process.lines]


async def test_a_byte_order_mark_is_no_part_of_any_file_that_a_bridge_reads(tmp_path: Path) -> None:
    config = configure(tmp_path)
    text = config.read_text().replace("${TMS_PASSWORD}", "${file:secret}").replace("127.0.0.0/8", "@callers")
    for name, content in (("secret", "webhookpassword\n"), ("callers", "127.0.0.1\n"), (config.name, text)):
        (tmp_path / name).write_bytes(codecs.BOM_UTF8 + content.encode())
    async with bridge(config) as process:
        assert 202 == (await process.post(7))[0]
        (tmp_path / "secret").write_bytes(codecs.BOM_UTF8 + b"another-password")
        await process.until("configuration reloaded")
        assert 401 == (await process.post(8))[0]


async def test_trusted_proxies_from_a_file_any_and_empty_elements_are_taken_as_documented(
    tmp_path: Path,
) -> None:
    config = configure(tmp_path)
    (tmp_path / "proxies").write_text("127.0.0.1 # the front\n")
    behind = '[http]\nclient_address = "x-forwarded-for"\ntrusted_proxies = ["@proxies"]'
    text = config.read_text().replace("[http]", behind).replace("127.0.0.0/8", "203.0.113.7")
    config.write_text(text)
    heads = {
        "X-Forwarded-For: 203.0.113.7,\r\n": 202,
        "X-Forwarded-For: , 203.0.113.7 ,,\r\n": 202,
        "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-For:\r\n": 202,
        "X-Forwarded-For: 203.0.113.8,\r\n": 403,
        "X-Forwarded-For: 203.0.113.7, nonsense\r\n": 403,
        "": 403,
    }
    async with bridge(config) as process:
        answered = {head: (await ask(process.http, through(head)))[0] for head in heads}
        config.write_text(text.replace("203.0.113.7", "any"))
        process.send(signal.SIGHUP)
        await process.until("configuration reloaded")
        untold = [
            (await ask(process.http, through(head)))[0] for head in ("", "X-Forwarded-For: nonsense\r\n")
        ]
    assert heads == answered
    assert [202, 202] == untold

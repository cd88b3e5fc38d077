import asyncio
import contextlib
import json
import os
import re
import resource
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import aio_pika
import pytest
from tests.administering import close_connections, delete_user, permit, set_password
from tests.bootstrap.running import NOWHERE, ask, bridge, configure, start, webhook
from tests.waiting import patience
from yarl import URL

import tms_events
from ports import free_port
from rabbitmq import Node


async def consume(url: str, count: int) -> list[tms_events.Event]:
    """Take events from the queue `all`, which the bridge declares."""
    connection = await aio_pika.connect(url)
    async with connection, patience():
        channel = await connection.channel()
        queue = await channel.get_queue("all")
        events = []
        async with queue.iterator(no_ack=True) as messages:
            async for message in messages:
                events.append(tms_events.decode(message.body))
                if len(events) == count:
                    return events
    raise AssertionError(events)


@pytest.mark.parametrize("disk", [True, False])
async def test_a_webhook_becomes_a_message_on_its_topic(tmp_path: Path, vhost: str, *, disk: bool) -> None:
    async with bridge(configure(tmp_path, vhost, disk=disk)) as process:
        await process.until("broker connected")
        status, body = await process.post(7)
        (event,) = await consume(vhost, 1)

    assert (status, json.loads(body)["durable"]) == (202, "outbox" if disk else "broker")
    assert (event.id, event.status) == (json.loads(body)["id"], tms_events.ClassStatus.COMPLETED)


async def test_without_a_broker_it_starts_is_ready_and_delivers_when_the_broker_comes(
    tmp_path: Path, vhost: str, rabbitmq: Node
) -> None:
    port = free_port()
    async with bridge(configure(tmp_path, str(URL(vhost).with_port(port)))) as process:
        ready = await process.get("/readyz")
        statuses = [(await process.post(entity))[0] for entity in range(3)]
        async with relay(rabbitmq.port, port):
            await process.until("broker connected")
            events = await consume(vhost, 3)

    assert (ready[0], statuses) == (200, [202] * 3)
    assert [tms_events.entity_id(event) for event in events] == [0, 1, 2]


async def test_without_disk_or_broker_it_is_not_ready_and_says_why(tmp_path: Path) -> None:
    async with bridge(configure(tmp_path, disk=False)) as process:
        status, body = await process.get("/readyz")
        live, _ = await process.get("/livez", admin=False)

    assert (status, live) == (503, 200)
    assert "the broker is not connected" in body


async def test_what_was_accepted_outlives_a_kill(tmp_path: Path, vhost: str) -> None:
    async with bridge(configure(tmp_path)) as process:
        await process.post(7)
        process.send(signal.SIGKILL)
        await process.end()
    async with bridge(configure(tmp_path, vhost)) as process:
        await process.until("broker connected")
        (event,) = await consume(vhost, 1)

    assert tms_events.entity_id(event) == 7


async def test_sigterm_waits_its_time_then_drains_and_exits_0(tmp_path: Path, vhost: str) -> None:
    async with bridge(configure(tmp_path, vhost, delay=0.5)) as process:
        await process.until("broker connected")
        status, _ = await process.post(7)
        process.send(signal.SIGTERM)
        code = await process.end()

    events = [str(line["event"]) for line in process.lines]
    assert (status, code) == (202, 0)
    assert events[-2:] == ["drained", "stopped"]
    assert len(await consume(vhost, 1)) == 1


async def nobody_listens(host: str, port: int) -> None:
    """Wait until a connection is refused."""
    with contextlib.suppress(ConnectionError):
        while True:
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
            await asyncio.sleep(0.01)


async def test_a_request_that_has_begun_is_finished(tmp_path: Path) -> None:
    async with bridge(configure(tmp_path)) as process:
        host, port = process.http.rsplit(":", 1)
        reader, writer = await asyncio.open_connection(host, int(port))
        headers, body = webhook(7).split(b"\r\n\r\n")
        writer.write(headers + b"\r\nExpect: 100-continue\r\n\r\n")
        async with patience():
            await reader.readuntil(b"\r\n\r\n")
            process.send(signal.SIGTERM)
            await nobody_listens(host, int(port))
        writer.write(body)
        answer = await reader.read()
        writer.close()

        assert (answer[:12], await process.end()) == (b"HTTP/1.1 202", 0)


async def test_a_second_signal_hastens_the_end(tmp_path: Path) -> None:
    async with bridge(configure(tmp_path, delay=60)) as process:
        process.send(signal.SIGTERM)
        await process.until("stopping")
        process.send(signal.SIGTERM)

        assert await process.end() == 0


async def test_a_taken_port_is_said_clearly_and_exits_2(tmp_path: Path) -> None:
    async with bridge(configure(tmp_path)) as process:
        port = int(process.http.rsplit(":", 1)[1])
        (tmp_path / "other").mkdir()
        other = await start(configure(tmp_path / "other", port=port))
        _, said = await other.communicate()

    assert other.returncode == 2
    assert f"http.listen: cannot listen on 127.0.0.1:{port}: another process listens there" in said.decode()


async def test_a_held_outbox_is_said_clearly_and_exits_1(tmp_path: Path) -> None:
    async with bridge(configure(tmp_path)):
        other = await start(configure(tmp_path))
        _, said = await other.communicate()

    assert other.returncode == 1
    assert "outbox" in said.decode()


async def test_sighup_reloads_sources_and_an_invalid_file_changes_nothing(tmp_path: Path) -> None:
    config = configure(tmp_path)
    text = config.read_text()
    async with bridge(config) as process:
        config.write_text(
            text.replace("[sources.contoso", "[sources.fabrikam").replace(
                "sources.contoso.", "sources.fabrikam."
            )
        )
        process.send(signal.SIGHUP)
        await process.until("configuration reloaded")
        statuses = [(await process.post(7, source))[0] for source in ("contoso", "fabrikam")]
        config.write_text("nonsense")
        process.send(signal.SIGHUP)
        await process.until("configuration refused, the old one stays")
        after, _ = await process.post(7, "fabrikam")
        _, metrics = await process.get("/metrics")

    assert (statuses, after) == ([404, 202], 202)
    assert "tms_bridge_config_reload_success 0.0" in metrics


async def test_rotated_credentials_bind_a_connection_that_was_let_in_before(tmp_path: Path) -> None:
    config = configure(tmp_path)
    answers = []
    async with bridge(config) as process:
        reader, writer = await asyncio.open_connection(*process.http.rsplit(":", 1))
        for entity in range(4):
            if entity == 3:
                config.write_text(config.read_text().replace("${TMS_PASSWORD}", "another-password"))
                process.send(signal.SIGHUP)
                await process.until("configuration reloaded")
            writer.write(webhook(entity).replace(b"Connection: close\r\n", b""))
            async with patience():
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
                answers.append(head[9:12])
                await reader.readexactly(int(length[1]) if length else 0)
        writer.close()

    assert answers == [b"202", b"202", b"202", b"401"]


async def test_a_changed_file_is_read_without_a_signal(tmp_path: Path) -> None:
    config = configure(tmp_path)
    async with bridge(config) as process:
        config.write_text(config.read_text().replace("contoso", "fabrikam"))
        await process.until("configuration reloaded")

        assert (await process.post(7, "fabrikam"))[0] == 202


SECRET = "${file:secret}"


@pytest.mark.parametrize("kind", ["pipe", "device", "directory", "gone", "long"])
async def test_a_secret_that_can_no_longer_be_read_is_a_refused_reload(kind: str, tmp_path: Path) -> None:
    config = configure(tmp_path)
    config.write_text(config.read_text().replace("${TMS_PASSWORD}", SECRET))
    secret = tmp_path / "secret"
    secret.write_text("webhookpassword")
    async with bridge(config) as process:
        secret.unlink()
        if kind == "pipe":
            os.mkfifo(secret)
        elif kind == "device":
            secret.symlink_to("/dev/zero")
        elif kind == "directory":
            secret.mkdir()
        elif kind == "long":
            secret.write_text("x" * 100_000)
        process.send(signal.SIGHUP)
        refused = await process.until("configuration refused, the old one stays")
        status, _ = await process.post(7)
        _, metrics = await process.get("/metrics")
        process.send(signal.SIGTERM)
        code = await process.end()

    assert (status, code) == (202, 0)
    assert str(secret) in str(refused["detail"])
    assert "tms_bridge_config_reload_success 0.0" in metrics


async def test_a_secret_is_swapped_by_its_symlink_as_kubernetes_does_it(tmp_path: Path) -> None:
    config = configure(tmp_path)
    config.write_text(config.read_text().replace("${TMS_PASSWORD}", "${file:mount/secret}"))
    for version, password in (("v1", "another-password"), ("v2", "webhookpassword")):
        (tmp_path / "mount" / version).mkdir(parents=True)
        (tmp_path / "mount" / version / "secret").write_text(password)
    (tmp_path / "mount" / "..data").symlink_to("v1")
    (tmp_path / "mount" / "secret").symlink_to("..data/secret")
    async with bridge(config) as process:
        before, _ = await process.post(7)
        (tmp_path / "mount" / "..new").symlink_to("v2")
        (tmp_path / "mount" / "..new").replace(tmp_path / "mount" / "..data")
        await process.until("configuration reloaded")
        after, _ = await process.post(7)

    assert (before, after) == (401, 202)


async def status_with(address: str, token: str) -> int:
    head = f"Host: x\r\nConnection: close\r\nAuthorization: Bearer {token}"
    return (await ask(address, f"GET /api/v1/status HTTP/1.1\r\n{head}\r\n\r\n".encode()))[0]


async def test_a_changed_admin_token_is_taken_over_and_needs_no_restart(tmp_path: Path) -> None:
    config = configure(tmp_path)
    config.write_text(config.read_text().replace("[admin]", f'[admin]\ntoken = "{SECRET}"'))
    secret = tmp_path / "secret"
    secret.write_text("token-of-yesterday")
    statuses = []
    async with bridge(config) as process:
        statuses.append(await status_with(process.admin, "token-of-yesterday"))
        secret.write_text("token-of-today")
        await process.until("configuration reloaded")
        statuses.append(await status_with(process.admin, "token-of-yesterday"))
        statuses.append(await status_with(process.admin, "token-of-today"))
        _, metrics = await process.get("/metrics")

    assert statuses == [200, 401, 200]
    assert "tms_bridge_restart_pending 0.0" in metrics


async def test_an_outbox_left_where_the_process_was_started_is_warned_of(tmp_path: Path) -> None:
    """Before, a relative outbox.dir began at the working directory: such a backlog must not stay unseen."""
    former = tmp_path / "elsewhere"
    former.mkdir()
    config = configure(tmp_path)
    config.write_text(config.read_text().replace(str(tmp_path / "outbox"), "outbox"))
    (former / "tms-bridge.toml").write_text(config.read_text())
    async with bridge(former / "tms-bridge.toml") as process:
        await process.post(7)
        await process.post(8)
        process.send(signal.SIGTERM)
        await process.end()
    async with bridge(config, cwd=former) as process:
        warned = await process.until(
            "another outbox is where outbox.dir used to point: its events are not delivered"
        )
        ready = await process.until("ready")
        await process.post(9)
        process.send(signal.SIGTERM)
        stopped = await process.until("stopped")

    assert (warned["former_outbox"], warned["waiting"]) == (str(former / "outbox"), 2)
    assert (ready["outbox"], ready["waiting"]) == (str(tmp_path / "outbox"), 0)
    assert (stopped["outbox"], stopped["waiting"]) == (str(tmp_path / "outbox"), 1)


@contextlib.asynccontextmanager
async def relay(port: int, listen: int = 0, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """Pass what comes to an address of this machine on to a port of 127.0.0.1."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while block := await reader.read(65_536):
                writer.write(block)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copy(reader, back), copy(there, writer))

    server = await asyncio.start_server(serve, host, listen)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def queue_is_there(vhost: str, name: str) -> None:
    """Wait until a queue is declared."""
    async with patience(), await aio_pika.connect(vhost) as connection:
        while True:
            with contextlib.suppress(aio_pika.exceptions.ChannelNotFoundEntity):
                await (await connection.channel()).get_queue(name)
                return
            await asyncio.sleep(0.02)


async def test_a_rotated_broker_password_is_taken_at_the_next_connect(
    tmp_path: Path, vhost: str, rabbitmq: Node
) -> None:
    user, rotated = "rotated", "n:w/p@ss%"
    set_password(rabbitmq, user, "of-yesterday")
    permit(rabbitmq, vhost, ".*", ".*", ".*", user=user)
    secret = tmp_path / "password"
    secret.write_text("of-yesterday")
    url = URL(vhost).with_user(user).with_password("PASSWORD")
    config = configure(tmp_path, str(url).replace("PASSWORD", "${file:password}"))
    async with bridge(config) as process:
        await process.until("broker connected")
        set_password(rabbitmq, user, rotated)
        close_connections(rabbitmq, vhost, "the password was rotated")
        await process.until("broker connection failed")
        secret.write_text(rotated)
        await process.until("broker connected", 2)
    delete_user(rabbitmq, user)


async def test_a_reload_declares_queues_and_says_what_needs_a_restart(tmp_path: Path, vhost: str) -> None:
    config = configure(tmp_path, vhost)
    text = config.read_text()
    async with bridge(config) as process:
        await process.until("broker connected")
        config.write_text(
            text.replace('name = "all"', 'name = "new"').replace("[admin]", "deadline_s = 4.5\n[admin]")
        )
        process.send(signal.SIGHUP)
        line = await process.until("restart pending: these changes are not in force yet")
        pending = (await process.get("/metrics"))[1]
        await queue_is_there(vhost, "new")

    assert line["keys"] == ["http.deadline_s"]
    assert "tms_bridge_restart_pending 1.0" in pending


async def test_what_an_operator_drops_while_the_broker_is_away_is_gone(tmp_path: Path) -> None:
    async with bridge(configure(tmp_path)) as process:
        _, accepted = await process.post(7)
        path = f"/api/v1/outbox/{json.loads(accepted)['id']}"
        head = "Host: localhost\r\nConnection: close\r\n\r\n"
        dropped, _ = await ask(process.admin, f"DELETE {path} HTTP/1.1\r\n{head}".encode())
        _, left = await ask(process.admin, f"GET /api/v1/outbox HTTP/1.1\r\n{head}".encode())

    assert (dropped, json.loads(left)) == (200, {"rows": []})


async def test_a_corrupt_outbox_stops_the_start_with_instructions(tmp_path: Path) -> None:
    async with bridge(configure(tmp_path)) as process:
        await process.post(7)
        process.send(signal.SIGKILL)
        await process.end()
    for file in (tmp_path / "outbox").glob("outbox.db*"):
        file.write_bytes(b"nonsense" * 1000)
    again = await start(configure(tmp_path))
    async with patience():
        _, said = await again.communicate()

    assert again.returncode == 1
    assert "outbox" in said.decode()


async def test_nothing_secret_is_logged_over_a_whole_life(tmp_path: Path) -> None:
    async with bridge(configure(tmp_path, NOWHERE)) as process:
        await process.post(7)
        await process.until("broker connection failed")
        process.send(signal.SIGTERM)
        await process.end()

    said = json.dumps(process.lines)
    assert [secret for secret in ("s3cret", "webhookpassword", "V2ViaG9v") if secret in said] == []


async def test_an_outbox_that_breaks_while_it_runs_ends_the_process_with_1(tmp_path: Path) -> None:
    async with bridge(configure(tmp_path)) as process:
        # From now on each write to a file fails with EFBIG, as it would on a broken disk.
        resource.prlimit(process.process.pid, resource.RLIMIT_FSIZE, (1, 1))
        status, _ = await process.post(1)
        code = await process.end()

    events = [line["event"] for line in process.lines]
    assert (status, code) == (503, 1)
    assert "the outbox broke; nothing that was answered 2xx is lost" in events

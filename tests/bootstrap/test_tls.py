"""TLS where no proxy does it, on a bridge as an operator runs it."""

import asyncio
import contextlib
import hashlib
import json
import ssl
import sys
from pathlib import Path

import pytest
from tests import certificates
from tests.bootstrap.running import Process, bridge, configure, webhook
from tests.certificates import Pair
from tests.waiting import patience


def configured(directory: Path, http: str, admin: str = "", *, head_timeout_s: float = 10) -> Path:
    """Write a configuration with these tables; an empty one is left out."""
    path = configure(directory)
    text = path.read_text().replace("[http]\n", f"[http]\nhead_timeout_s = {head_timeout_s}\n")
    path.write_text(f"{text}\n{http}\n{admin}\n")
    return path


def trusting(pair: Pair, **versions: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(pair.certificate))
    for name, version in versions.items():
        setattr(context, name, version)
    return context


async def ask(address: str, raw: bytes, context: ssl.SSLContext) -> tuple[int, str, str]:
    """Return status and body of the answer, and the fingerprint of the certificate that was shown."""
    host, port = address.rsplit(":", 1)
    async with patience():
        reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.write(raw)
        answer = (await reader.read()).decode()
        writer.close()
    return int(answer.split(" ", 2)[1]), answer.partition("\r\n\r\n")[2], hashlib.sha256(shown).hexdigest()


def fingerprint(pair: Pair) -> str:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pair.certificate.read_text())).hexdigest()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
async def test_webhooks_come_in_encrypted_and_the_listener_takes_nothing_else(tmp_path: Path) -> None:
    pair = certificates.make(tmp_path, "http")
    async with bridge(configured(tmp_path, pair.as_toml("http.tls"))) as process:
        answers = [await ask(process.http, webhook(number), trusting(pair)) for number in range(3)]
        with pytest.raises((OSError, IndexError)):
            await process.post(9)
        old = trusting(pair, minimum_version=ssl.TLSVersion.TLSv1, maximum_version=ssl.TLSVersion.TLSv1_1)
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.raises((ConnectionError, ssl.SSLError)):
            await ask(process.http, webhook(9), old)

    assert [202] * 3 == [status for status, _, _ in answers]
    assert {"outbox"} == {json.loads(body)["durable"] for _, body, _ in answers}


async def test_what_comes_with_the_end_of_the_handshake_is_not_lost(tmp_path: Path) -> None:
    pair = certificates.make(tmp_path, "http")
    async with bridge(configured(tmp_path, pair.as_toml("http.tls"))) as process:
        asked = [ask(process.http, webhook(number), trusting(pair)) for number in range(30)]
        statuses = {status for status, _, _ in await asyncio.gather(*asked)}

    assert {202} == statuses


async def test_a_renewed_certificate_is_taken_over_and_a_broken_one_is_not(tmp_path: Path) -> None:
    first = certificates.make(tmp_path, "http")
    old = fingerprint(first)
    async with bridge(configured(tmp_path, first.as_toml("http.tls"))) as process:
        assert old == (await ask(process.http, webhook(1), trusting(first)))[2]
        certificates.make(tmp_path, "http")
        await process.until("configuration reloaded")
        assert fingerprint(first) == (await ask(process.http, webhook(2), trusting(first)))[2] != old
        kept, key = trusting(first), first.key.read_text()
        first.key.write_text("no key")
        refused = await process.until("configuration refused, the old one stays")
        assert 202 == (await ask(process.http, webhook(3), kept))[0]

    assert "http.tls" in str(refused["detail"])
    assert key not in json.dumps(process.lines)


async def test_where_client_certificates_are_wanted_nobody_else_is_heard(tmp_path: Path) -> None:
    server, client = certificates.make(tmp_path, "http"), certificates.make(tmp_path, "client")
    toml = server.as_toml("http.tls", client_ca=client.certificate)
    async with bridge(configured(tmp_path, toml)) as process:
        with pytest.raises((OSError, IndexError)):
            await ask(process.http, webhook(1), trusting(server))
        known = trusting(server)
        known.load_cert_chain(client.certificate, client.key)
        status, _, _ = await ask(process.http, webhook(1), known)

    assert 202 == status


GATEWAY = """
[[sources.contoso.credentials]]
name = "gateway"
client_certificate = "gateway"
"""
ANONYMOUS = webhook(2).replace(b"Authorization", b"X-Nothing")


def showing(server: Pair, client: Pair) -> ssl.SSLContext:
    context = trusting(server)
    context.load_cert_chain(client.certificate, client.key)
    return context


async def test_a_client_certificate_is_one_credential_of_a_source(tmp_path: Path) -> None:
    server, gateway, other, stranger = (
        certificates.make(tmp_path, name) for name in ("http", "gateway", "other", "stranger")
    )
    cas = tmp_path / "cas.pem"
    cas.write_text(gateway.certificate.read_text() + other.certificate.read_text())
    config = configured(tmp_path, server.as_toml("http.tls", client_ca=cas))
    config.write_text(config.read_text() + GATEWAY)
    async with bridge(config) as process:
        answers = [
            await ask(process.http, ANONYMOUS, showing(server, gateway)),
            await ask(process.http, ANONYMOUS, showing(server, other)),
            await ask(process.http, ANONYMOUS, trusting(server)),
            await ask(process.http, webhook(1), trusting(server)),
        ]
        with pytest.raises((OSError, IndexError)):
            await ask(process.http, webhook(3), showing(server, stranger))
        _, text = await process.get("/metrics")
        config.write_text(config.read_text().replace(GATEWAY, ""))
        await process.until("configuration reloaded")
        with pytest.raises((OSError, IndexError)):
            await ask(process.http, webhook(4), trusting(server))
        refused = await ask(process.http, ANONYMOUS, showing(server, gateway))

    assert [202, 401, 401, 202, 401] == [status for status, _, _ in (*answers, refused)]
    assert 'tms_bridge_credential_used_total{credential="gateway",source="contoso"} 1.0' in text


async def test_commands_reach_the_admin_listener_by_its_certificate(tmp_path: Path) -> None:
    pair = certificates.make(tmp_path, "admin")
    config = configured(tmp_path, "", pair.as_toml("admin.tls"))
    async with bridge(config) as process:
        config.write_text(
            config.read_text().replace(
                '[admin]\nlisten = "127.0.0.1:0"', f'[admin]\nlisten = "{process.admin}"'
            )
        )
        command = ("-m", "tms_bridge", "outbox", "status", "--json", "--config", str(config))
        asked = await asyncio.create_subprocess_exec(
            sys.executable,
            *command,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"TMS_PASSWORD": "webhookpassword"},
        )
        said, complaint = await asked.communicate()
        status, _, _ = await ask(
            process.admin, b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", trusting(pair)
        )

    assert (0, b"", 200) == (asked.returncode, complaint, status)
    assert isinstance(json.loads(said), dict)


async def refused(process: Process, reason: str) -> float:
    _, text = await process.get("/metrics")
    name = f'tms_bridge_connections_refused_total{{listener="http",reason="{reason}"}} '
    return next(float(line.removeprefix(name)) for line in text.splitlines() if line.startswith(name))


async def test_a_handshake_that_is_never_finished_has_the_time_of_a_head(tmp_path: Path) -> None:
    pair = certificates.make(tmp_path, "http")
    config = configured(tmp_path, pair.as_toml("http.tls"), head_timeout_s=0.5)
    async with bridge(config) as process:
        host, port = process.http.rsplit(":", 1)
        for start in (b"", b"\x16\x03\x01"):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(start)
            async with patience():
                with contextlib.suppress(ConnectionError):
                    assert b"" == await reader.read()
            writer.close()
        count = await refused(process, "handshake_timeout")

    assert 2 == count


async def test_handshakes_count_among_the_connections_and_give_way(tmp_path: Path) -> None:
    pair = certificates.make(tmp_path, "http")
    config = configured(tmp_path, pair.as_toml("http.tls"))
    config.write_text(config.read_text().replace("[http]\n", "[http]\nmax_connections = 10\n"))
    async with bridge(config) as process:
        host, port = process.http.rsplit(":", 1)
        silent = [await asyncio.open_connection(host, int(port)) for _ in range(40)]
        status, _, _ = await ask(process.http, webhook(1), trusting(pair))
        count = await refused(process, "max_connections")
        for _, writer in silent:
            writer.close()

    assert 202 == status
    assert count >= 30

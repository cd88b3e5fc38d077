"""TLS to the broker: on by scheme, and never without verification."""

import base64
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.waiting import PATIENCE_S
from yarl import URL

from rabbitmq import Node
from tms_bridge.broker.session import open_session
from tms_bridge.broker.supervisor import amqp_url, tls_context
from tms_bridge.errors import BrokerError
from tms_bridge.message import Message, Outcome

# Erlang makes certificates for tests, and the broker's node is at hand.
MAKE_CERTIFICATE = """
    San = {'Extension', {2, 5, 29, 17}, false, [{dNSName, "localhost"}]},
    Common = [{key, {namedCurve, secp256r1}}, {digest, sha256}],
    Chain = #{root => Common, intermediates => [], peer => [{extensions, [San]} | Common]},
    #{server_config := Server} = public_key:pkix_test_data(#{server_chain => Chain, client_chain => Chain}),
    {Type, Key} = proplists:get_value(key, Server),
    Certificates = [proplists:get_value(cert, Server) | proplists:get_value(cacerts, Server)],
    Entries = [{Type, Key, not_encrypted} | [{'Certificate', C, not_encrypted} || C <- Certificates]],
    binary_to_list(base64:encode(public_key:pem_encode(Entries))).
"""


@pytest.fixture
def certificate(rabbitmq: Node, tmp_path: Path) -> Path:
    """A file with a key, a certificate for `localhost`, and the root that signed it."""
    encoded = rabbitmq.evaluate(MAKE_CERTIFICATE.replace("\n", " ")).strip().strip('"')
    path = tmp_path / "certificate.pem"
    path.write_bytes(base64.b64decode(encoded))
    return path


@pytest.fixture
async def tls_proxy(proxy: Any, certificate: Path) -> Any:
    await proxy.refuse()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    await proxy.start(context)
    return proxy


async def connect(url: URL) -> Any:
    return await open_session(
        url, context=tls_context(url), heartbeat_s=10, name="test", timeout_s=PATIENCE_S
    )


def amqps(bench: Any, proxy: Any, host: str = "localhost", **query: str) -> URL:
    url: URL = bench.url
    return url.with_scheme("amqps").with_host(host).with_port(proxy.port).with_query(query)


async def test_a_broker_with_a_trusted_certificate_is_published_to(
    bench: Any, tls_proxy: Any, certificate: Path, event: Callable[..., Message], collect: Any
) -> None:
    url = amqps(bench, tls_proxy, cafile=str(certificate))
    publisher = await bench.publisher(url=url, context=tls_context(url))
    await bench.queue("tms.class.scheduled")
    for key in range(50):
        publisher.publish(key, event(body=b"x" * 50_000), "tms.events")
    assert await collect(publisher, 50) == dict.fromkeys(range(50), Outcome.CONFIRMED)


async def test_a_certificate_of_an_unknown_root_is_refused(bench: Any, tls_proxy: Any) -> None:
    with pytest.raises(BrokerError, match="CERTIFICATE_VERIFY_FAILED"):
        await connect(amqps(bench, tls_proxy))


async def test_verification_cannot_be_turned_off_in_the_url(bench: Any, tls_proxy: Any) -> None:
    with pytest.raises(BrokerError, match="CERTIFICATE_VERIFY_FAILED"):
        await connect(amqps(bench, tls_proxy, no_verify_ssl="1"))


async def test_a_certificate_for_another_host_is_refused(
    bench: Any, tls_proxy: Any, certificate: Path
) -> None:
    with pytest.raises(BrokerError, match="not valid for '127"):
        await connect(amqps(bench, tls_proxy, "127.0.0.1", cafile=str(certificate)))


async def test_a_broker_without_tls_is_not_spoken_to_in_the_clear(bench: Any, proxy: Any) -> None:
    with pytest.raises(BrokerError):
        await connect(amqps(bench, proxy))


def test_a_missing_file_is_named() -> None:
    with pytest.raises(BrokerError, match="the TLS files of amqps://broker:5671/ cannot be read"):
        tls_context(amqp_url("amqps://user:secret@broker/?cafile=/nowhere/ca.pem"))

"""The compose file: it parses, its services fit its configuration, and run with few rights."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import yaml

from checks.configuration import load_deployed, not_reachable, spelled_out
from checks.image import unpinned
from checks.kubernetes import too_short
from checks.rendering import RenderingFailed, one
from checks.verdict import Check, Verdict, judge
from tms_bridge.errors import SettingsError
from tms_bridge.settings.load import Loaded
from tms_bridge.settings.model import Settings
from tms_bridge.settings.network import parse_listens

_SECONDS: Final = re.compile(r"(\d+)s")
_VARIABLE: Final = re.compile(r"\$\{(\w+)(?::[-?]([^}]*))?\}")
_SECRETS_AT: Final = "/run/secrets"
_UNUSABLE: Final = (yaml.YAMLError, msgspec.ValidationError, SettingsError, RenderingFailed, OSError)


class _Build(msgspec.Struct, frozen=True):
    context: str
    dockerfile: str


class _ConfigMount(msgspec.Struct, frozen=True):
    source: str
    target: str


class _Service(msgspec.Struct, frozen=True):
    image: str
    build: _Build | None = None
    environment: dict[str, str] = {}
    ports: tuple[str, ...] = ()
    configs: tuple[_ConfigMount, ...] = ()
    secrets: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    healthcheck: dict[str, object] = {}
    security_opt: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    read_only: bool = False
    stop_grace_period: str = "10s"


class _Config(msgspec.Struct, frozen=True):
    file: str


class _Secret(msgspec.Struct, frozen=True):
    environment: str = ""
    file: str = ""


class _Services(msgspec.Struct, frozen=True):
    rabbitmq: _Service
    bridge: _Service
    prometheus: _Service
    grafana: _Service


class _Compose(msgspec.Struct, frozen=True):
    services: _Services
    configs: dict[str, _Config]
    secrets: dict[str, _Secret]
    volumes: dict[str, object]


class _Subject(msgspec.Struct, frozen=True):
    compose: _Compose
    loaded: Loaded
    directory: Path

    @property
    def settings(self) -> Settings:
        """The bridge's configuration."""
        return self.loaded.settings

    @property
    def services(self) -> dict[str, _Service]:
        """All services, by name."""
        services = self.compose.services
        return {name: getattr(services, name) for name in services.__struct_fields__}


def judge_compose(root: Path) -> Iterator[Verdict]:
    """Check deploy/compose.yaml under the root of a checkout."""
    file = root / "deploy" / "compose.yaml"
    sentence = "compose: it parses, and the bridge's configuration loads"
    try:
        compose = msgspec.convert(yaml.safe_load(file.read_text()), _Compose)
        subject = _Subject(compose, _load(compose, file.parent), file.parent)
    except _UNUSABLE as error:
        yield Verdict(sentence, (str(error),))
        return
    yield Verdict(sentence, ())
    yield from judge("compose", subject, _CHECKS)


def _load(compose: _Compose, directory: Path) -> Loaded:
    bridge = compose.services.bridge
    sources = {mount.source for mount in bridge.configs}
    mounted = tuple(found for name, found in compose.configs.items() if name in sources)
    config = one("config that the bridge mounts", mounted)
    environ = {name: _fill_in(value) for name, value in bridge.environment.items()}
    secrets = frozenset(f"{_SECRETS_AT}/{name}" for name in bridge.secrets)
    return load_deployed((directory / config.file).read_text(), secrets, environ)


def _fill_in(value: str) -> str:
    """Fill in variables as compose would, each with its default or with a stand-in."""
    return _VARIABLE.sub(lambda match: match[2] if ":-" in match[0] else "stand-in", value)


def _pinned(subject: _Subject) -> Iterator[str]:
    for service in subject.services.values():
        yield from unpinned(service.image)


def _rabbitmq_4(subject: _Subject) -> Iterator[str]:
    image = subject.compose.services.rabbitmq.image
    if "rabbitmq:4." not in image:
        yield f"the image is {image}"


def _declared(subject: _Subject) -> Iterator[str]:
    compose = subject.compose
    for name, service in subject.services.items():
        for what, used, known in (
            ("secret", service.secrets, compose.secrets),
            ("config", [mount.source for mount in service.configs], compose.configs),
            ("volume", [name for name, _ in _volumes(service) if "/" not in name], compose.volumes),
        ):
            yield from (
                f"{name} uses the {what} {one}, which is not declared" for one in used if one not in known
            )


def _volumes(service: _Service) -> Iterator[tuple[str, str]]:
    """Yield name or path of each volume, and where it is mounted."""
    for volume in service.volumes:
        name, _, rest = volume.partition(":")
        yield name, rest.partition(":")[0]


def _scraped(subject: _Subject) -> Iterator[str]:
    file = subject.directory / subject.compose.configs["prometheus"].file
    targets = re.findall(r"targets: \[([\w-]+):(\d+)\]", file.read_text())
    for host, port in targets:
        if host not in subject.services:
            yield f"Prometheus scrapes {host}, which is no service"
        ports = {str(found.port) for found in parse_listens(subject.settings.admin.listen)}
        if host == "bridge" and port not in ports:
            yield f"Prometheus calls the bridge at {port}, and admin.listen is at {ports}"
    if "bridge" not in dict(targets):
        yield "Prometheus does not scrape the bridge"


def _provisioned(subject: _Subject) -> Iterator[str]:
    at = {place for _, place in _volumes(subject.compose.services.grafana)}
    if "/etc/grafana/provisioning" not in at:
        yield "Grafana has no provisioning"
    for file in sorted((subject.directory / "compose" / "grafana").rglob("*.yaml")):
        text = file.read_text()
        yield from (
            f"{file.name} names {path}, where nothing is mounted"
            for path in re.findall(r"path: (\S+)", text)
            if path not in at
        )
        yield from (
            f"{file.name} names {host}, which is no service"
            for host in re.findall(r"url: http://([\w-]+)", text)
            if host not in subject.services
        )


def _built(subject: _Subject) -> Iterator[str]:
    build = subject.compose.services.bridge.build
    if build is None or not (subject.directory / build.context / build.dockerfile).is_file():
        yield f"the bridge's build is {build}, where no Dockerfile is"


def _restricted(subject: _Subject) -> Iterator[str]:
    bridge = subject.compose.services.bridge
    wanted = {
        "the bridge's root file system can be written: read_only": bridge.read_only,
        "the bridge keeps capabilities: cap_drop": bridge.cap_drop == ("ALL",),
    }
    for name, service in subject.services.items():
        wanted[f"{name} may gain privileges: security_opt"] = "no-new-privileges:true" in service.security_opt
    yield from (complaint for complaint, holds in wanted.items() if not holds)


def _health(subject: _Subject) -> Iterator[str]:
    for name, service in subject.services.items():
        if not service.healthcheck:
            yield f"{name} has no healthcheck"
    if subject.compose.services.bridge.healthcheck.get("test") != ["CMD", "tms-bridge", "live"]:
        yield "the bridge's healthcheck is not `tms-bridge live`, so a broker outage could count against it"


def _kept(subject: _Subject) -> Iterator[str]:
    outbox = subject.settings.outbox
    places = [volume.split(":")[1] for volume in subject.compose.services.bridge.volumes]
    if outbox is None or not any(Path(outbox.dir).is_relative_to(place) for place in places):
        yield f"outbox.dir is {outbox.dir if outbox else 'missing'}, and the volumes are at {places}"


def _ports(subject: _Subject) -> Iterator[str]:
    published = [port.rpartition(":")[2] for port in subject.compose.services.bridge.ports]
    for key, listen in (("http", subject.settings.http.listen), ("admin", subject.settings.admin.listen)):
        if not any(not list(not_reachable(key, listen, int(port))) for port in published):
            yield f"{key}.listen is {listen}, and the published ports are {published}"


def _grace(subject: _Subject) -> Iterator[str]:
    written = subject.compose.services.bridge.stop_grace_period
    seconds = _SECONDS.fullmatch(written)
    if seconds is None:
        yield f"write stop_grace_period in whole seconds, not {written}"
    else:
        yield from too_short(float(seconds[1]), subject.settings)


def _explained(subject: _Subject) -> Iterator[str]:
    text = (subject.directory / "compose.yaml").read_text()
    asked = {match[1] for match in _VARIABLE.finditer(text)}
    asked |= {secret.environment for secret in subject.compose.secrets.values() if secret.environment}
    example = (subject.directory / ".env.example").read_text()
    named = {line.partition("=")[0] for line in example.splitlines() if "=" in line}
    yield from (f"{name} is not in .env.example" for name in sorted(asked - named))


def _secret_values(subject: _Subject) -> Iterator[str]:
    yield from spelled_out(subject.loaded)
    for name, service in subject.services.items():
        for variable, value in service.environment.items():
            if "PASS" in variable and not variable.endswith("_FILE") and not _VARIABLE.search(value):
                yield f"{name}: {variable} holds the password itself"


_CHECKS: Final[tuple[Check[_Subject], ...]] = (
    ("every image is pinned by a tag", _pinned),
    ("the broker is RabbitMQ 4", _rabbitmq_4),
    ("the Dockerfile that it builds is there", _built),
    ("what the services use is declared", _declared),
    ("every variable that it asks for is in .env.example", _explained),
    ("no secret value is committed", _secret_values),
    ("the services run with few rights", _restricted),
    ("all have a healthcheck, and the bridge's does not depend on the broker", _health),
    ("the outbox lies on a volume", _kept),
    ("Prometheus scrapes what is there", _scraped),
    ("Grafana is provisioned from what is mounted", _provisioned),
    ("the configuration listens on the published ports", _ports),
    ("the grace period outlasts delay, last requests and drain", _grace),
)

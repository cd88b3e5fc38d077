from pathlib import Path

import pytest

from checks.compose import judge_compose

LOADS = "it parses, and the bridge's configuration loads"
PORTS = "the configuration listens on the published ports"
GRACE = "the grace period outlasts delay, last requests and drain"
RIGHTS = "the services run with few rights"
HEALTH = "all have a healthcheck, and the bridge's does not depend on the broker"
DECLARED = "what the services use is declared"
SECRETS = "no secret value is committed"
COMPOSE = "compose.yaml"
TOML = "compose/tms-bridge.toml"

BREAKAGES = [
    (COMPOSE, "services:", "services: [", LOADS),
    (COMPOSE, "  bridge:\n", "  other:\n", LOADS),
    (COMPOSE, "source: tms-bridge", "source: other", LOADS),
    (COMPOSE, "file: compose/tms-bridge.toml", "file: compose/missing.toml", LOADS),
    (COMPOSE, "AMQP_URL:", "BROKER_URL:", LOADS),
    (COMPOSE, "secrets: [tms-password, admin-token]", "secrets: [tms-password]", LOADS),
    (TOML, "[http]", "[htp]", LOADS),
    (COMPOSE, "tms-bridge:0.1.0", "tms-bridge", "every image is pinned by a tag"),
    (COMPOSE, "rabbitmq:4.2-management", "rabbitmq:3.13-management", "the broker is RabbitMQ 4"),
    (COMPOSE, "deploy/Dockerfile", "Dockerfile", "the Dockerfile that it builds is there"),
    (COMPOSE, "  tms-password:\n    environment: TMS_PASSWORD\n", "", DECLARED),
    (COMPOSE, "  rabbitmq:\n  outbox:\n", "  rabbitmq:\n", DECLARED),
    ("compose/prometheus.yml", "bridge:8081", "bridge:8082", "Prometheus scrapes what is there"),
    ("compose/prometheus.yml", "rabbitmq:15692", "broker:15692", "Prometheus scrapes what is there"),
    (
        COMPOSE,
        "./monitoring:/var/lib/grafana/dashboards:ro",
        "./monitoring:/dashboards:ro",
        "Grafana is provisioned from what is mounted",
    ),
    (
        COMPOSE,
        "RABBITMQ_DEFAULT_PASS: ${RABBITMQ_PASSWORD:?set it in deploy/.env}",
        "RABBITMQ_DEFAULT_PASS: x",
        SECRETS,
    ),
    (".env.example", "ADMIN_TOKEN=", "", "every variable that it asks for is in .env.example"),
    (".env.example", "TMS_BRIDGE_PORT=", "", "every variable that it asks for is in .env.example"),
    (TOML, "${file:/run/secrets/tms-password}", "secret", SECRETS),
    (COMPOSE, "read_only: true", "read_only: false", RIGHTS),
    (COMPOSE, "cap_drop: [ALL]", "cap_drop: [NET_RAW]", RIGHTS),
    (COMPOSE, "security_opt: [no-new-privileges:true]", "security_opt: []", RIGHTS),
    (COMPOSE, "tms-bridge, live]", "tms-bridge, check, --online]", HEALTH),
    (
        COMPOSE,
        "    healthcheck:\n      test: [CMD, rabbitmq-diagnostics",
        "    other:\n      test: [CMD, rabbit",
        HEALTH,
    ),
    (COMPOSE, "outbox:/var/lib/tms-bridge", "outbox:/var/lib/elsewhere", "the outbox lies on a volume"),
    (TOML, '[outbox]\ndir = "/var/lib/tms-bridge/outbox"', "", "the outbox lies on a volume"),
    (TOML, 'listen = "0.0.0.0:8080"', 'listen = "0.0.0.0:9090"', PORTS),
    (TOML, 'listen = "0.0.0.0:8081"', 'listen = "127.0.0.1:8081"', PORTS),
    (COMPOSE, "stop_grace_period: 45s", "stop_grace_period: 25s", GRACE),
    (COMPOSE, "stop_grace_period: 45s", "stop_grace_period: 1m", GRACE),
]


def failures(checkout: Path) -> list[str]:
    return [verdict.sentence for verdict in judge_compose(checkout) if verdict.complaints]


def test_the_compose_file_passes(checkout: Path) -> None:
    assert [] == failures(checkout)


@pytest.mark.parametrize(("file", "old", "new", "sentence"), BREAKAGES)
def test_a_broken_compose_file_is_found(checkout: Path, file: str, old: str, new: str, sentence: str) -> None:
    path = checkout / "deploy" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    assert [f"compose: {sentence}"] == failures(checkout)

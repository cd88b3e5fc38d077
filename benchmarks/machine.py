"""On what it was measured."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from installation import Installation
from rabbitmq4 import version_of
from receivers import BUILD, ROOT

_RIVALS = ("fastapi", "faststream", "uvicorn")
_NODE_RIVALS = ("fastify", "amqplib")


def facts(installation: Installation) -> dict[str, str]:
    """Return the machine and the versions, as the tables show them."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores, shared by load, receiver and broker",
        "memory": f"{memory_gib:.0f} GiB",
        "other work": f"load average {os.getloadavg()[0]:.1f} when it began",
        "system": f"{_system()}, Linux {platform.release()}",
        "RabbitMQ": version_of(installation),
        "Python": f"{platform.python_version()}, {_versions('aiohttp', 'aio-pika', 'uvloop', 'msgspec')}",
        "FastAPI + FastStream": _rival_versions(),
        "Node": f"{_say('node', '--version')}, {_node_versions()}",
        "commit": _say("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"),
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "unknown")


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return platform.system()


def _versions(*names: str) -> str:
    return ", ".join(f"{name} {version(name)}" for name in names)


def _rival_versions() -> str:
    code = (
        "import importlib.metadata as m, sys; print(', '.join(f'{n} {m.version(n)}' for n in sys.argv[1:]))"
    )
    return _say(str(BUILD / "venv/bin/python"), "-c", code, *_RIVALS)


def _node_versions() -> str:
    code = "for (const n of %s) console.log(n, require(`./node_modules/${n}/package.json`).version)"
    return _say("node", "-e", code % list(_NODE_RIVALS)).replace("\n", ", ")


def _say(*command: str) -> str:
    done = subprocess.run(command, cwd=BUILD / "node", capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"

"""Which generation of RabbitMQ a node is of: the system's own, or the one that is asked for."""

import os

from installation import DockerInstallation, Installation, docker_answers, provide_installation
from packages import NotInstalledError
from rabbitmq4 import provide_rabbitmq4

SERIES = "RABBITMQ_SERIES"
"""The environment variable: `4` asks for RabbitMQ 4, unset or `3` for the system's own."""


def choose_installation(series: str | None = None) -> Installation:
    """Return the RabbitMQ that is asked for, installing it first if need be.

    Args:
        series: `3` or `4`; what the environment says where it is not given.

    Raises:
        NotInstalledError: it could not be installed, or nobody knows how; the text says what to do.
    """
    series = series or os.environ.get(SERIES) or "3"
    if series == "3":
        return provide_installation()
    if series != "4":
        raise NotInstalledError(f"{SERIES}={series}: set it to 3 or 4, or leave it out")
    try:
        return provide_rabbitmq4()
    except NotInstalledError:
        if docker_answers():
            return DockerInstallation()
        raise

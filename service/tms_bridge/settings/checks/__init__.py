"""What the types of a configuration cannot say: how its values must look, and how they must fit together."""

from tms_bridge.settings.checks import amqp, listeners, sources
from tms_bridge.settings.model import Settings
from tms_bridge.settings.problem import Mistake


def find_problems(settings: Settings) -> list[Mistake]:
    """Return everything that keeps these settings from being used."""
    return [
        *listeners.find_problems(settings),
        *amqp.find_problems(settings.amqp),
        *sources.find_problems(settings),
    ]

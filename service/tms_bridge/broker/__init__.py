"""Connects, declares, publishes; translates AMQP outcomes into ours."""

from tms_bridge.broker.supervisor import Supervisor

__all__ = ["Supervisor"]

"""Connects, declares, publishes; translates AMQP outcomes into ours."""

"""One stream of log lines on standard output."""

from tms_bridge.log.logger import Line, Log, Logger, without_addresses, without_passwords

__all__ = ["Line", "Log", "Logger", "without_addresses", "without_passwords"]

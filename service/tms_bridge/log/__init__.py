"""One stream of log lines on standard output."""

from tms_bridge.log.logger import Log, Logger, without_passwords

__all__ = ["Log", "Logger", "without_passwords"]

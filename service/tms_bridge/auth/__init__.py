"""Pure: client address, allowlist, credentials, PROXY protocol, and what wrong credentials cost."""

from tms_bridge.auth.throttle import Throttle

__all__ = ["Throttle"]

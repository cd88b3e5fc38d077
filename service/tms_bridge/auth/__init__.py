"""Pure: client address, allowlist, credentials (a `Gate` is all three for a source), what wrong ones cost."""

from tms_bridge.auth.gate import Admission, Gate, Verdict
from tms_bridge.auth.throttle import Throttle

__all__ = ["Admission", "Gate", "Throttle", "Verdict"]

"""Pure: client address, allowlist, credentials. A `Gate` is all three for one source."""

from tms_bridge.auth.gate import Admission, Gate, Verdict

__all__ = ["Admission", "Gate", "Verdict"]

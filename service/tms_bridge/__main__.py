"""`python -m tms_bridge` is the same as `tms-bridge`."""

import sys

from tms_bridge.cli import main

if __name__ == "__main__":
    sys.exit(main())

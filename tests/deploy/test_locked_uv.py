import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "deploy" / "docker" / "locked_uv.py"
LOCK = """
[[package]]
name = "tms-bridge"
version = "0.1.0"

[[package]]
name = "uv"
version = "1.2.3"
wheels = [
    { url = "https://example.com/one.whl", hash = "sha256:11" },
    { url = "https://example.com/two.whl", hash = "sha256:22" },
]
"""


def test_the_uv_of_the_lock_is_required_with_every_hash(tmp_path: Path) -> None:
    lock = tmp_path / "uv.lock"
    lock.write_text(LOCK)
    done = subprocess.run([sys.executable, SCRIPT, lock], capture_output=True, text=True, check=True)
    assert "uv==1.2.3 --hash=sha256:11 --hash=sha256:22\n" == done.stdout

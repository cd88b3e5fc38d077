"""A real HAProxy or nginx in front of several bridges."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

from bridge import Address
from janitor import Janitor
from packages import find_front
from ports import free_port
from program import Program

Kind = Literal["haproxy", "nginx"]
Spread = Literal["uri", "roundrobin"]
"""To which replica a call goes: all calls of one path to the same, or to each in turn."""

# Both try the next replica only where no byte of a request was sent. HAProxy asks each whether it is ready;
# this nginx cannot, and learns by a failed connect.
_HAPROXY: Final = """\
defaults
  mode http
  timeout connect 2s
  timeout check 2s
  timeout client 30s
  timeout server 8s
  retries 3
  option redispatch 1
frontend tms
  bind 127.0.0.1:{port}
  default_backend bridges
backend bridges
  {spread}
  option httpchk GET /readyz
  default-server check inter 200ms fall 1 rise 1 observe layer4
{servers}
"""
_NGINX: Final = """\
daemon off;
error_log stderr warn;
pid {directory}/nginx.pid;
events {{}}
http {{
  access_log off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  upstream bridges {{
    {spread}
{servers}
  }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://bridges;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_connect_timeout 2s;
      proxy_read_timeout 8s;
    }}
  }}
}}
"""
_SERVERS: Final = {
    "haproxy": "  server b{at} 127.0.0.1:{port}",
    "nginx": "    server 127.0.0.1:{port} max_fails=1 fail_timeout=1s;",
}
_SPREADS: Final = {
    ("haproxy", "uri"): "balance uri\n  hash-type consistent",
    ("haproxy", "roundrobin"): "balance roundrobin",
    ("nginx", "uri"): "hash $request_uri consistent;",
    ("nginx", "roundrobin"): "# each in turn, as nginx does it where nothing is said",
}


class Proxy(Program):
    """HAProxy or nginx in front of the bridges."""

    title = "the proxy"

    def __init__(self, kind: Kind, spread: Spread, addresses: Sequence[Address]) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="tms-proxy-"))
        super().__init__(Janitor(self._directory))
        self.port = free_port()
        file = self._directory / f"{kind}.conf"
        servers = (_SERVERS[kind].format(at=at, port=each.port) for at, each in enumerate(addresses))
        template = _HAPROXY if kind == "haproxy" else _NGINX
        file.write_text(
            template.format(
                port=self.port,
                directory=self._directory,
                spread=_SPREADS[kind, spread],
                servers="\n".join(servers),
            )
        )
        if kind == "haproxy":
            self._command = [str(find_front(kind)), "-db", "-f", str(file)]
        else:
            self._command = [str(find_front(kind)), "-e", "stderr", "-c", str(file)]

    @property
    def log(self) -> str:
        """What it has said."""
        path = self._directory / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        output = self._directory / "log"
        self._process = self._janitor.spawn(self._command, env=os.environ, cwd=self._directory, output=output)
        self.wait_ready(timeout_s=10.0)

    def is_ready(self) -> bool:
        """Tell whether it listens."""
        table = Path("/proc/net/tcp").read_text()
        return f"0100007F:{self.port:04X} 00000000:0000 0A" in table

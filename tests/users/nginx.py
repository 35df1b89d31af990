"""An nginx in front of files, fixed answers and an event stream, over TCP and TLS, and what it has logged."""

from __future__ import annotations

import grp
import json
import os
import pwd
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme

BINARY = "/usr/sbin/nginx"
LIMIT_BYTES = 64 * 1024
REDIRECTS = (301, 302, 303, 307, 308)

_CONF = """
daemon off; user {user} {group}; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  log_format seen escape=json '{{"id":"$http_x_correlation_id","status":$status,"method":"$request_method",'
    '"uri":"$request_uri","connection":$connection,"sent":$body_bytes_sent,"received":$request_length}}';
  access_log {folder}/access.log seen;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  client_max_body_size 100k; keepalive_requests 1000000; default_type application/json;
  server {{
    listen 127.0.0.1:{ports[plain]};
    listen 127.0.0.1:{ports[trusted]} ssl;
    ssl_certificate {folder}/trusted.pem; ssl_certificate_key {folder}/trusted.pem;
    root {folder};
    location /json {{ return 200 '{{"quality_score":0.5}}'; }}
    location /none {{ return 204; }}
    location /teapot {{ return 418; }}
    location /broken {{ return 500; }}
    location /loop {{ return 302 /loop; }}
    {redirects}
    location /packed/ {{ alias {folder}/files/; gzip on; gzip_types application/json; gzip_min_length 1; }}
    location /chunked/ {{ alias {folder}/files/; sub_filter x y; sub_filter_once off; sub_filter_types *; }}
    location /events {{
      proxy_pass {upstream}; proxy_buffering off; proxy_http_version 1.1; proxy_set_header Connection "";
    }}
    {locations}
  }}
  server {{
    listen 127.0.0.1:{ports[self_signed]} ssl; ssl_certificate {folder}/self_signed.pem;
    ssl_certificate_key {folder}/self_signed.pem; location / {{ return 200 '{{}}'; }}
    {locations}
  }}
  server {{
    listen 127.0.0.1:{ports[wrong_host]} ssl; ssl_certificate {folder}/wrong_host.pem;
    ssl_certificate_key {folder}/wrong_host.pem; location / {{ return 200 '{{}}'; }}
    {locations}
  }}
}}
"""


@dataclass
class Nginx:
    """An nginx that runs; ``ports`` by what is behind them, ``authority`` is the file of its test CA."""

    folder: Path
    ports: dict[str, int]

    @property
    def authority(self) -> Path:
        """The certificate of the CA that is to be trusted."""
        return self.folder / "authority.pem"

    @property
    def address(self) -> str:
        """Its URL without TLS."""
        return f"http://127.0.0.1:{self.ports['plain']}"

    def urls(self) -> dict[str, str]:
        """Return the URLs with TLS."""
        return {name: f"https://127.0.0.1:{port}" for name, port in self.ports.items()}

    def seen(self) -> list[dict[str, Any]]:
        """Return each request it has answered."""
        lines = (self.folder / "access.log").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]


def passed_on(place: str, port: int, idle: str = "60s") -> str:
    """Return a location that passes WebSockets below *place* on to *port*, and ends those that are *idle*."""
    return (
        f"location {place}/ {{ proxy_pass http://127.0.0.1:{port}/; proxy_http_version 1.1; "
        'proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; '
        f"proxy_read_timeout {idle}; }}"
    )


@contextmanager
def running(folder: Path, ports: list[int], upstream: str, locations: str = "") -> Iterator[Nginx]:
    """Run an nginx in *folder* on four *ports*.

    ``/events`` is passed on to *upstream*; *locations* are more of them, for all ports.
    """
    nginx = Nginx(folder, dict(zip(("plain", "trusted", "self_signed", "wrong_host"), ports, strict=True)))
    _certify(folder)
    _write_files(folder / "files")
    redirects = "\n".join(f"location /moved/{code} {{ return {code} /json; }}" for code in REDIRECTS)
    conf = _CONF.format(
        folder=folder, ports=nginx.ports, redirects=redirects, upstream=upstream, locations=locations,
        **_owner(),
    )  # fmt: skip
    (folder / "nginx.conf").write_text(conf, encoding="utf-8")
    folder.chmod(0o755)
    command = [BINARY, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            yield nginx if process.poll() is None else _fail(folder)
        finally:
            process.terminate()


def _owner() -> dict[str, str]:
    """Return who may read the files: started by root, nginx would be somebody else."""
    return {"user": pwd.getpwuid(os.getuid()).pw_name, "group": grp.getgrgid(os.getgid()).gr_name}


def _certify(folder: Path) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    for name, ca, host in (
        ("trusted", authority, "127.0.0.1"),
        ("wrong_host", authority, "example.org"),
        ("self_signed", stranger, "127.0.0.1"),
    ):
        ca.issue_cert(host).private_key_and_cert_chain_pem.write_to_path(folder / f"{name}.pem")


def _write_files(folder: Path) -> None:
    folder.mkdir()
    for name, size in (("exact", LIMIT_BYTES), ("above", LIMIT_BYTES + 1)):
        (folder / f"{name}.json").write_text(json.dumps("x" * (size - 2)), encoding="ascii")


def _fail(folder: Path) -> Nginx:
    raise AssertionError((folder / "error.log").read_text(encoding="utf-8"))

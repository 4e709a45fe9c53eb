"""Runs the audit server: on loopback, or, with TLS and a name, on another address of this machine.

Enters: a data set, where to listen. Leaves: a running server until it is stopped. Refuses: a port that is taken, and
any address but loopback without a certificate and the name under which browsers reach it.
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curation.audit.server import application
from t3dkit.errors import ConfigError
from t3dkit.progress import Progress

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Place:
    """Where the audit listens.

    Parameters
    ----------
    port : int
        0 takes a free one.
    host : str
        An IP address of this machine.
    name : str or None
        The host name in the browser's address, where it is not `host`.
    certificate, certificate_key : Path or None
        PEM files; with them the pages are served over TLS.
    """

    port: int = 0
    host: str = LOOPBACK
    name: str | None = None
    certificate: Path | None = None
    certificate_key: Path | None = None

    @property
    def has_tls(self) -> bool:
        """Whether a certificate was given."""
        return self.certificate is not None


def require_safe(place: Place) -> None:
    """Check that nobody but this machine's user, or who holds the token over TLS, can reach the pages.

    Raises
    ------
    ConfigError
        The host is no IP address, is not loopback and has no certificate, or is a wildcard without a name; or the
        certificate or its key cannot be read.
    """
    try:
        address = ipaddress.ip_address(place.host)
    except ValueError:
        raise ConfigError(f"--host wants an IP address of this machine, found {place.host!r}") from None
    if not address.is_loopback and not place.has_tls:
        raise ConfigError(
            f"{place.host} is not loopback: reports would cross the network in clear. Give --tls-cert and --tls-key, "
            f"or stay on {LOOPBACK} and reach it through an SSH tunnel"
        )
    if address.is_unspecified and not place.name:
        raise ConfigError(f"{place.host} is every address: give the host name that browsers use with --name")
    if place.has_tls:
        _require_certificate(place)


def serve_audit(root: Path, *, place: Place, progress: Progress) -> dict[str, Any]:
    """Serve the audit until SIGINT or SIGTERM.

    Raises
    ------
    ConfigError
        The place is not safe or taken, or `root` is no data set.
    """
    import uvicorn

    require_safe(place)
    token = secrets.token_urlsafe(24)
    scheme = "https" if place.has_tls else "http"
    with _bound(place) as listener:
        port = listener.getsockname()[1]
        names = (place.name,) if place.name else ("127.0.0.1", "localhost") if _is_local(place) else (place.host,)
        app = application(root, token=token, port=port, names=names, scheme=scheme)
        progress.say(f"audit: open {scheme}://{names[0]}:{port}/?token={token}   (Ctrl-C stops it)")
        tls = {"ssl_certfile": place.certificate, "ssl_keyfile": place.certificate_key} if place.has_tls else {}
        config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, **tls)  # type: ignore[arg-type]
        uvicorn.Server(config).run(sockets=[listener])
    return {"served": root.name, "port": port}


def _is_local(place: Place) -> bool:
    return place.host == LOOPBACK


def _require_certificate(place: Place) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(str(place.certificate), place.certificate_key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"the certificate or its key cannot be used ({type(error).__name__}): give PEM files"
        ) from None


def _bound(place: Place) -> socket.socket:
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((place.host, place.port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise ConfigError(f"port {place.port} cannot be used ({error}): choose another with --port") from None
    return listener

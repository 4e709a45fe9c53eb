"""Runs the audit server on loopback.

Enters: a data set, a port. Leaves: a running server until it is stopped. Refuses: a port that is taken.
"""

from __future__ import annotations

import secrets
import socket
from pathlib import Path
from typing import Any

from curation.audit.server import application
from t3dkit.errors import ConfigError
from t3dkit.progress import Progress

LOOPBACK = "127.0.0.1"


def serve_audit(root: Path, *, port: int, progress: Progress) -> dict[str, Any]:
    """Serve the audit until SIGINT or SIGTERM; port 0 takes a free one.

    Raises
    ------
    ConfigError
        The port is taken, or `root` is no data set.
    """
    import uvicorn

    token = secrets.token_urlsafe(24)
    with _bound(port) as listener:
        port = listener.getsockname()[1]
        app = application(root, token=token, port=port)
        progress.say(f"audit: open http://{LOOPBACK}:{port}/?token={token}   (Ctrl-C stops it)")
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
        server.run(sockets=[listener])
    return {"served": root.name, "port": port}


def _bound(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise ConfigError(f"port {port} cannot be used ({error}): choose another with --port") from None
    return listener

"""The audit server: a Starlette application that serves pages, slices and takes verdicts.

Enters: requests from this machine that carry the token. Leaves: HTML, PNG, JSON. Refuses: a request without the
token, with a foreign Host or Origin header, or for anything but the data set's own pairs and volumes.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from curation.audit.casebook import Casebook
from curation.audit.pages import Filter, case_page, drops_page, worklist_page
from curation.audit.slices import PLANES, WINDOWS, slice_png, thumbnail_png
from curation.audit.verdicts import VerdictStore
from curation.contract import Dataset
from volumes.nifti import read_volume

COOKIE = "t3dkit_audit"
POLICY = (
    "default-src 'none'; img-src 'self'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_ASSETS = {"audit.js": "text/javascript", "audit.css": "text/css", "icon.svg": "image/svg+xml"}
_VOLUMES_OPEN = 8
MAX_NOTE_CHARS = 4000

Next = Callable[[Request], Awaitable[Response]]


class Guard(BaseHTTPMiddleware):
    """Token, Host and Origin, checked before anything else; the content policy on every answer."""

    def __init__(self, app: Starlette, *, token: str, hosts: tuple[str, ...]) -> None:
        super().__init__(app)
        self._token, self._hosts = token, hosts

    async def dispatch(self, request: Request, call_next: Next) -> Response:
        """Refuse, exchange the token for a cookie, or pass the request on."""
        answer = self._refusal(request) or self._exchange(request) or await call_next(request)
        answer.headers.update(HEADERS)
        if "cache-control" not in answer.headers:
            answer.headers["Cache-Control"] = "no-store"
        return answer

    def _refusal(self, request: Request) -> Response | None:
        if request.headers.get("host", "") not in self._hosts:
            return Response("foreign Host header", status_code=421)
        origin = request.headers.get("origin")
        if origin is not None and origin.removeprefix("http://") not in self._hosts:
            return Response("foreign Origin header", status_code=403)
        if request.method != "GET" and origin is None:
            return Response("a change needs an Origin header", status_code=403)
        given = request.query_params.get("token") or request.cookies.get(COOKIE) or ""
        if not secrets.compare_digest(given.encode(), self._token.encode()):
            return Response("open the address that the audit printed: it carries the token", status_code=401)
        return None

    def _exchange(self, request: Request) -> Response | None:
        if "token" not in request.query_params:
            return None
        answer = RedirectResponse(request.url.path, status_code=303)
        answer.set_cookie(COOKIE, self._token, httponly=True, samesite="strict")
        return answer


class VolumeShelf:
    """Volumes opened for slicing, the least recently used put back first."""

    def __init__(self, book: Casebook) -> None:
        self._book = book
        self._open: OrderedDict[str, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def voxels(self, volume_id: str) -> np.ndarray:
        """The voxels of a volume of the data set.

        Raises
        ------
        KeyError
            The data set has no such volume.
        """
        row = self._book.volumes[volume_id]
        with self._lock:
            if volume_id not in self._open:
                self._open[volume_id] = read_volume(self._book.dataset.volume_path(row))[0]
            self._open.move_to_end(volume_id)
            while len(self._open) > _VOLUMES_OPEN:
                self._open.popitem(last=False)
            return self._open[volume_id]


class Audit:
    """The handlers; one per route."""

    def __init__(self, root: Path) -> None:
        self.book = Casebook(Dataset.open(root))
        self.store = VerdictStore(root)
        self.shelf = VolumeShelf(self.book)
        self._writing = threading.Lock()

    def worklist(self, request: Request) -> Response:
        """The worklist, narrowed by the query."""
        asked = request.query_params
        page = asked.get("page", "1")
        narrowed = Filter(
            verdict=asked.get("verdict", ""),
            flag=asked.get("flag", ""),
            split=asked.get("split", ""),
            words=asked.get("words", ""),
            page=max(1, int(page)) if page.isdecimal() and len(page) < 9 else 1,
        )
        return HTMLResponse(worklist_page(self.book, self.store.latest(), narrowed=narrowed))

    def case(self, request: Request) -> Response:
        """One pair."""
        case = self.book.case(request.path_params["pair_id"])
        if case is None:
            raise HTTPException(404, "no such pair")
        return HTMLResponse(case_page(self.book, case, self.store.history(case.pair["pair_id"])))

    def drops(self, request: Request) -> Response:
        """What was dropped and why."""
        return HTMLResponse(drops_page(self.book))

    def slice(self, request: Request) -> Response:
        """One slice as PNG."""
        plane, window = request.path_params["plane"], request.query_params.get("window", "soft")
        if plane not in PLANES or window not in WINDOWS:
            raise HTTPException(404, "no such plane or window")
        png = slice_png(self._voxels(request), plane=plane, index=request.path_params["index"], window=window)
        return Response(png, media_type="image/png", headers={"Cache-Control": "private, max-age=600"})

    def thumbnail(self, request: Request) -> Response:
        """The middle coronal slice, small."""
        spacing = tuple(self.book.volumes[request.path_params["volume_id"]]["spacing_mm"])
        png = thumbnail_png(self._voxels(request), spacing)
        return Response(png, media_type="image/png", headers={"Cache-Control": "private, max-age=600"})

    async def verdict(self, request: Request) -> Response:
        """Record a verdict, or take the latest one back."""
        pair_id = request.path_params["pair_id"]
        if pair_id not in self.book.pairs:
            raise HTTPException(404, "no such pair")
        try:
            asked = await request.json()
            verdict, note, reader = (asked.get(name, "") for name in ("verdict", "note", "reader"))
        except (ValueError, AttributeError):
            raise HTTPException(400, "expected a JSON object") from None
        if not all(isinstance(value, str) and len(value) <= MAX_NOTE_CHARS for value in (verdict, note, reader)):
            raise HTTPException(400, f"verdict, note and reader are texts of at most {MAX_NOTE_CHARS} characters")
        try:
            current = await run_in_threadpool(self._decide, pair_id, verdict, reader, note)
        except ValueError as error:
            raise HTTPException(400, str(error)) from None
        return JSONResponse({"pair_id": pair_id, "verdict": current})

    def asset(self, request: Request) -> Response:
        """The page's own script and style."""
        name = request.path_params["name"]
        if name not in _ASSETS:
            raise HTTPException(404, "no such asset")
        content = files("curation.audit").joinpath("assets", name).read_text(encoding="utf-8")
        return Response(content, media_type=_ASSETS[name])

    def _decide(self, pair_id: str, verdict: str, reader: str, note: str) -> str | None:
        with self._writing:  # so that the verdicts published last are the newest
            if verdict == "undo":
                return self.store.undo(pair_id, reader=reader)
            self.store.decide(pair_id, verdict, reader=reader, note=note)
            return verdict

    def _voxels(self, request: Request) -> np.ndarray:
        try:
            return self.shelf.voxels(request.path_params["volume_id"])
        except KeyError:
            raise HTTPException(404, "no such volume") from None


def application(root: Path, *, token: str, port: int) -> Starlette:
    """The audit of the data set at `root` as an ASGI application that answers on loopback names only."""
    audit = Audit(root)
    hosts = tuple(f"{name}:{port}" for name in ("127.0.0.1", "localhost"))
    return Starlette(
        routes=[
            Route("/", audit.worklist),
            Route("/case/{pair_id}", audit.case),
            Route("/drops", audit.drops),
            Route("/slice/{volume_id}/{plane}/{index:int}.png", audit.slice),
            Route("/thumbnail/{volume_id}.png", audit.thumbnail),
            Route("/verdict/{pair_id}", audit.verdict, methods=["POST"]),
            Route("/assets/{name}", audit.asset),
        ],
        middleware=[Middleware(Guard, token=token, hosts=hosts)],  # type: ignore[arg-type]
    )

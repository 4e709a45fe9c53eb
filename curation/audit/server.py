"""The audit server: a Starlette application that serves pages, slices and takes verdicts.

Enters: requests from this machine that carry the token. Leaves: HTML, PNG, JSON. Refuses: a request without the
token, with a foreign Host or Origin header, or for anything but the data set's own pairs and volumes.
"""

from __future__ import annotations

import json
import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote, unquote

import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from curation.audit.casebook import Casebook
from curation.audit.crops import MAX_SIZE_VOX, NoCropsError, crop_png, draws_of
from curation.audit.lists import (
    agreement_page,
    distributions_page,
    drops_page,
    sample_page,
    verdicts_of,
    worklist_page,
)
from curation.audit.pages import Following, case_page
from curation.audit.slices import PLANES, WINDOWS, slice_png, thumbnail_png
from curation.audit.verdicts import VerdictStore
from curation.audit.viewer import viewer_script
from curation.audit.worklist import FACETS, Filter
from curation.contract import Dataset, private_folder
from t3dkit.errors import DataError
from volumes.errors import VolumeError
from volumes.nifti import read_volume

COOKIE, READER_COOKIE = "t3dkit_audit", "t3dkit_reader"
POLICY = (
    "default-src 'none'; img-src 'self' data:; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Pictures may be data: addresses, since NiiVue holds its letters in one; a picture runs nothing and asks nobody."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_ASSETS = {
    "audit.js": "text/javascript",
    "viewer.js": "text/javascript",
    "lists.js": "text/javascript",
    "audit.css": "text/css",
    "icon.svg": "image/svg+xml",
}
_VOLUMES_OPEN = 8
MAX_NOTE_CHARS, MAX_READER_CHARS, MAX_WORDS_CHARS = 4000, 40, 200

Next = Callable[[Request], Awaitable[Response]]


class AccessLog:
    """Who asked for which page and when: pseudonyms only, in the private folder, a line of JSON each.

    The query is left out, since it may hold words of a report, and so is the path of a refused request, since a
    stranger wrote it. Slices, volumes and other pictures are not logged:
    opening the case is.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        self._path = path

    def write(self, request: Request, status: int, *, is_refused: bool) -> None:
        """Add a line."""
        path = request.url.path
        if path.startswith(("/slice/", "/thumbnail/", "/volume/", "/crops/", "/crop/", "/assets/")):
            return
        at = datetime.now(UTC).isoformat(timespec="seconds")
        known = not is_refused and status < 400
        entry = {"at": at, "reader": _reader(request) if known else "", "method": request.method,
                 "path": path if known else "", "status": status}  # fmt: skip
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


class Guard(BaseHTTPMiddleware):
    """Token, Host and Origin, checked before anything else; the content policy on every answer."""

    def __init__(self, app: Starlette, *, token: str, hosts: tuple[str, ...], scheme: str, log: AccessLog) -> None:
        super().__init__(app)
        self._token, self._hosts, self._scheme, self._log = token, hosts, scheme, log

    async def dispatch(self, request: Request, call_next: Next) -> Response:
        """Refuse, exchange the token for a cookie, or pass the request on."""
        refusal = self._refusal(request)
        answer = refusal or self._exchange(request) or await call_next(request)
        self._log.write(request, answer.status_code, is_refused=refusal is not None)
        answer.headers.update(HEADERS)
        if "cache-control" not in answer.headers:
            answer.headers["Cache-Control"] = "no-store"
        return answer

    def _refusal(self, request: Request) -> Response | None:
        if request.headers.get("host", "") not in self._hosts:
            return Response("foreign Host header", status_code=421)
        origin = request.headers.get("origin")
        if origin is not None and origin.removeprefix(f"{self._scheme}://") not in self._hosts:
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
        is_secure = self._scheme == "https"
        answer.set_cookie(COOKIE, self._token, httponly=True, samesite="strict", secure=is_secure)
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
        with self._lock:
            if volume_id not in self._open:
                row = self._book.volume(volume_id)
                if row is None:
                    raise KeyError(volume_id)
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
        self.book.worklist.facets  # noqa: B018 - built before the first request waits for it
        self._writing, self._drawing = threading.Lock(), threading.Lock()

    def worklist(self, request: Request) -> Response:
        """The worklist, narrowed by the query."""
        return HTMLResponse(worklist_page(self.book, self.store, narrowed=_filter(request), page=_page(request)))

    def sheet(self, request: Request) -> Response:
        """The contact sheet of the same list."""
        page = worklist_page(self.book, self.store, narrowed=_filter(request), page=_page(request), is_sheet=True)
        return HTMLResponse(page)

    def distributions(self, request: Request) -> Response:
        """Bars that lead to their cases."""
        return HTMLResponse(distributions_page(self.book, self.store, narrowed=_filter(request)))

    def sample(self, request: Request) -> Response:
        """The sampling plan."""
        size, seed = _number(request, "size", 60, most=10_000), _number(request, "seed", 0, most=10**9)
        width = min(max(_number(request, "width", 10, most=100), 1), 100) / 100
        return HTMLResponse(sample_page(self.book, self.store, size=max(1, size), seed=seed, width=width))

    def agreement(self, request: Request) -> Response:
        """Two readers side by side."""
        return HTMLResponse(agreement_page(self.book, self.store))

    def case(self, request: Request) -> Response:
        """One pair."""
        case = self.book.case(request.path_params["pair_id"])
        if case is None:
            raise HTTPException(404, "no such pair")
        narrowed, pair_id = _filter(request), case.pair["pair_id"]
        history = self.store.history(pair_id)
        following = self._following(pair_id, narrowed)
        page = case_page(self.book, case, history, narrowed=narrowed, reader=_reader(request), following=following)
        return HTMLResponse(page)

    def _following(self, pair_id: str, narrowed: Filter) -> Following:
        work = self.book.worklist
        verdicts = verdicts_of(self.book, self.store) if narrowed.verdict else {}
        disputed = self.store.disputed() if narrowed.verdict == "disputed" else ()
        places, here = np.flatnonzero(work.mask(narrowed, verdicts, disputed)), work.place[pair_id]
        before, after = places[places < here], places[places > here]
        return Following(
            before=work.ids[before[-1]] if len(before) else None,
            after=work.ids[after[0]] if len(after) else None,
            place=len(before) + 1,
            n_found=len(places),
        )

    def drops(self, request: Request) -> Response:
        """What was dropped and why."""
        asked = request.query_params
        page = drops_page(self.book, reason=asked.get("reason", ""), stage=asked.get("stage", ""), page=_page(request))
        return HTMLResponse(page)

    async def reader(self, request: Request) -> Response:
        """Take a reader's name: verdicts from this browser are kept under it."""
        try:
            name = (await request.body()).decode("utf-8").strip()
        except UnicodeDecodeError:
            raise HTTPException(400, "a name is text") from None
        if len(name) > MAX_READER_CHARS or not name.isprintable():
            raise HTTPException(400, f"a name has at most {MAX_READER_CHARS} printable characters")
        answer = JSONResponse({"reader": name})
        answer.set_cookie(READER_COOKIE, quote(name), httponly=True, samesite="strict")
        return answer

    def slice(self, request: Request) -> Response:
        """One slice as PNG."""
        plane, window = request.path_params["plane"], request.query_params.get("window", "soft")
        if plane not in PLANES or window not in WINDOWS:
            raise HTTPException(404, "no such plane or window")
        png = slice_png(self._voxels(request), plane=plane, index=request.path_params["index"], window=window)
        return Response(png, media_type="image/png", headers={"Cache-Control": "private, max-age=600"})

    def thumbnail(self, request: Request) -> Response:
        """The middle coronal slice, small."""
        voxels = self._voxels(request)
        row = self.book.volume(request.path_params["volume_id"])
        if row is None:
            raise HTTPException(404, "no such volume")
        png = thumbnail_png(voxels, tuple(row["spacing_mm"]))
        return Response(png, media_type="image/png", headers={"Cache-Control": "private, max-age=600"})

    def volume(self, request: Request) -> Response:
        """A volume's file, whole or by ranges, for NiiVue."""
        row = self.book.volume(request.path_params["volume_id"])
        try:
            path = self.book.dataset.volume_path(row) if row else None
        except DataError:
            path = None
        if path is None or not path.is_file():
            raise HTTPException(404, "no such volume")
        return FileResponse(path, media_type="application/octet-stream", headers={"Cache-Control": "no-store"})

    def crops(self, request: Request) -> Response:
        """What training would draw for the sentences of a pair."""
        case = self.book.case(request.path_params["pair_id"])
        if case is None:
            raise HTTPException(404, "no such pair")
        verdict = verdicts_of(self.book, self.store).get(case.pair["pair_id"])
        try:
            with self._drawing:  # one process at a time, however often the button is pressed
                draws = draws_of(self.book.dataset, case, verdict)
        except NoCropsError as error:
            return JSONResponse({"said": str(error), "draws": {}})
        return JSONResponse({"said": "", "draws": draws})

    def crop(self, request: Request) -> Response:
        """One slice of a crop as PNG."""
        asked = request.path_params["place"].split(".")
        window = request.query_params.get("window", "soft")
        if len(asked) != 5 or not all(re.fullmatch(r"-?\d{1,5}", part) for part in asked) or window not in WINDOWS:
            raise HTTPException(404, "no such crop")
        *start, size, index = map(int, asked)
        if not 0 < size <= MAX_SIZE_VOX:
            raise HTTPException(404, "no such crop")
        png = crop_png(self._voxels(request), start, size, index=index, window=window)
        return Response(png, media_type="image/png", headers={"Cache-Control": "private, max-age=600"})

    async def verdict(self, request: Request) -> Response:
        """Record a verdict, or take the latest one back."""
        pair_id = request.path_params["pair_id"]
        if pair_id not in self.book.worklist.place and pair_id not in self.book.drop_keys:
            raise HTTPException(404, "no such pair")
        try:
            asked = await request.json()
            verdict, note = (asked.get(name, "") for name in ("verdict", "note"))
        except (ValueError, AttributeError):
            raise HTTPException(400, "expected a JSON object") from None
        if not all(isinstance(value, str) and len(value) <= MAX_NOTE_CHARS for value in (verdict, note)):
            raise HTTPException(400, f"verdict and note are texts of at most {MAX_NOTE_CHARS} characters")
        try:
            current = await run_in_threadpool(self._decide, pair_id, verdict, _reader(request), note)
        except ValueError as error:
            raise HTTPException(400, str(error)) from None
        return JSONResponse({"pair_id": pair_id, "verdict": current})

    def asset(self, request: Request) -> Response:
        """The page's own script and style."""
        name = request.path_params["name"]
        script = viewer_script() if name == "niivue.js" else None
        if script is not None:
            return FileResponse(script, media_type="text/javascript", headers={"Cache-Control": "private, max-age=600"})
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
        except (OSError, DataError, VolumeError):
            raise HTTPException(404, "the volume's file cannot be read: `curation verify` says more") from None


def _filter(request: Request) -> Filter:
    asked = request.query_params
    facets = {name: asked[name] for name in FACETS if asked.get(name)}
    size, _, seed = asked.get("sample", "").partition(".")
    is_sample = all(part.isascii() and part.isdecimal() and len(part) < 10 for part in (size, seed))
    return Filter(
        facets=facets,
        verdict=asked.get("verdict", ""),
        words=asked.get("words", "")[:MAX_WORDS_CHARS],
        sample=(int(size), int(seed)) if is_sample else None,
    )


def _number(request: Request, name: str, default: int, *, most: int) -> int:
    text = request.query_params.get(name, "")
    return min(int(text), most) if text.isascii() and text.isdecimal() and len(text) < 12 else default


def _page(request: Request) -> int:
    return max(1, _number(request, "page", 1, most=10**9))


def _reader(request: Request) -> str:
    return unquote(request.cookies.get(READER_COOKIE, ""))[:MAX_READER_CHARS]


def application(
    root: Path, *, token: str, port: int, names: tuple[str, ...] = ("127.0.0.1", "localhost"), scheme: str = "http"
) -> Starlette:
    """The audit of the data set at `root` as an ASGI application that answers to `names` only."""
    audit = Audit(root)
    hosts = tuple(f"{name}:{port}" for name in names)
    if port == (443 if scheme == "https" else 80):
        hosts += names  # browsers leave the default port out
    log = AccessLog(private_folder(root) / "access.jsonl")
    return Starlette(
        routes=[
            Route("/", audit.worklist),
            Route("/case/{pair_id}", audit.case),
            Route("/sheet", audit.sheet),
            Route("/distributions", audit.distributions),
            Route("/sample", audit.sample),
            Route("/agreement", audit.agreement),
            Route("/drops", audit.drops),
            Route("/reader", audit.reader, methods=["POST"]),
            Route("/slice/{volume_id}/{plane}/{index:int}.png", audit.slice),
            Route("/thumbnail/{volume_id}.png", audit.thumbnail),
            Route("/volume/{volume_id}", audit.volume),
            Route("/crops/{pair_id}", audit.crops),
            Route("/crop/{volume_id}/{place}.png", audit.crop),
            Route("/verdict/{pair_id:path}", audit.verdict, methods=["POST"]),
            Route("/assets/{name}", audit.asset),
        ],
        middleware=[Middleware(Guard, token=token, hosts=hosts, scheme=scheme, log=log)],  # type: ignore[arg-type]
    )

"""NiiVue, the viewer of the case page: where it lies, and how it gets there.

Enters: the npm client. Leaves: one script in the environment's ``share/t3dkit``, found by the server at run time.
Refuses: a package with another hash than the one pinned here. Nothing of the package is executed while it is
installed, and the audit works without it: pre-rendered slices serve then.

    python -m curation.audit.viewer

NiiVue is BSD-2-Clause: https://github.com/niivue/niivue
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from t3dkit.atomic import write_bytes

VERSION = "0.69.0"
SHA512 = "YMjQvJgD1W2b7DuoxkwlC4VxbrgIePRJ5qyQzXKxi2v2MBVg285P/CIQyg46oDDGDIcaNlbd+MhtO/edMbXJkA=="
"""Of the package's archive, base64, as npm states it."""
_MEMBERS = {"package/dist/index.js": "niivue-{}.js", "package/package.json": "niivue-{}.json"}
TIMEOUT_S = 120


class ViewerError(Exception):
    """The viewer could not be installed; the message says why."""


def viewer_script() -> Path | None:
    """NiiVue's script in this environment, or None where it was not installed."""
    path = _folder() / _MEMBERS["package/dist/index.js"].format(VERSION)
    return path if path.is_file() else None


def install_viewer() -> Path:
    """Fetch the pinned package, check it, put its script into the environment; returns the script.

    Raises
    ------
    ViewerError
        There is no npm client, the registry does not answer, or the package is not the pinned one.
    """
    held = viewer_script()
    if held is not None:
        return held
    with tempfile.TemporaryDirectory() as temporary:
        archive = _fetch(Path(temporary))
        found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if found != SHA512:
            raise ViewerError(f"the package of NiiVue {VERSION} has another hash than the pinned one: not installed")
        _folder().mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive) as tar:
            for member, name in reversed(_MEMBERS.items()):  # the script last: it says that all is there
                inside = tar.extractfile(member)
                if inside is None:
                    raise ViewerError(f"the package of NiiVue {VERSION} lacks {member}")
                write_bytes(_folder() / name.format(VERSION), inside.read())
    return install_viewer()


def _fetch(folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise ViewerError("npm is not installed")
    command = [npm, "pack", f"@niivue/niivue@{VERSION}", "--silent", "--ignore-scripts", "--fetch-retries=1",
               "--pack-destination", str(folder)]  # fmt: skip
    try:
        answer = subprocess.run(command, cwd=folder, capture_output=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise ViewerError(f"the package registry gave no answer within {TIMEOUT_S} s") from None
    archives = sorted(folder.glob("*.tgz"))
    if answer.returncode or len(archives) != 1:
        raise ViewerError(f"npm could not fetch NiiVue {VERSION} (exit {answer.returncode})")
    return archives[0]


def _folder() -> Path:
    return Path(sys.prefix) / "share" / "t3dkit"


def main() -> int:
    """Install the viewer; 0 when it is there, 1 with a line on stderr when it is not."""
    try:
        print(f"viewer: NiiVue {VERSION} in {install_viewer().parent}", file=sys.stderr)
    except (ViewerError, OSError) as error:
        print(f"viewer: {error}; the audit shows pre-rendered slices. `make viewer` tries again", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

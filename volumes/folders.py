"""A folder to the regular files in it, and what the operating system says about those that are none.

Enters: a folder. Leaves: (path, relative name) of every regular file, sorted, or a `FileDrop`. Refuses: to open
devices, pipes and sockets, to follow a link to what is read anyway, to recurse (depth costs no stack).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import BinaryIO

from volumes.errors import SourceError
from volumes.reasons import DropReason
from volumes.records import FileDrop, FileRef


def walk_folder(root: str) -> Iterator[tuple[str, str] | FileDrop]:
    """(path, relative name) of every regular file, depth first, sorted; no recursion, so that depth costs nothing."""
    roots = [os.path.realpath(root)]
    try:
        stack = [iter(_children(root, ""))]
    except OSError as error:
        yield file_drop(os.path.basename(root), root, DropReason(source_error(error).reason), error_words(error))
        return
    while stack:
        path, name = next(stack[-1], ("", ""))
        if not path:
            stack.pop()
            continue
        try:
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode):
                target = os.path.realpath(path, strict=True)
                if any(_is_inside(target, known) or _is_inside(known, target) for known in roots):
                    yield file_drop(name, path, DropReason.SPECIAL_FILE, "a link to, or around, what is read anyway")
                    continue
                mode = os.stat(target).st_mode
                if stat.S_ISDIR(mode):
                    roots.append(target)
            if stat.S_ISDIR(mode):
                stack.append(iter(_children(path, name + "/")))
            elif stat.S_ISREG(mode):
                yield path, name
            else:
                yield file_drop(name, path, DropReason.SPECIAL_FILE)
        except OSError as error:
            is_link = os.path.islink(path)
            reason = DropReason.SPECIAL_FILE if is_link else source_error(error).reason
            yield file_drop(name, path, DropReason(reason), "a broken link" if is_link else error_words(error))


def open_regular(path: str) -> BinaryIO:
    """Open a regular file; never hangs on a pipe that took its place since it was found.

    Raises
    ------
    SourceError
        SPECIAL_FILE.
    OSError
        It cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SourceError(DropReason.SPECIAL_FILE)
    return open(descriptor, "rb")


def shown(name: str) -> str:
    """`name` as valid text: bytes that are no UTF-8 are written as ``\\xNN``."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def source_error(error: OSError) -> SourceError:
    """What an error of the operating system means for the file."""
    if isinstance(error, FileNotFoundError):
        return SourceError(DropReason.UNSTABLE_INPUT, "it vanished since it was found")
    return SourceError(DropReason.READ_ERROR, error_words(error))


def error_words(error: OSError) -> str:
    """The error without its path."""
    return os.strerror(error.errno) if error.errno else type(error).__name__


def file_drop(name: str, path: str, reason: DropReason, detail: str = "") -> FileDrop:
    """A drop of the file that the operating system calls `path` and the source `name`."""
    return FileDrop(FileRef(shown(name), path), reason, detail)


def _children(folder: str, prefix: str) -> list[tuple[str, str]]:
    with os.scandir(folder) as entries:
        # A folder sorts as "name/", so that the walk yields whole paths in order.
        keyed = [(entry.name + "/" if _is_folder(entry) else entry.name, entry.name) for entry in entries]
    keyed.sort(key=lambda pair: os.fsencode(pair[0]))
    return [(os.path.join(folder, name), prefix + name) for _, name in keyed]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_inside(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip("/") + "/")

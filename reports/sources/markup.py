"""HTML and RTF to plain text.

Enters: text that may be HTML or RTF, or have residue of either. Leaves: the narrative with its line breaks.
Refuses: nothing; text without markup comes back unchanged.
"""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

_HTML = re.compile(
    r"<!doctype html|<(?:html|body|div|p|br|span|table|b|strong|pre|font|ul|ol)\b[^<>]{0,300}>", re.IGNORECASE
)
_ENTITY = re.compile(
    r"&(?:#\d{2,6}|#x[0-9a-fA-F]{2,5}|nbsp|lt|gt|amp|quot|apos|auml|ouml|uuml|szlig|deg|micro|plusmn);"
)
_BLOCK_NAMES = (
    "address article blockquote br dd div dl dt fieldset footer form h1 h2 h3 h4 h5 h6 header hr li main nav ol p pre "
    "section table tbody td th tr ul legend option label"
)
_BLOCKS = frozenset(_BLOCK_NAMES.split())
_HIDDEN = frozenset({"script", "style", "head", "title", "template", "noscript"})
_BLANK_LINES = re.compile(r"\n{3,}")


def plain_text(text: str) -> str:
    """`text` without HTML or RTF markup; unchanged when it has none."""
    start = text.lstrip()[:6]
    if start.startswith("{\\rtf"):
        return strip_rtf(text)
    if "<" in text and _HTML.search(text):
        return strip_html(text)
    if "&" in text and _ENTITY.search(text):
        return html.unescape(text).replace("\xa0", " ")
    return text


def strip_html(text: str) -> str:
    """The visible text of an HTML page or fragment: block elements start a line, scripts and heads are left out."""
    parser = _Visible()
    parser.feed(text)
    parser.close()
    return _tidy("".join(parser.parts))


class _Visible(HTMLParser):
    """Collects what a reader would see. Of a list of choices that is the chosen one, else the first."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden = 0
        self._preformatted = 0
        self._options: list[list[str]] | None = None
        self._chosen = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag in _HIDDEN:
            self._hidden += 1
        elif tag == "pre":
            self._preformatted += 1
        elif tag == "select":
            self._options, self._chosen = [], 0
        elif tag == "option" and self._options is not None:
            self._chosen = len(self._options) if "selected" in named else self._chosen
            self._options.append([])
            return
        elif tag == "input" and named.get("type", "text") in ("text", "number"):
            self._add(" " + (named.get("value") or ""))
        if tag in _BLOCKS:
            self._add("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in _HIDDEN:
            self._hidden = max(0, self._hidden - 1)
        elif tag == "pre":
            self._preformatted = max(0, self._preformatted - 1)
        elif tag == "select" and self._options is not None:
            chosen = self._options[self._chosen] if self._options else []
            self._options = None
            self._add(" " + "".join(chosen).strip() + "\n")
        elif tag in _BLOCKS and tag not in ("option", "br", "hr"):
            self._add("\n")

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        self._add(data if self._preformatted else re.sub(r"\s+", " ", data))

    def _add(self, data: str) -> None:
        if self._options is None:
            self.parts.append(data)
        elif self._options:
            self._options[-1].append(data)


_RTF_TOKEN = re.compile(
    r"\\([a-zA-Z]{1,32})(-?\d{1,10})?[ ]?|\\'([0-9a-fA-F]{2})|\\([^a-zA-Z'])|([{}])|[\r\n]+|([^\\{}\r\n]+)|\\"
)
_RTF_DESTINATIONS = (
    "fonttbl colortbl stylesheet info pict object header footer headerl headerr headerf footerl footerr footerf "
    "filetbl revtbl rsidtbl listtable listoverridetable generator themedata colorschememapping datastore "
    "latentstyles xmlnstbl fldinst bkmkstart bkmkend"
)
_RTF_SKIPPED = frozenset(_RTF_DESTINATIONS.split())
_RTF_WORDS = {
    "par": "\n", "line": "\n", "sect": "\n", "page": "\n", "row": "\n", "cell": "\t", "tab": "\t",
    "emdash": "\u2014", "endash": "\u2013", "lquote": "\u2018", "rquote": "\u2019", "ldblquote": "\u201c",
    "rdblquote": "\u201d", "bullet": "\u2022",
}  # fmt: skip


def strip_rtf(text: str) -> str:
    """The text of an RTF document (RTF 1.9): paragraphs become lines, tables, fonts and pictures are left out."""
    out: list[str] = []
    stack: list[tuple[bool, int]] = []
    skipped, fallback_chars, pending = False, 1, 0  # \ucN: how many characters stand in for a \uN
    for match in _RTF_TOKEN.finditer(text):
        word, number, byte, symbol, brace, plain = match.groups()
        piece = ""
        if brace == "{":
            stack.append((skipped, fallback_chars))
        elif brace == "}":
            skipped, fallback_chars = stack.pop() if stack else (False, 1)
        elif word in _RTF_SKIPPED or symbol == "*":
            skipped = True
        elif word == "uc":
            fallback_chars = int(number or 1)
        elif word == "u" and number:
            code = int(number) % 65536
            piece, pending = (chr(code) if not 0xD800 <= code < 0xE000 else "\ufffd"), fallback_chars
            out.append("" if skipped else piece)
            continue
        elif word:
            piece = _RTF_WORDS.get(word, "")
        elif byte:
            piece = bytes.fromhex(byte).decode("cp1252", errors="replace")
        elif symbol:
            piece = {"~": " ", "_": "-", "-": "", "\n": "\n", "\r": "\n"}.get(symbol, symbol)
        elif plain:
            piece = plain
        if pending and (byte or plain):
            cut = min(pending, len(piece))
            piece, pending = piece[cut:], pending - cut
        if piece and not skipped:
            out.append(piece)
    return _tidy("".join(out))


def _tidy(text: str) -> str:
    lines = (line.strip(" \t") for line in text.replace("\xa0", " ").replace("\r", "\n").split("\n"))
    return _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip() + "\n"

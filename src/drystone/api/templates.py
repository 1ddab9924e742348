"""Templates and files of the pages: one environment, one policy, an allow-list of static files.

Everything is escaped unless a template says otherwise, and none does. Files are read once at start
and named with the hash of their bytes, so that browsers keep them for ever. `verify.html` is the
verifier's own page: its scripts are inline, and its policy allows exactly those by their hashes.
Source: CSP Level 3, reliability.md 3.2 (no third-party code at run time).
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, cast

from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from drystone.api.cells import value_cell
from drystone.errors import NotFound
from drystone.formats.number import Number
from drystone.records.payload import Reading

WEB: Final = Path(__file__).parent / "web"
STATIC: Final = WEB / "static"

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
FOR_EVER: Final = "public, max-age=31536000, immutable"

MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    "": "text/plain; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
}

THIN_SPACE: Final = "\u202f"
MINUS: Final = "\u2212"

PLURALS: Final = {
    "entry": "entries",
    "vertex": "vertices",
    "neighbouring hash": "neighbouring hashes",
}

UNIT_TEXTS: Final = {"Cel": "°C", "degC": "°C", "m3": "m³", "%RH": "% RH", "%EL": "%", "/": ""}

HTML = HTMLResponse


@lru_cache(maxsize=1)
def static_files() -> dict[str, bytes]:
    """Every file below `web/static` by its path: an allow-list, so that no path is ever joined."""
    return {
        str(path.relative_to(STATIC)): path.read_bytes()
        for path in sorted(STATIC.rglob("*"))
        if path.is_file()
    }


def file_tag(name: str) -> str:
    """A short hash of a static file's bytes; part of its address."""
    return hashlib.sha256(static_files()[name]).hexdigest()[:12]


def static_path(name: str) -> str:
    """Address of a static file that changes when the file does."""
    return f"/static/{name}?v={file_tag(name)}"


def static_response(request: Request, path: str) -> Response:
    """One static file; kept for ever where its address carries its hash. Raises: NotFound."""
    data = static_files().get(path)
    if data is None:
        raise NotFound(f"no file {path}")
    pinned = request.query_params.get("v") == file_tag(path)
    return Response(
        data,
        headers={
            "Content-Type": MEDIA_TYPES[Path(path).suffix],
            "Cache-Control": FOR_EVER if pinned else "no-cache",
        },
    )


def grouped(value: int | str | bool | None) -> str:
    """A cell for people: digits in groups of three, everything else as it is."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    found = re.fullmatch(r"(-?)(\d+)(\.\d+)?", text)
    if found is None or (not isinstance(value, int) and len(text) > 40):
        return text
    sign, whole, fraction = found.groups()
    parts: list[str] = []
    while len(whole) > 3:
        parts.insert(0, whole[-3:])
        whole = whole[:-3]
    digits = THIN_SPACE.join([whole, *parts])
    return (MINUS if sign else "") + digits + (fraction or "")


def measured(value: Number | str | bytes | bool | None) -> str:
    """A signed value for people."""
    return grouped(value_cell(value))


def unit_text(unit: str | None) -> str:
    """A SenML unit as people write it."""
    return UNIT_TEXTS.get(unit, unit) if unit else ""


def says_of(readings: Sequence[Reading]) -> str:
    """What a reading says, in one line: its first measurement, and how many more."""
    _, unit, value, _ = readings[0]
    first = f"{measured(value)} {unit_text(unit)}".strip()
    return f"{first} and {len(readings) - 1} more" if len(readings) > 1 else first


def short(data: bytes | str | None, length: int = 10) -> str:
    """The start of a hash; its title shows it whole."""
    if data is None:
        return "–"
    text = data.hex() if isinstance(data, bytes) else data
    return text if len(text) <= length + 1 else text[:length] + "…"


def hexadecimal(data: bytes | None) -> str:
    """Bytes whole, in hex."""
    return "" if data is None else data.hex()


def moment(time: str | None) -> str:
    """An ISO time to the second without its letters; narrow screens leave year and seconds out."""
    if time is None or "T" not in time:
        return time or "–"
    date, clock = time[:19].split("T")
    return Markup('<span class="more-room">{}</span>{} {}<span class="more-room">{}</span>').format(
        date[:5], date[5:], clock[:5], clock[5:]
    )


def spell(count: int, noun: str) -> str:
    """`1 record`, `2 records`."""
    return f"{grouped(count)} {noun if count == 1 else PLURALS.get(noun, noun + 's')}"


def ticks(text: str) -> Markup:
    """Escaped text whose `ticked` words are set as code."""
    marked = re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text)))
    return Markup(marked)  # noqa: S704 - escaped on the line above


@lru_cache(maxsize=1)
def environment() -> Environment:
    """The one template environment; an unknown name is an error, never an empty string."""
    made = Environment(
        loader=FileSystemLoader(WEB / "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        grouped=grouped,
        short=short,
        hexadecimal=hexadecimal,
        moment=moment,
        measured=measured,
        ticks=ticks,
        unit=unit_text,
    )
    functions = cast("dict[str, object]", made.globals)
    functions.update(static_path=static_path, spell=spell)
    return made


def render_page(request: Request, name: str, status: int = 200, **values: Any) -> Response:
    """A page by its template's name, under the pages' policy."""
    info = request.app.state.service.info
    html = environment().get_template(name).render(info=info, here=request.url.path, **values)
    return HTMLResponse(html, status_code=status, headers={"Content-Security-Policy": POLICY})


@lru_cache(maxsize=1)
def _verify_page() -> tuple[bytes, str]:
    """The verifier's page and the policy that allows exactly its own inline parts."""
    path = WEB / "verify.html"
    if not path.is_file():
        raise NotFound("this installation has no verify.html")
    page = path.read_bytes()
    scripts = _hashes(re.findall(rb"<script[^>]*>(.*?)</script>", page, re.DOTALL))
    styles = _hashes(re.findall(rb"<style[^>]*>(.*?)</style>", page, re.DOTALL))
    policy = (
        f"default-src 'none'; script-src {scripts}; style-src {styles}; img-src data:;"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return page, policy


def _hashes(blocks: Iterable[bytes]) -> str:
    listed = [
        f"'sha256-{base64.b64encode(hashlib.sha256(block).digest()).decode()}'" for block in blocks
    ]
    return " ".join(listed) or "'none'"


def verify_response() -> Response:
    """The verifier's page; it needs no network and gets none. Raises: NotFound."""
    page, policy = _verify_page()
    return HTMLResponse(page, headers={"Content-Security-Policy": policy})

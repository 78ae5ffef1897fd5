"""The page as one file: the template filled in, the vendored libraries, and a policy that names each by its hash."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from blip_fixtures.report.blocks import Bullets, Paragraph
from blip_fixtures.report.document import check_one_checkpoint
from blip_fixtures.report.page.data import Content, content
from blip_fixtures.report.prose import load_prose
from blip_fixtures.whole_files import replace_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from blip_fixtures.record import Record
    from blip_fixtures.report.blocks import Block
    from blip_fixtures.report.course import Course
    from blip_fixtures.report.page.history import History
    from blip_fixtures.report.prose import Prose

NAME = "index.html"
# The libraries are 840 kB of them.
MOST_BYTES = 1_200_000
LIBRARIES = ("vega.min.js", "vega-lite.min.js", "vega-embed.min.js")
INTERPRETER = "vega-interpreter.js"
# Nothing is fetched, sent or evaluated; scripts and styles are those of the file, each named by its hash.
_POLICY = (
    "default-src 'none'; script-src {scripts}; style-src {styles}; img-src data:; base-uri 'none'; form-action 'none'"
)
# What would end the element that holds the data, or a line of a script.
_UNSAFE = {"<": r"\u003c", ">": r"\u003e", "&": r"\u0026", "\u2028": r"\u2028", "\u2029": r"\u2029"}
_IMPORT = re.compile(r"^import (\{[^}]*\}) from 'vega-util';$", re.MULTILINE)
_EXPORT = re.compile(r"^export \{ (\w+) as expressionInterpreter \};$", re.MULTILINE)
_SOURCE_MAP = re.compile(r"^//# sourceMappingURL=.*$", re.MULTILINE)
_MARKS = re.compile(r"\*\*(?P<strong>[^*]+)\*\*|`(?P<code>[^`]+)`")


def write_page(
    records: Sequence[Record],
    out: Path,
    *,
    lang: str = "en",
    courses: Sequence[Course] = (),
    history: History | None = None,
) -> Path:
    """Writes ``out/index.html``, in one step, and returns its path.

    `history` are the machine's stored runs; `None` where nobody looked for any. Raises `ReportError` when the records
    belong to different checkpoints, `OSError` when `out` cannot be written.
    """
    check_one_checkpoint(records)
    text = page(records, lang=lang, courses=courses, history=history)
    out.mkdir(parents=True, exist_ok=True)
    path = out / NAME
    replace_file(path, text.encode())
    return path


def page(
    records: Sequence[Record], *, lang: str = "en", courses: Sequence[Course] = (), history: History | None = None
) -> str:
    """The text of the page; the same records give the same text."""
    prose = load_prose(lang)
    found = content(records, prose, courses=courses, history=history)
    text = _rendered(found, prose)
    for name, leave_out in _LIGHTER.items():
        if len(text.encode()) <= MOST_BYTES:
            break
        leave_out(found.data)
        found.data["left_out"].append(prose.say(f"page_left_out_{name}"))
        text = _rendered(found, prose)
    return text


def _without_records(data: dict[str, Any]) -> None:
    data["environments"] = []
    for point in data["points"]:
        point["record"] = None


def _without_verdicts(data: dict[str, Any]) -> None:
    data["history"]["pairs"] = data["history"]["pairs"][:1]


def _without_rounds(data: dict[str, Any]) -> None:
    for point in data["points"]:
        point["rounds"] = []


# What a page that would be too large does without, the first first; its last line says so.
_LIGHTER = {"records": _without_records, "verdicts": _without_verdicts, "rounds": _without_rounds}


def _rendered(found: Content, prose: Prose) -> str:
    from jinja2 import Environment, StrictUndefined

    scripts = [*(_without_source_map(_file("vendor", name)) for name in LIBRARIES), interpreter(), _file("page.js")]
    style = _file("page.css")
    # The file's name decides nothing here: everything that is put in is escaped unless the template says `safe`.
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_file("page.html.j2")).render(
        lang=prose.lang,
        title=found.title,
        notices=list(map(_spoken, found.notices)),
        run=_spoken(found.run),
        about=list(map(_spoken, found.about)),
        glance=found.glance,
        filters=found.data["filters"],
        views=found.data["views"],
        left_out=found.data["left_out"],
        t=prose.say,
        policy=_POLICY.format(scripts=" ".join(map(_source, scripts)), styles=_source(style)),
        style=style,
        scripts=scripts,
        data=as_script(found.data),
    )


def as_script(value: Any) -> str:
    """JSON for an element of the kind ``application/json``: nothing in it ends the element or means anything."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return "".join(_UNSAFE.get(character, character) for character in text)


def interpreter() -> str:
    """Vega's interpreter of expressions as a script: it comes as a module, and what it imports is in Vega already."""
    text = _without_source_map(_file("vendor", INTERPRETER))
    text, imports = _IMPORT.subn(r"const \1 = vega;", text)
    text, exports = _EXPORT.subn(r"globalThis.expressionInterpreter = \1;", text)
    if (imports, exports) != (1, 1):
        raise LookupError(
            f"{INTERPRETER} does not import and export as it did; look at it before another version is used"
        )
    return f"(() => {{\n{text}}})();\n"


def _file(*path: str) -> str:
    return files("blip_fixtures.report.page").joinpath(*path).read_text(encoding="utf-8")


def _without_source_map(script: str) -> str:
    return _SOURCE_MAP.sub("", script)


def _source(text: str) -> str:
    """How a policy names an element with this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _spoken(block: Block) -> dict[str, Any]:
    """A block of the document's head: its lines, each a list of (kind, text)."""
    if isinstance(block, Paragraph):
        return {"kind": "paragraph", "lines": [_parts(block.text)]}
    if isinstance(block, Bullets):
        return {"kind": "bullets", "lines": [_parts(item) for item in block.items]}
    raise TypeError(f"the head has a {type(block).__name__}, which the page does not show yet")


def _parts(text: str) -> list[tuple[str, str]]:
    """The text, with what is strong and what is code in it."""
    parts, end = [], 0
    for found in _MARKS.finditer(text):
        parts.append(("text", text[end : found.start()]))
        kind = str(found.lastgroup)
        parts.append((kind, found[kind]))
        end = found.end()
    return [*parts, ("text", text[end:])]

"""Write the reference pages that follow from the code: errors, limits, settings, command line, coverage of requirements.

Usage: make docs, or `tools/docs.py --check`, which writes nothing and exits 1 when a page is stale (a test calls it).
Pages that people write are not touched. The source of each page is named in its first lines.
"""

import inspect
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs" / "reference"
sys.path.insert(0, str(ROOT / "src"))


def errors_page() -> str:
    """Return a table of every code, its meaning and what to do."""
    from drystone import errors

    families = (
        (errors.Refused, "Refused: someone else's input (HTTP 4xx, exit 3)"),
        (errors.Unavailable, "Unavailable: try later (HTTP 503, exit 4)"),
        (errors.Broken, "Broken: our invariant or disk (the process stops, exit 5)"),
    )
    parts = [
        "# Error codes\n\nGenerated from `src/drystone/errors.py`. A code never changes its meaning. The same code stands"
        "\nin an answer, a problem document (`code`), an outcome on the ledger and a message of the command line.\n"
    ]
    classes = [
        c
        for c in vars(errors).values()
        if inspect.isclass(c) and issubclass(c, errors.DrystoneError)
    ]
    for family, title in families:
        parts.append(f"\n## {title}\n\n| code | meaning | what to do |\n|---|---|---|\n")
        for one in classes:
            if issubclass(one, family):
                meaning = " ".join((one.__doc__ or "").split())
                parts.append(f"| `{one.code}` | {meaning} | {one.fix} |\n")
    return "".join(parts)


def limits_page() -> str:
    """Return a table of every bound with its value and meaning."""
    from drystone import limits

    text = (ROOT / "src/drystone/limits.py").read_text()
    found = re.findall(r'^([A-Z_]+): Final = .*?\n"""(.*?)"""', text, re.MULTILINE | re.DOTALL)
    rows = [
        f"| `{name}` | {getattr(limits, name):,} | {' '.join(meaning.split())} |\n"
        for name, meaning in found
    ]
    return (
        "# Limits\n\nGenerated from `src/drystone/limits.py`. A bound marked *(protocol)* decides what a ledger accepts;"
        "\nthe others are a node's own.\n\n| name | value | meaning |\n|---|---:|---|\n"
        + "".join(rows)
    )


def coverage_page() -> str:
    """Return which numbered requirement is shown by which test, demo or command, and what is still open."""
    titles = json.loads((ROOT / "docs/reference/requirements.json").read_text())
    shown: dict[str, list[str]] = {}
    roots = (ROOT / "tests", ROOT / "src" / "drystone")
    for root, path in ((r, p) for r in roots for p in sorted(r.rglob("test_*.py"))):
        for name in re.findall(r"def (test_\w+)", path.read_text()):
            for number in re.findall(r"_(s[0-4]_\d+)(?=_|$)", name):
                key = number.upper().replace("_", ".")
                where = f"`{path.relative_to(root)}::{name}`"
                if where not in shown.setdefault(key, []):
                    shown[key].append(where)
    for key, where in titles["shown"].items():
        shown.setdefault(key, []).extend(where)
    total = len(titles["titles"])
    done = [key for key in titles["titles"] if key in shown]
    parts = [
        "# Coverage of the requirements\n\nGenerated from test names (`test_..._s2_29`) and from"
        " `requirements.json` (demos and\ncommands). A line says what shows the requirement today; a number in a test"
        " name means that the test\nshows it or the part of it that exists.\n\n"
        f"Shown: {len(done)} of {total}. Open ones are listed at the end.\n\n| requirement | title | shown by |\n|---|---|---|\n"
    ]
    parts += [f"| {k} | {titles['titles'][k]} | {'<br>'.join(shown[k])} |\n" for k in done]
    parts.append("\n## Open\n\n| requirement | title |\n|---|---|\n")
    parts += [f"| {k} | {v} |\n" for k, v in titles["titles"].items() if k not in shown]
    return "".join(parts)


def cli_page() -> str:
    """Return every command with arguments, options, examples and exit codes."""
    from drystone.cli.reference import reference

    return reference()


def rest_page() -> str:
    """Return every route of the REST API with its parameters and answers."""
    from types import SimpleNamespace
    from typing import Any

    from drystone.api import reference
    from drystone.api.app import create_app
    from drystone.api.border import ApiSettings, OperatorToken

    nobody: Any = SimpleNamespace(info=SimpleNamespace(version="0"))
    settings = ApiSettings(token=OperatorToken(secret=b""), clock_s=lambda: 0.0)
    return reference.rest_page(reference.document(create_app(nobody, settings)))


def metrics_page() -> str:
    """Return every metric with its type, labels and meaning."""
    from drystone.api import reference

    return reference.metrics_page()


def settings_page() -> str:
    """Return every setting of `config.toml` with default, bounds and environment variable."""
    from drystone.home import config

    parts = [
        "# Settings\n\nGenerated from `src/drystone/home/config.py`. Settings stand in `config.toml` of a node's home;"
        " `DRYSTONE__SECTION__KEY` in\nthe environment overrides the file. An unknown one is refused. A change takes"
        " effect at the next start.\n"
    ]
    for section, table in config.Settings.model_fields.items():
        parts.append(
            f"\n## [{section}]\n\n| setting | default | bounds | meaning |\n|---|---|---|---|\n"
        )
        kind = table.annotation
        assert isinstance(kind, type), section
        assert issubclass(kind, config.Section), section
        for name, field in kind.model_fields.items():
            bounds = ", ".join(_bound(one) for one in field.metadata) or _choices(field.annotation)
            if isinstance(field.default, tuple):
                bounds = bounds.replace("characters at most", "entries at most")
            default = f"`{json.dumps(field.default)}`"
            parts.append(f"| `{name}` | {default} | {bounds} | {field.description} |\n")
    parts.append("\nIn the environment, for example: `DRYSTONE__HTTP__PORT=0`.\n")
    return "".join(parts)


def _bound(one: object) -> str:
    """Return a pydantic constraint in words."""
    for name, word in (("ge", "from"), ("le", "to"), ("max_length", "characters at most")):
        if (value := getattr(one, name, None)) is not None:
            return f"{word} {value:,}"
    return str(one)


def _choices(annotation: object) -> str:
    """Return the choices of a Literal."""
    return ", ".join(f"`{choice}`" for choice in getattr(annotation, "__args__", ()))


def calls_page() -> str:
    """Return every call that the ledger itself answers, with its arguments."""
    from drystone.ledger import governance, registry

    parts = [
        "# Calls\n\nGenerated from `src/drystone/ledger/`. A call is a record whose payload is"
        " `[ledger, contract, function, arguments, limit]`;\n`drystone device`, `drystone org` and `drystone device"
        " profile` make them. Bytes stand as lower-case hex. What a call can be\nrefused for: [errors.md](errors.md).\n"
    ]
    for contract, module in (("registry", registry), ("governance", governance)):
        about = inspect.getdoc(module) or ""
        parts.append(f"\n## {contract}\n\n{about}\n")
        for name, function in module.FUNCTIONS.items():
            parts.append(f"\n### {contract}.{name}\n\n{inspect.getdoc(function)}\n")
    return "".join(parts)


PAGES: dict[str, Callable[[], str]] = {
    "cli.md": cli_page,
    "settings.md": settings_page,
    "calls.md": calls_page,
    "errors.md": errors_page,
    "limits.md": limits_page,
    "coverage.md": coverage_page,
    "rest.md": rest_page,
    "metrics.md": metrics_page,
}


def main() -> None:
    """Write or check all pages."""
    check = "--check" in sys.argv[1:]
    stale: list[str] = []
    for name, write in PAGES.items():
        path, text = REFERENCE / name, write()
        if check:
            if not path.exists() or path.read_text() != text:
                stale.append(name)
        else:
            path.write_text(text)
            print(f"wrote docs/reference/{name}")
    if stale:
        sys.exit(f"stale: {', '.join(stale)}; run `make docs`")


if __name__ == "__main__":
    main()

"""The command line as a page: every command with arguments, options, examples and exit codes, from its own help."""

import inspect
from collections.abc import Iterator
from typing import Any, Final

import typer.main

from drystone.cli.app import ORDER, app
from drystone.cli.exits import MEANINGS

INTRODUCTION: Final = """\
# Command line

Generated from the program's own help (`drystone COMMAND --help`).

Every command finds the node that runs in `--home` (or `DRYSTONE_HOME`, default `./drystone-data`) by
`run/endpoints.json`; `--url` (or `DRYSTONE_URL`) names another one. With `--json` a command prints one JSON document
on stdout, also for an error: `{"ok": false, "code", "detail", "fix"}`. Progress goes to stderr, and only on a terminal.

## Exit codes

| code | meaning |
|---:|---|
"""


def reference() -> str:
    """Give the whole page as Markdown."""
    root: Any = typer.main.get_command(app)
    codes = "".join(f"| {code} | {meaning} |\n" for code, meaning in MEANINGS.items())
    names = sorted(root.commands, key=ORDER.index)
    parts = [part for name in names for part in _sections(f"drystone {name}", root.commands[name])]
    return INTRODUCTION + codes + "\n" + "\n".join(parts)


def _sections(name: str, command: Any) -> Iterator[str]:
    """The section of a command, or of a group and its commands."""
    children: dict[str, Any] = getattr(command, "commands", {})
    text = inspect.cleandoc(command.help or "")
    if children and not _options(command):
        yield f"## {name}\n\n{text}\n"
    else:
        yield f"## {name}\n\n{_command(name, command, text)}"
    for child, below in children.items():
        yield from _sections(f"{name} {child}", below)


def _command(name: str, command: Any, text: str) -> str:
    described, _, examples = text.replace("\b\n", "").partition("\n\nExample")
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    usage = " ".join([name, "[OPTIONS]", *(_metavar(p) for p in arguments)])
    parts = [f"{described}\n\n```\n{usage}\n```\n"]
    if arguments:
        parts.append("\n| argument | meaning |\n|---|---|\n")
        parts += [f"| `{_metavar(p)}` | {_cell(p.help)} |\n" for p in arguments]
    options = _options(command)
    if options:
        parts.append("\n| option | meaning | default |\n|---|---|---|\n")
        parts += [f"| `{_names(p)}` | {_cell(p.help)} | {_default(p)} |\n" for p in options]
    lines = [line.strip() for line in examples.splitlines()[1:] if line.strip()]
    if lines:
        parts.append("\n```console\n" + "".join(f"$ {line}\n" for line in lines) + "```\n")
    return "".join(parts)


def _options(command: Any) -> list[Any]:
    return [
        param
        for param in command.params
        if param.param_type_name == "option" and "--help" not in param.opts
    ]


def _metavar(param: Any) -> str:
    return str(param.metavar or param.name.upper())


def _names(param: Any) -> str:
    return ", ".join(sorted(param.opts, key=len)) + "".join(f" / {o}" for o in param.secondary_opts)


def _default(param: Any) -> str:
    if isinstance(param.show_default, str):
        return param.show_default
    if param.required:
        return "required"
    if param.default is None or param.default is False or not param.show_default:
        return ""
    return f"`{str(param.default).lower() if param.default is True else param.default}`"


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")

"""How a function becomes a command: its docstring is its help, its errors become exit codes.

An `Example:` or `Examples:` paragraph is printed as it stands; every other paragraph is wrapped.
"""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import typer

from drystone.cli.exits import guard

F = TypeVar("F", bound=Callable[..., Any])


def command(app: typer.Typer, name: str | None = None) -> Callable[[F], F]:
    """Register a function as a command of `app`; it stays callable as it is."""

    def register(function: F) -> F:
        app.command(name, help=help_text(function))(guard(function))
        return function

    return register


def help_text(function: Callable[..., Any]) -> str:
    """Give a command's help: its docstring, the examples kept line by line."""
    text = inspect.getdoc(function) or ""
    return text.replace("\n\nExample", "\n\n\b\nExample")

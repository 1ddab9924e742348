"""The part of starlark-pyo3 that contracts/runtime.py uses; the package ships no types."""

from collections.abc import Callable
from enum import Enum
from typing import Any

class StarlarkError(Exception): ...

class LibraryExtension(Enum):
    Json = ...

class Globals:
    @staticmethod
    def extended_by(extensions: list[LibraryExtension]) -> Globals: ...

class Dialect:
    @staticmethod
    def standard() -> Dialect: ...

class AstModule: ...

class EvalResult:
    value: Any

class EvalOptions:
    def __init__(
        self, *, check_cancelled: Callable[[], bool], max_callstack_size: int
    ) -> None: ...

class FrozenModule:
    def call_with(self, options: EvalOptions, name: str, *args: Any) -> EvalResult: ...

class Module:
    def add_callable(self, name: str, callable: Callable[..., Any]) -> None: ...
    def freeze(self) -> FrozenModule: ...

def parse(filename: str, content: str, dialect: Dialect) -> AstModule: ...
def eval(module: Module, ast: AstModule, globals: Globals) -> Any: ...

"""Rules that readings and calls run under; Starlark packages move in here. Pure."""

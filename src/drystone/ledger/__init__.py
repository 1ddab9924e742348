"""The one pipeline: registry, rights, and apply(view, block) -> Change. Read apply.py first."""

"""The REST API and the pages built on it."""

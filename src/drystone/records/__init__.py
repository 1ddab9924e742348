"""Our nouns: key, record, stream, vertex, DAG; each with its form, encoding and check. Pure."""

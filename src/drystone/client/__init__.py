"""A client of a node's REST API, for the command line, the importer and programs of others."""

"""The REST API's routes, one file per subject: fetch from the service, turn into rows, answer."""

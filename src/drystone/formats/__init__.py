"""Other people's standards: deterministic CBOR, COSE, SenML, C2SP notes. Pure."""

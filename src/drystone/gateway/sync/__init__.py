"""Sync: the protocol between gateways, nodes and followers, without a socket, a clock or a disk of its own.

`messages.py` is what goes over a link, `session.py` one peer, `peers.py` all of them, `holdings.py` what is here.
Source: docs/spec/sync.md, docs/spec/sync.cddl.
"""

"""`python -m drystone.node HOME`: the process of a role, as the supervisor starts it."""

import logging
import os

from drystone.node.roles import main

ended = main()
logging.shutdown()
# Everything of ours is closed; a thread of somebody else's pool must not keep the process.
os._exit(ended)

"""For all tests: hypothesis finds wrong results, not slow machines."""

from hypothesis import settings

settings.register_profile("drystone", deadline=None)
settings.load_profile("drystone")

"""What holds for every test: no property is refuted by a slow machine, and no module is compiled twice."""

import os
import sys

from hypothesis import HealthCheck, settings

settings.register_profile("mpcnode", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("mpcnode")

# Where the environment forbids compiled modules, every worker would rewrite every test again, and each of the some
# hundred processes that tests start would compile the whole package: a third of a process's start, two minutes in all.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

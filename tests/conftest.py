"""What holds for every test: no property is refuted by a slow machine."""

from hypothesis import HealthCheck, settings

settings.register_profile("mpcnode", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("mpcnode")

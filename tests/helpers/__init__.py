"""Simulators, shims and access to the published vectors."""

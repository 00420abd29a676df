"""A command-line MPC wallet node: a key that never exists in one place."""

__version__ = "0.1.0"

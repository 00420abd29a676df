"""Scripted multi-node runs."""

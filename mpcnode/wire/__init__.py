"""Bytes to frozen messages and back; pure."""

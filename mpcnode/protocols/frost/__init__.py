"""FROST (RFC 9591): messages, key generation, refresh, signing."""

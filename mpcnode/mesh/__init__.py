"""A full mesh of authenticated data channels."""

"""What the tests of a server over TLS need."""

from tests.helpers.tls import tls_files

__all__ = ["tls_files"]

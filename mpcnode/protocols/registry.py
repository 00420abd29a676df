"""Which protocol makes and uses the keys of which suite; a wallet file says it beside every secret it holds."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from mpcnode.crypto.ciphersuite import CIPHERSUITES
from mpcnode.types import SuiteId

FROST: Final = "frost"

PROTOCOLS: Final[Mapping[SuiteId, str]] = MappingProxyType(dict.fromkeys(CIPHERSUITES, FROST))
"""The protocol's name by suite. How a wallet holds a FROST key is in ``mpcnode.protocols.frost.held``."""

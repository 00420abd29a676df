"""Write every file of golden vectors: ``python -m tests.vectors``."""

import logging
from importlib import import_module
from typing import Final

from tests.vectors.made import FOLDER, text

SUBJECTS: Final = (
    "conventions",
    "ed25519",
    "sealing",
    "signaling",
    "slots",
    "pairing",
    "relay",
    "agreement",
    "link",
    "messages",
    "frost",
    "keygen",
    "signing",
    "refresh",
    "wallet",
    "blame",
)


def made(subject: str) -> str:
    """Make one file's text."""
    return text(import_module(f"tests.vectors.{subject}").make())


def main() -> None:
    """Write them all."""
    logging.disable(logging.WARNING)  # what is refused is refused on purpose
    for subject in SUBJECTS:
        (FOLDER / f"{subject}.json").write_text(made(subject), "ascii")


if __name__ == "__main__":
    main()

"""Write every file of golden vectors: ``python -m tests.vectors``."""

from importlib import import_module
from typing import Final

from tests.vectors.made import FOLDER, text

SUBJECTS: Final = (
    "conventions",
    "ed25519",
    "sealing",
    "agreement",
    "link",
    "messages",
    "frost",
    "keygen",
    "signing",
    "refresh",
    "blame",
)


def made(subject: str) -> str:
    """Make one file's text."""
    return text(import_module(f"tests.vectors.{subject}").make())


def main() -> None:
    """Write them all."""
    for subject in SUBJECTS:
        (FOLDER / f"{subject}.json").write_text(made(subject), "ascii")


if __name__ == "__main__":
    main()

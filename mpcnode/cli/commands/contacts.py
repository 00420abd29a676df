"""``mpcnode contacts``: whose keys this home has pinned."""

from typing import Annotated, Final

import typer

from mpcnode.cli.options import ContactArgument, Family, HomeOption, JsonOption, VerboseOption

EXAMPLES: Final = """\b
Examples:
  mpcnode contacts
  mpcnode contacts show cli3
  mpcnode contacts rename cli3 carol
  mpcnode contacts verify carol    # while carol is there, or on the telephone
  mpcnode contacts remove carol    # after its node was set up anew, and you asked its owner"""

NewNameArgument = Annotated[str, typer.Argument(metavar="NEW", help="What to call it from now on.", show_default=False)]
FingerprintOption = Annotated[
    str | None,
    typer.Option(
        "--fingerprint",
        metavar="HEX",
        help="All 40 digits of the fingerprint, as the contact's owner gave them.",
        show_default="ask on the terminal",
    ),
]

app = typer.Typer(cls=Family, epilog=EXAMPLES, invoke_without_command=True)


@app.callback()
def contacts(
    context: typer.Context, *, home: HomeOption = None, json: JsonOption = False, verbose: VerboseOption = False
) -> None:
    """List, show and change the keys of known peers; alone, list.

    Name a contact as it is called here, by its fingerprint or the first 8 digits or more of it, or as it calls itself.
    """
    if context.invoked_subcommand is None:
        list_(home=home, json=json, verbose=verbose)


@app.command("list", epilog=EXAMPLES)
def list_(*, home: HomeOption = None, json: JsonOption = False, verbose: VerboseOption = False) -> None:
    """List the contacts: name, how the key was verified, fingerprint; needs no passphrase."""
    from mpcnode.cli.actions.contacts import list_contacts  # noqa: PLC0415 -- what is heavy waits for its command

    list_contacts(home, json=json, verbose=verbose)


@app.command("show", epilog=EXAMPLES)
def show(
    contact: ContactArgument, *, home: HomeOption = None, json: JsonOption = False, verbose: VerboseOption = False
) -> None:
    """Show one contact: its key, and how and when it came to be known."""
    from mpcnode.cli.actions.contacts import show_contact  # noqa: PLC0415 -- what is heavy waits for its command

    show_contact(home, contact, json=json, verbose=verbose)


@app.command("rename", epilog=EXAMPLES)
def rename(
    contact: ContactArgument,
    new: NewNameArgument,
    *,
    home: HomeOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Call a contact otherwise, at this node alone: its key stays, and so do the wallets that it takes part in.

    No node may run under this home meanwhile.
    """
    from mpcnode.cli.actions.contacts import rename_contact  # noqa: PLC0415 -- what is heavy waits for its command

    rename_contact(home, contact, new, json=json, verbose=verbose)


@app.command("verify", epilog=EXAMPLES)
def verify(
    contact: ContactArgument,
    *,
    fingerprint: FingerprintOption = None,
    home: HomeOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Compare fingerprints with a contact who is there, and mark it as verified where they are the same.

    Where they differ, somebody may stand between you: nothing is marked, and the exit code is 4.
    No node may run under this home meanwhile.
    """
    from mpcnode.cli.actions.contacts import verify_contact  # noqa: PLC0415 -- what is heavy waits for its command

    verify_contact(home, contact, digits=fingerprint, json=json, verbose=verbose)


@app.command("remove", epilog=EXAMPLES)
def remove(
    contact: ContactArgument, *, home: HomeOption = None, json: JsonOption = False, verbose: VerboseOption = False
) -> None:
    """Forget the key of one contact: the next one under its name is a stranger, compared by safety words like any.

    Wallets keep the keys they were made with: a node that was set up anew cannot sign with them.
    No node may run under this home meanwhile.
    """
    from mpcnode.cli.actions.contacts import remove_contact  # noqa: PLC0415 -- what is heavy waits for its command

    remove_contact(home, contact, json=json, verbose=verbose)

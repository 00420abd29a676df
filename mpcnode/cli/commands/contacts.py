"""``mpcnode contacts``: whose keys this home has pinned."""

from typing import Final

import typer

from mpcnode.cli.options import ContactArgument, Family, HomeOption, JsonOption, VerboseOption

EXAMPLES: Final = """\b
Examples:
  mpcnode contacts
  mpcnode contacts show cli3
  mpcnode contacts remove cli3     # after its node was set up anew, and you asked its owner"""

app = typer.Typer(cls=Family, epilog=EXAMPLES, invoke_without_command=True)


@app.callback()
def contacts(
    context: typer.Context, *, home: HomeOption = None, json: JsonOption = False, verbose: VerboseOption = False
) -> None:
    """List, show and remove the keys of known peers; alone, list."""
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

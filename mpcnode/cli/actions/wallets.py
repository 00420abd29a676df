"""What ``mpcnode wallets`` does: list, show and delete.

Anybody who can write to a home can forge the public part of a wallet file; only the passphrase vouches for it. So what
others send money to, or verify signatures with, comes from a wallet that was opened.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

from mpcnode import status
from mpcnode.cli.actions.passphrases import with_passphrase
from mpcnode.cli.options import SUITES, home_or_default
from mpcnode.cli.terminal.describe import wallet_lines, wallet_list
from mpcnode.cli.terminal.output import log_to_stderr, print_data, print_json, say
from mpcnode.cli.terminal.prompts import ask_line, has_terminal
from mpcnode.cli.terminal.text import as_typed, escape, listed
from mpcnode.control.lines import error_of
from mpcnode.errors import DecodeError, KeystoreUnreadable, NoTerminal, Refused, UsageError
from mpcnode.keystore.format import JsonObject
from mpcnode.keystore.keyring import Keyring
from mpcnode.keystore.store import Home
from mpcnode.protocols.epoch import SuiteKeys
from mpcnode.types import PeerId, SuiteId, parse_wallet_id
from mpcnode.wallet.addresses import WHY_NO_ETHEREUM, BitcoinNetwork, wallet_addresses
from mpcnode.wallet.public_keys import public_key_der, public_key_pem
from mpcnode.wallet.store import delete_wallet, find_wallet, read_header, view
from mpcnode.wallet.store import list_wallets as all_wallets
from mpcnode.wallet.wallet import Wallet

Network = Literal["mainnet", "testnet", "signet", "regtest"]

_NETWORKS: Final[dict[Network, BitcoinNetwork]] = {
    "mainnet": BitcoinNetwork.MAINNET,
    "testnet": BitcoinNetwork.TESTNET,
    "signet": BitcoinNetwork.SIGNET,
    "regtest": BitcoinNetwork.REGTEST,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Show:
    """What ``wallets show`` was asked for.

    Args:
        home: whose wallet.
        wanted: its name, or the beginning of its id.
        addresses: whether to open it for its addresses.
        network: which Bitcoin they are for.
        ethereum: whether an Ethereum address was asked for.
        form: a public key in this form, and nothing else.
        suite: of which suite; None for all.
        passphrase_file, passphrase_fd: where the passphrase comes from; None for the terminal.
        json, verbose: as everywhere.
    """

    home: Path
    wanted: str
    addresses: bool
    network: Network
    ethereum: bool
    form: Literal["pem", "der"] | None
    suite: str | None
    passphrase_file: Path | None
    passphrase_fd: int | None
    json: bool
    verbose: bool


def show_wallet(show: Show) -> None:
    """Print one wallet, or its public keys.

    Raises:
        KeystoreAbsent: no wallet is called that; KeystoreUnreadable, KeystoreNewer: the same, and one cannot be read.
        UsageError: several wallets are called that; or two options exclude each other; or an Ethereum address was asked
            for, and the message says why there is none.
        WrongPassphrase, KeystoreUnreadable: it does not open; nothing was printed.
        WalletPending: its public keys were asked for, and not everybody is known to have a share.
    """
    log_to_stderr(verbose=show.verbose)
    _check(show)
    home = Home.open(show.home, create=False)
    found = _find(home, show.wanted)
    if show.form is not None:
        _print_keys(_open(home, found, show), show)
        return
    can_open = show.passphrase_file is not None or show.passphrase_fd is not None or has_terminal()
    if show.addresses and found.state == "active" and can_open:
        found = _with_addresses(home, _open(home, found, show), show.network)
    if show.json:
        print_json(found)
    else:
        print_data(*wallet_lines(found))
    if not found.opened and not show.json:
        say(*_notes(found, show))


def _check(show: Show) -> None:
    if show.ethereum:
        raise UsageError(WHY_NO_ETHEREUM, hint="leave --ethereum out to see the addresses that it has")
    if show.form is None and show.suite is not None:
        raise UsageError("--suite says which public key", hint="add --pem or --der")
    if show.form is not None and show.json:
        raise UsageError(f"--{show.form} prints a public key, and not JSON", hint="leave one of them out")
    if show.form == "der" and sys.stdout.isatty():
        raise UsageError("DER is not text for a terminal", hint="write it to a file: > key.der")


def _find(home: Home, wanted: str) -> status.WalletView:
    stored, wallet = find_wallet(((one, read_header(one)) for one in home.list_wallets()), wanted)
    assert stored.kdf is not None  # every file whose header could be read has one
    return view(wallet, stored.kdf)


def _open(home: Home, found: status.WalletView, show: Show) -> Wallet:
    def load(passphrase: bytearray) -> tuple[JsonObject, bytearray]:
        with Keyring(passphrase) as keyring:
            return home.load_wallet(parse_wallet_id(found.wallet_id), PeerId(found.peer_id), keyring)

    header, secret = with_passphrase(show.home, show.passphrase_file, show.passphrase_fd, load)
    secret[:] = bytes(len(secret))  # only that it opens was asked; nothing here needs it
    try:
        return Wallet.from_header(header)
    except DecodeError as error:
        raise KeystoreUnreadable(f"wallet {found.wallet_id}: {error}") from error


def _with_addresses(home: Home, wallet: Wallet, network: Network) -> status.WalletView:
    addresses = {address.chain: address.text for address in wallet_addresses(wallet, _NETWORKS[network])}
    return msgspec.structs.replace(view(wallet, home.kdf()), opened=True, addresses=addresses)


def _notes(found: status.WalletView, show: Show) -> list[str]:
    if found.state == "pending":
        return ["note: a pending wallet has no addresses: not every participant is known to have stored its share"]
    notes = ["note: this is the public part of the wallet's file, which only the passphrase vouches for"]
    if show.addresses:
        notes.append("hint: for addresses add --passphrase-file FILE, or run this on a terminal")
    return notes


def _print_keys(wallet: Wallet, show: Show) -> None:
    wallet.require_active()
    keys = _chosen(wallet, show.suite)
    if show.form == "pem":
        print_data("".join(public_key_pem(one.suite, one.group_public_key) for one in keys).rstrip("\n"))
        return
    if len(keys) > 1:
        suites = ", ".join(short for short, suite in SUITES.items() if suite in {one.suite for one in keys})
        raise UsageError("--der writes one public key, and this wallet has several", hint=f"--suite is one of {suites}")
    sys.stdout.buffer.write(public_key_der(keys[0].suite, keys[0].group_public_key))
    sys.stdout.buffer.flush()


def _chosen(wallet: Wallet, suite: str | None) -> tuple[SuiteKeys, ...]:
    if suite is None:
        return wallet.suites
    wanted = SuiteId(SUITES.get(suite, suite))
    chosen = tuple(keys for keys in wallet.suites if keys.suite == wanted)
    if not chosen:
        has = ", ".join(keys.suite for keys in wallet.suites)
        raise UsageError(f"wallet {wallet.name} has no key of {suite!a}", hint=f"it has {has}")
    return chosen


# ---- list ----


def list_wallets(home: Path | None, *, json: bool, verbose: bool) -> None:
    """Print the wallets of a home; a file that cannot be read is reported on stderr, and fails the command.

    Args:
        home: None for the usual one, which may not be there yet; one that is named is.
        json, verbose: as everywhere.

    Raises:
        KeystoreAbsent: the home that is named is not there.
        MpcError: the first file that cannot be read.
    """
    log_to_stderr(verbose=verbose)
    path = home_or_default(home)
    wallets, unreadable = _wallets(path) if home is not None or path.exists() else ([], [])
    if not wallets and not unreadable:
        say(f"no wallets yet in {as_typed(str(path))}")
    if json:
        for one in (*wallets, *unreadable):
            print_json(one)
    else:
        print_data(*wallet_list(wallets))
    if unreadable:
        for error in unreadable[1:]:
            say(f"warning: {escape(error.message)}")
        raise error_of(unreadable[0])


def _wallets(home: Path) -> tuple[list[status.WalletView], list[status.ErrorView]]:
    stored = all_wallets(Home.open(home, create=False))
    return (
        [one for one in stored if isinstance(one, status.WalletView)],
        [one for one in stored if isinstance(one, status.ErrorView)],
    )


# ---- delete ----


def delete_pending(home: Path, wanted: str, *, verbose: bool) -> None:
    """Move a pending wallet to the trash, once a person typed its name.

    Raises:
        KeystoreAbsent, KeystoreUnreadable, KeystoreNewer, UsageError: no wallet, or no single one, is called that.
        NoTerminal: there is no person to type the name.
        Refused: the wallet is active, or another name was typed; nothing was moved.
        HomeInUse: a node runs under the home.
        KeystoreUnwritable: it could not be moved.
    """
    log_to_stderr(verbose=verbose)
    opened = Home.open(home, create=False)
    stored, wallet = find_wallet(((one, read_header(one)) for one in opened.list_wallets()), wanted)
    assert stored.kdf is not None  # every file whose header could be read has one
    if wallet.pending is None or wallet.active is not None:
        raise Refused(
            f"wallet {wallet.name} is active, and only a pending one is deleted",
            saved="this node's share is where it was",
            hint="keep it: the others may need this share to sign",
        )
    if not has_terminal():
        raise NoTerminal(
            "a person has to type the wallet's name, and standard input is not a terminal",
            hint="run this on a terminal",
        )
    missing = wallet.pending.missing
    given = [member.peer_id for member in wallet.roster if member.peer_id not in missing]
    say(
        *wallet_lines(view(wallet, stored.kdf)),
        "",
        f"word that its share is stored came from: {listed(given)}",
        f"no word came from: {listed(missing)}",
        "The others may have everybody's word: then their wallet is active, and has one share less without this one.",
        "Ask them before you go on.",
    )
    with opened.lock():  # from here on nothing that was shown can change
        if ask_line(f"type {wallet.name} to move this node's share to the trash: ").strip() != wallet.name:
            raise Refused(
                "the name that was typed is not the wallet's",
                saved="the wallet is where it was",
                hint="run it again and type the name as it is shown",
            )
        place = delete_wallet(opened, wallet)
    say(
        f"moved to {as_typed(str(place))}",
        f"to have it back, move it to {as_typed(str(home / 'wallets' / wallet.wallet_id.hex()))}",
        "to erase the share for ever, remove it there",
    )

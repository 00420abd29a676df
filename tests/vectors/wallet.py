"""Vectors of PROTOCOL, Wallet file: the wallet of the key generation and its refresh, under a passphrase."""

from mpcnode.crypto.suites import DEFAULT_SUITES
from mpcnode.keystore.format import KdfPolicy
from mpcnode.keystore.keyring import Keyring, new_kdf
from mpcnode.protocols.epoch import Certificate
from mpcnode.types import EpochId
from mpcnode.wallet.secret import Share, WalletSecret
from mpcnode.wallet.wallet import Epoch, EpochState, Wallet
from tests.vectors import refresh
from tests.vectors.keygen import wallet as made_wallet
from tests.vectors.made import NOW, Drawn, Json, Person

PASSPHRASE = b"correct horse battery staple"


def make() -> Json:
    first = made_wallet(2, 3)
    alice = first.people[0]
    stored = first.run.checkpoints[alice.number][1]
    later = refresh.refreshed()
    active = Wallet(
        wallet_id=first.statement.wallet_id,
        name="treasury",
        peer_id=alice.name,
        identity_key=alice.key,
        epochs=(Epoch(first.statement, first.certificate, EpochState.ACTIVE),),
        verified="words",
        created_ms=NOW,
    )
    mine = Certificate(later.epoch_id, {alice.key: later.certificate.signatures[alice.key]})
    pending = active.with_pending(later.statement, mine)
    refreshed = pending.merge(later.certificate)
    old, new = first.shares[alice.number], later.shares[alice.number]
    chain_code, document_key = stored["chain_code"], stored["document_key"]
    files = []
    for what, one, shares in (
        ("made, and active", active, {first.statement.epoch_id: old}),
        ("being refreshed", pending, {first.statement.epoch_id: old, later.epoch_id: new}),
        ("refreshed", refreshed, {later.epoch_id: new}),
    ):
        secret = WalletSecret(
            [
                Share(EpochId(epoch), suite, "frost", bytearray(data[suite]))
                for epoch, data in shares.items()
                for suite in DEFAULT_SUITES
            ],
            chain_code=bytearray(chain_code),
            document_key=bytearray(document_key),
        )
        one.check_secret(secret)
        body = bytes(secret.encode())
        rng = Drawn(f"wallet file, {what}")
        with Keyring(bytearray(PASSPHRASE)) as keyring:
            kdf = new_kdf(KdfPolicy(8 << 20, 1), Drawn("wallet file, salt"))
            sealed = keyring.seal("mpcnode-wallet", kdf, one.to_header(), body, rng)
            root = bytes(keyring._root(kdf))
        files.append({"what": what, "body": body, "root": root, "file": sealed.encode().decode("ascii")})
    identity = _identity_file(alice)
    return {"passphrase": PASSPHRASE.decode(), "files": files, "identity": {"seed": alice.seed, "file": identity}}


def _identity_file(one: Person) -> str:
    """Give the file of an identity."""
    with Keyring(bytearray(PASSPHRASE)) as keyring:
        kdf = new_kdf(KdfPolicy(8 << 20, 1), Drawn("wallet file, salt"))
        header = {"public_key": one.key.hex()}
        file = keyring.seal("mpcnode-identity", kdf, header, one.seed, Drawn("identity file"))
        return file.encode().decode("ascii")

"""What a command's arguments ask of a node; parsed without loading one."""

from dataclasses import replace

from mpcnode.control.lines import CreateWalletArguments, SignArguments
from mpcnode.errors import UsageError
from mpcnode.session.requests import CreateWallet, Sign
from mpcnode.types import PeerId, SuiteId, parse_peer_id, parse_wallet_name


def sign_request(arguments: SignArguments) -> Sign:
    """What is asked of the node.

    Raises:
        UsageError: an argument is not of its form.
    """
    try:
        return Sign(
            wallet=arguments.wallet,
            messages=tuple(bytes.fromhex(message) for message in arguments.messages),
            reading=arguments.reading,
            suite=SuiteId(arguments.suite) if arguments.suite is not None else None,
            with_peers=tuple(parse_with(name) for name in arguments.with_peers),
            merkle_root=None if arguments.merkle_root is None else bytes.fromhex(arguments.merkle_root),
            answer_within=arguments.answer_within,
        )
    except ValueError as error:
        raise UsageError("messages and a Merkle root are hexadecimal") from error


def create_wallet_request(arguments: CreateWalletArguments) -> CreateWallet:
    """Take ``arguments`` as the node's own request.

    Raises:
        UsageError: a name is not of its form.
    """
    try:
        name = parse_wallet_name(arguments.name)
    except ValueError as error:
        raise UsageError(f"{arguments.name!a} is no wallet name: {error}", hint="correct --name") from error
    request = CreateWallet(
        threshold=arguments.threshold,
        total=arguments.total,
        name=name,
        with_peers=tuple(parse_with(peer) for peer in arguments.with_peers),
        wait=arguments.wait,
        yes=arguments.yes,
        answer_within=arguments.answer_within,
    )
    if not arguments.suites:
        return request
    return replace(request, suites=tuple(SuiteId(suite) for suite in arguments.suites))


def parse_with(text: str) -> PeerId:
    """Take a name that was chosen as a peer id.

    Raises:
        UsageError: it is none.
    """
    try:
        return parse_peer_id(text)
    except ValueError as error:
        raise UsageError(f"{text!a} is no peer id: {error}", hint="correct --with") from error

import pytest

from tests.helpers.wallets import Made, make_wallet


@pytest.fixture
def made() -> Made:
    return make_wallet()

from tests.helpers.table import ANA, BEN, CLEO, table


async def test_three_nodes_make_a_wallet_sign_with_it_refresh_it_and_sign_again() -> None:
    async with table(2, 3, wallets=False) as people:
        made = await people.create_wallet(ANA)
        assert made.state == "active"
        await people.settled()
        await people.sign(BEN)
        refreshed = await people.refresh(CLEO)
        assert refreshed.epoch == 1
        await people.settled()
        assert people[ANA].states == people[BEN].states == ["retired", "active"]
        await people.sign(ANA)

"""Hours of a virtual pool whose rows are gone, after other nodes were declared for them."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from breakeven.economics.pool_hours import HOUR_US, NodePrice, PaidNode, PoolTerms
from breakeven.ledger.pools import keep_pools
from breakeven.ledger.virtual import VirtualHour, keep_hours, keep_terms
from breakeven.wiring.ledger import find_ledger
from breakeven.wiring.virtual_hours import ask_virtual

if TYPE_CHECKING:
    from pathlib import Path

FIRST = 494_000


def test_hours_of_other_nodes_are_left_out_and_told(tmp_path: Path) -> None:
    store = tmp_path / "ledger.sqlite"
    keep_pools(store, (), 0)  # makes the store
    terms = PoolTerms(
        name="maybe",
        nodes=(PaidNode(name="a", since_us=0), PaidNode(name="b", since_us=0)),
        prices=(NodePrice(node="", since_us=0, usd_per_hour=Decimal(4)),),
    )
    keep_terms(store, terms, range(FIRST, FIRST + 3))
    paid_us = {FIRST: HOUR_US, FIRST + 1: HOUR_US, FIRST + 2: 2 * HOUR_US}
    keep_hours(store, [VirtualHour("maybe", hour, us, 0, 0, {}, {}, "", ()) for hour, us in paid_us.items()])
    found = ask_virtual(find_ledger(tmp_path, None), None, (None, None), "hour", (FIRST + 9) * 3600.0)
    ((answer, _),) = found.answers
    assert (answer.whole.bill_usd, answer.whole.paid_s) == (Decimal(8), Decimal(7200))
    (note,) = found.notes
    assert note.startswith("partial: 2 hours of maybe are in no figure")

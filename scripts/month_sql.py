"""What a month saved, by SQL alone on the exported ledger: it imports nothing of Breakeven's.

month_sql.py EXPORT.parquet PRICES.json
    ``PRICES.json`` is what the team knows without a ledger: what the API charges, what a node costs an hour and since
    when, what its people cost an hour, from when to when.  Prints one JSON object of exact decimals: the API calls that
    were paid, the pool's bill, its people, the evaluation, what the same requests would have cost at the API, and what
    was saved.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import duckdb

OF_OUR_OWN = "decision IN ('shadow', 'judge')"
ANSWERED = "coalesce(decision, '') NOT IN ('shadow', 'judge') AND outcome IN ('ok', 'cut', 'client_left')"
SUM = "coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0)"


def main(export: str, prices: str) -> None:
    """Print the sums."""
    known = json.loads(Path(prices).read_text())
    since, until = (datetime.fromisoformat(known[name]) for name in ("from", "to"))
    attempts = f"FROM read_parquet('{export}') WHERE time >= '{since}' AND time < '{until}'"

    def api_usd(where: str) -> Decimal:
        (row,) = duckdb.sql(f"SELECT {SUM} {attempts} AND {where}").fetchall()
        million = Decimal(1_000_000)
        given, made = Decimal(int(row[0])), Decimal(int(row[1]))
        return (given * Decimal(known["input"]) + made * Decimal(known["output"])) / million

    rented = max(since, datetime.fromisoformat(known["rented"]))
    hours = Decimal(int((until - rented).total_seconds())) / 3600
    found = {
        "api": api_usd(f"target = 'api' AND NOT coalesce({OF_OUR_OWN}, false)"),
        "evaluation": api_usd(f"target = 'api' AND {OF_OUR_OWN}"),
        "pool": hours * Decimal(known["node_usd_per_hour"]),
        "people": hours * Decimal(known["people_usd_per_hour"]),
    }
    paid = sum(found.values(), Decimal(0))
    would = api_usd(ANSWERED)
    found |= {"paid": paid, "would": would, "saved": would - paid}
    print(json.dumps({name: str(usd) for name, usd in found.items()}))


if __name__ == "__main__":
    main(*sys.argv[1:])

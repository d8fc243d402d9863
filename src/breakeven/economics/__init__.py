"""The cost model: pure functions from numbers to numbers, each formula with its source.

Money is ``float`` here: these are estimates in percents.  Nothing computed here enters the ledger.
"""

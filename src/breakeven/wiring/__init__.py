"""The one layer that joins things: it constructs adapters, knows what day it is, and hands both to the rest.

``plan`` joins what a verdict needs, ``gateway`` what the data plane needs, ``ledger`` what questions to
the ledger need; ``clock`` is the only reader of time.
"""

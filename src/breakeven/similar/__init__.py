"""Answers to questions that mean the same as an earlier one: what two questions share, and whether it may be trusted.

Pure: vectors, bodies and outcomes of checks are passed in.  numpy is imported by ``index`` and ``vectors`` alone, so
that a gateway which has no use for them does not load it.
"""

"""Capacity: what fits, how fast it is, and what a pool would have done."""

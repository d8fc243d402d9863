"""What a key, a team, a tag, a model or a provider may still use: rates, parallel requests, budgets in dollars.

A request reserves what it may take before it is sent, and settles what it took after, so that no number of requests
at once can overdraw by more than one reservation.
"""

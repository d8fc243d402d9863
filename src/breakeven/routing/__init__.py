"""Which target a request goes to: one filter of what may be, then a policy that chooses; again after each failure.

All of it is pure: filter, policies and retries are functions of what they are shown, and what is remembered of a target
(its health, its latency) changes only by what it is told.  The shell that calls them reads the clock, draws the random
numbers and sends the request.
"""

"""Which target a request goes to: one filter of what may be, then a policy that chooses.

Both are pure functions of what they are shown; the shell that calls them holds the state, draws the random numbers and
sends the request.
"""

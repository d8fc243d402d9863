"""From the bytes of an answer to typed tokens, without changing, delaying or failing on any of them.

``read_completion`` reads an answer that came whole, ``StreamMeter`` one that comes as events, and both give a
``Reading``.  It knows nothing of prices, keys or sockets, and never tokenises: what a target does not tell is
estimated by the rule in ``reading``.
"""

"""From the bytes of an answer to typed tokens, without delaying or failing on any of them.

For each protocol there is a function that reads an answer that came whole, and a meter for one that comes as events:
``completion`` and ``stream`` (completions, of chat or of text alone), ``messages``, ``responses`` and ``embeddings``.
All give a ``Reading``.  They know nothing of prices, keys or sockets, and never tokenise: what a target does not tell
is estimated by the rule in ``reading``.
"""

"""The durable record of every attempt: ids, spool, store, roll-ups, and the questions they answer.

A worker appends a finished attempt to the *spool* (``spool.py``) before the last bytes of its response
are sent; the *mover* (``mover.py``) carries spooled rows into the *store* (``store.py``, SQLite) exactly
once, gives each its rate card and keeps hourly roll-ups.  Facts are recorded and cost is derived: no
table holds dollars.  It does not read prices from anywhere; price lists are handed in.
"""

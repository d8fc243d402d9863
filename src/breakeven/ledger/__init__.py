"""The durable record of every attempt: ids, spool, store, roll-ups, and the questions they answer.

A worker appends a finished attempt to the *spool* (``spool.py``) before the last bytes of its response
are sent; the *mover* (``mover.py``) carries spooled rows into the *store* (``store.py``, SQLite) exactly
once, gives each its rate card and keeps hourly roll-ups.  Facts are recorded and cost is derived: no
table holds dollars.  Days that are over are summed up (``rollups.py``) and their rows moved to a Parquet file each
(``days.py``, ``close.py``), until they are pruned; ``export.py`` reads both parts as one.  It does not read prices
from anywhere; price lists are handed in.
"""

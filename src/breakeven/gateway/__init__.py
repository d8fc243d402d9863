"""The data plane: clients on one side, targets on the other, and every request checked, routed, metered and kept.

``snapshot.py`` is all that a worker knows; ``connection.py`` speaks HTTP with a client, ``exchange.py``
carries one request to a target and back, ``recorder.py`` keeps the row before the last byte leaves;
``worker.py`` runs it all in one process and ``supervisor.py`` keeps the workers and moves the spool.
"""

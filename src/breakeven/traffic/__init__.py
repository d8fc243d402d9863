"""Traffic: reads traces, logs and bills into one table, and sums that table up as a profile.

``read.read_trace`` turns files into a ``Trace``, ``profile.profile`` turns a trace into the numbers
that the models need, ``sample.sample_path`` names the trace that is shipped.  Nothing here knows
prices or hardware, and nothing is re-exported: Ibis and DuckDB load only where they are used.
"""

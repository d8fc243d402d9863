"""Files and batches, as OpenAI's clients ask for them: kept on disk, and drained into idle capacity line by line.

One process beside the data plane.  It is handed the connections of its clients by the workers, and sends the lines of
batches to the gateway as anybody else would.
"""

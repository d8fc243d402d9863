"""Run in a process of its own, which tests may kill: llama.cpp's server, ended by the end of its standard input.

``llama_process.py MODEL SLOT_CONTEXT_TOKENS``; its first line is the address.  Unlike the engine for demonstrations it
answers embeddings too.
"""

from __future__ import annotations

import importlib
import sys

SLOTS = 8


def main() -> None:
    """Serve until the input ends."""
    llama = importlib.import_module("xllamacpp")
    model, slot_context_tokens = sys.argv[1:]
    parameters = llama.CommonParams()
    parameters.model.path = model
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.n_parallel = SLOTS
    parameters.n_ctx = SLOTS * int(slot_context_tokens)
    parameters.cpuparams.n_threads = 1
    parameters.n_threads_http = 64  # one for each connection that is kept, idle or not
    parameters.warmup = False
    parameters.verbosity = 0
    parameters.embedding = True
    parameters.pooling_type = llama.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    server = llama.Server(parameters)
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()

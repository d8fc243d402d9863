"""The control plane: a process of its own, beside the gateway, that shows what happens and changes keys.

No request for a model passes through it, and it may be missing or slow without any of them noticing.  It knows the
ledger's store, small files in which the workers say how they are, and hashes of its own tokens; no secret in the clear.
"""

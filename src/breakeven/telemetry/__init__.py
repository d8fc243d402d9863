"""Tells others of every attempt: one OpenTelemetry span for each row of the ledger, sent by a process of its own."""

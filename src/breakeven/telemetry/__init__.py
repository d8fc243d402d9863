"""Tells others of attempts and outcomes, by OpenTelemetry: read from the ledger, sent by a process of its own."""

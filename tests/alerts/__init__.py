"""Alerts beside real receivers: HTTP and SMTP servers on loopback."""

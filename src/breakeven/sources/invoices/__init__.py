"""Reads providers' cost exports and other bills, each in the form in which it is sold: one file a form."""

from breakeven.sources.invoices.lines import Invoice, InvoiceKind, InvoiceLine
from breakeven.sources.invoices.read import read_invoice

__all__ = ["Invoice", "InvoiceKind", "InvoiceLine", "read_invoice"]

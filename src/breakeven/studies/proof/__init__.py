"""What was really saved, whether bills and ledger agree, and how far break-even is."""

"""Files that start an engine elsewhere, from one plan of a pool: one file a form; nothing is written here."""

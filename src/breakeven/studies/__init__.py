"""One question each: frozen records and the book in, a frozen result out.  No files, no clock."""

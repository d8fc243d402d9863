"""Every way in which a verdict is shown, on one verdict."""

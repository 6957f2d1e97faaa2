"""Networks of apps: kept apart from the machine, joined to the internet behind rules."""

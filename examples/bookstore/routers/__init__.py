"""Which URL does what. Each file has a `router` that app.py includes."""

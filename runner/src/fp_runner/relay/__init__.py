"""The relay: proxies the database connections of this machine's apps to MongoDB, and limits their number (decision
26)."""

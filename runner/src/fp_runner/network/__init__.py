"""The networks of apps: separated from the machine's network and connected to the internet through a firewall."""

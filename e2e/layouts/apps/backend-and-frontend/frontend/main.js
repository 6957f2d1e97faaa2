fetch('/api/double?n=2')

rows = [{"title": "Momo", "pages": 304}, {"title": "Emil", "pages": 172}]

STORE = {"rex": "dog", "tom": "cat"}

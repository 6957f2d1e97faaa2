class A:
    name = "A"

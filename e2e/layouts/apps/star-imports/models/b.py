from .a import A


class B(A):
    name = "B"

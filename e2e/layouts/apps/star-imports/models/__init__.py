from .a import A
from .b import *

__all__ = ["A", "B"]

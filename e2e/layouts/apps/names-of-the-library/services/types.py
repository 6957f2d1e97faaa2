import types

KIND = types.SimpleNamespace(a=1).a

import csv
import io


def build(n):
    out = io.StringIO()
    csv.writer(out).writerows([i, i * i] for i in range(n))
    return out.getvalue()

"""How the lines of an app's log are marked. platform/src/runtime/local/log-format.ts parses the marks."""

import os
import re
from pathlib import Path

import pytest

from conftest import MakeApp
from fp_runner import log

MARK = re.compile(r"\x1e([oe])(\d{13}) (\S+) ")


class Streams:
    """The stdout and stderr of a process, in one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        marks = log._Marks("3.14-x")
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.out = log._MarkedLogFile(self._fd, b"o", marks)
        self.err = log._MarkedLogFile(self._fd, b"e", marks)

    def lines(self) -> list[str]:
        """The lines, each with the letter of its stream instead of its mark."""
        text = self._path.read_text()
        assert {tag for _, _, tag in MARK.findall(text)} <= {"3.14-x"}
        return MARK.sub(lambda mark: f"{mark[1]}:", text).split("\n")

    def close(self) -> None:
        os.close(self._fd)


@pytest.fixture
def streams(tmp_path: Path) -> Streams:
    return Streams(tmp_path / "log")


def test_each_line_is_marked_once(streams: Streams) -> None:
    assert streams.out.write(b"one\ntwo\n") == 8
    streams.out.write(b"par")
    streams.out.write(b"tial\n\n")
    streams.err.write(b"oh\n")
    assert streams.lines() == ["o:one", "o:two", "o:partial", "o:", "e:oh", ""]


def test_an_unfinished_line_ends_when_another_stream_writes(streams: Streams) -> None:
    streams.out.write(b"loading ... ")
    streams.err.write(b"a warning\n")
    streams.out.write(b"done\n")
    assert streams.lines() == ["o:loading ... ", "e:a warning", "o:done", ""]


def test_an_app_cannot_forge_a_mark(streams: Streams) -> None:
    forged = b"x\n\x1ee1700000000000 9.9-y it never was\n"
    assert streams.out.write(forged) == len(forged)
    assert streams.lines() == ["o:x", "o:\\x1ee1700000000000 9.9-y it never was", ""]


def test_a_large_write_is_marked_completely(streams: Streams) -> None:
    data = b"\n" * 200_000
    assert streams.out.write(data) == len(data)
    assert streams.lines() == ["o:"] * 200_000 + [""]


def test_a_failing_log_raises_no_error(streams: Streams) -> None:
    streams.close()
    assert streams.out.write(b"lost\n") == 5


WRITES = """
import os, subprocess, sys, threading
from fastapi import FastAPI

print("printed")
print("warned", file=sys.stderr)
os.write(1, b"by hand\\n")
subprocess.run(["/bin/sh", "-c", "echo by another"])
app = FastAPI()
"""


def test_output_that_bypasses_pythons_streams_has_no_mark(make_app: MakeApp) -> None:
    app = make_app(WRITES).start(log_tag="7.2-abc").ready()
    text = app.log.read_text()
    assert [(stream, tag) for stream, _, tag in MARK.findall(text)] == [("o", "7.2-abc"), ("e", "7.2-abc")]
    assert MARK.sub("", text) == "printed\nwarned\nby hand\nby another\n"


def test_a_log_tag_must_have_no_spaces(make_app: MakeApp) -> None:
    failure = make_app(WRITES).start(log_tag="7.2 abc").failed()
    assert "log_tag, a text without spaces" in failure["message"]

"""The app's folder in a pod: the files of its start request and its assets."""

import os
import stat
from collections.abc import Sequence

from fp_runner.pod_start_request import PodStartRequest, StartRequestError


class AppFolder:
    """Contains only the files of one start request, all read-only. Raises OSError if it cannot write them."""

    def __init__(self, path: str) -> None:
        self._path = path
        # The paths for each content, by its SHA-256.
        self._wanted: dict[str, list[str]] = {}
        self._folders: set[str] = set()

    def begin(self, given: PodStartRequest) -> None:
        """Empties the folder and writes the files of the start request."""
        _empty(self._path)
        self._wanted, self._folders = {}, set()
        for path, sha256 in given.assets.items():
            self._wanted.setdefault(sha256, []).append(path)
        for path, content in given.files.items():
            self._write(path, content)
        self._close_if_whole()

    @property
    def wanted(self) -> list[str]:
        """The SHA-256 of each content that has not arrived yet."""
        return list(self._wanted)

    def receive(self, content: bytes) -> None:
        """Writes an asset. Raises StartRequestError if the start request has no asset with this content."""
        # Imported late, because only pods with assets need it.
        import hashlib

        paths: Sequence[str] | None = self._wanted.pop(hashlib.sha256(content).hexdigest(), None)
        if paths is None:
            raise StartRequestError("the pod waits for no asset with this content")
        for path in paths:
            self._write(path, content)
        self._close_if_whole()

    def _write(self, path: str, content: bytes) -> None:
        target = f"{self._path}/{path}"
        parent = os.path.dirname(target)
        if parent not in self._folders:
            os.makedirs(parent, 0o755, exist_ok=True)
            while parent != self._path:
                self._folders.add(parent)
                parent = os.path.dirname(parent)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(target, flags, 0o644), "wb") as file:
            file.write(content)
            # open() would apply the umask to the mode.
            os.fchmod(file.fileno(), 0o444)

    def _close_if_whole(self) -> None:
        if not self._wanted:
            for made in self._folders:
                os.chmod(made, 0o555)  # noqa: S103


def _empty(folder: str) -> None:
    """A restarted container finds the files of the previous one."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                os.chmod(entry.path, stat.S_IRWXU)
                _empty(entry.path)
                os.rmdir(entry.path)
            else:
                os.unlink(entry.path)

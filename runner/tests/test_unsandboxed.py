"""Where the kernel refuses namespaces: nothing runs, unless the owner of the machine allows it."""

from pathlib import Path

import driver
from conftest import App

# Stands for a kernel without namespaces: a zygote whose unshare(2) and setns(2) are refused.
_LAUNCH = """
import runpy, sys
from fp_runner import privileges, seccomp, syscalls
privileges.no_new_privs()
code, column = seccomp._prologue()
denied = [syscalls.DENIED["unshare"], syscalls.DENIED["setns"]]
seccomp.install([*code, *seccomp._deny(denied, column), (0x06, 0, 0, 0x7FFF0000)])
sys.argv[0] = "zygote"
runpy.run_module("fp_runner.zygote", run_name="__main__")
"""
FILES = {
    "app.py": """
        import os
        from fastapi import FastAPI
        from helper import NAME
        app = FastAPI()

        @app.get("/")
        def read():
            return [NAME, os.getcwd(), "SECRET" in os.environ]
    """,
    "helper.py": "NAME = 'bare'",
}


def test_nothing_runs_without_the_minimum(tmp_path: Path) -> None:
    zygote = driver.Zygote(arguments=("-c", _LAUNCH))
    sandbox = zygote.hello["sandbox"]
    assert sandbox["minimum"] is False
    assert {missing["mean"] for missing in sandbox["missing"]} >= {"mount_namespace", "pid_namespace"}
    failure = App(zygote, tmp_path, "one", FILES).start().failed()
    assert failure["code"] == "FP_SANDBOX_FAILED"
    zygote.close()


def test_apps_run_bare_where_that_is_allowed(tmp_path: Path) -> None:
    zygote = driver.Zygote(arguments=("-c", _LAUNCH, "--allow-unsandboxed"))
    assert zygote.hello["sandbox"]["minimum"] is False
    app = App(zygote, tmp_path, "one", FILES).start().ready()
    assert app.get("/").json() == ["bare", str(app.dir), False]
    assert app.stop()["reason"] == "stopped"
    again = app.start().ready()
    assert again.kill()["reason"] == "killed"
    zygote.close()
    assert zygote.process.returncode == 0

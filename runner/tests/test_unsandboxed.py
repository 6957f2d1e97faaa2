"""A kernel that refuses namespaces: no app runs unless the owner of the machine allows it."""

from pathlib import Path

import driver
from conftest import App

# A runner whose unshare(2) and setns(2) are refused, as on a kernel without namespaces.
_LAUNCH = """
import runpy, sys
from fp_runner import privileges, seccomp, syscalls
privileges.no_new_privs()
code, column = seccomp._prologue()
denied = [syscalls.DENIED["unshare"], syscalls.DENIED["setns"]]
seccomp.install([*code, *seccomp._deny(denied, column), (0x06, 0, 0, 0x7FFF0000)])
sys.argv[0] = "manager"
runpy.run_module("fp_runner.manager", run_name="__main__")
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


def test_no_app_runs_without_the_required_minimum(tmp_path: Path) -> None:
    manager = driver.Manager(arguments=("-c", _LAUNCH))
    sandbox = manager.hello["isolation"]
    assert sandbox["minimum"] is False
    assert {missing["mechanism"] for missing in sandbox["missing"]} >= {"mount_namespace", "pid_namespace"}
    failure = App(manager, tmp_path, "one", FILES).start().failed()
    assert failure["code"] == "FP_SANDBOX_FAILED"
    manager.close()


def test_apps_run_without_a_sandbox_if_that_is_allowed(tmp_path: Path) -> None:
    manager = driver.Manager(arguments=("-c", _LAUNCH, "--allow-unsandboxed"))
    assert manager.hello["isolation"]["minimum"] is False
    app = App(manager, tmp_path, "one", FILES).start().ready()
    assert app.get("/").json() == ["bare", str(app.dir), False]
    assert app.stop()["reason"] == "stopped"
    again = app.start().ready()
    assert again.kill()["reason"] == "killed"
    manager.close()
    assert manager.process.returncode == 0

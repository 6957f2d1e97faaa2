"""The firewall for the packets of apps: one nftables table, which is created once; no app can change it.

The rules identify apps by a prefix of the interface that a packet comes in from. They run before the machine's own
sockets receive the packet and before the DNAT rules of another firewall.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from ipaddress import IPv4Address
from typing import Any, Final

from fp_runner.network.addresses import Share
from fp_runner.network.settings import Settings

# Blocked: this host, private, carrier-grade NAT, loopback, link-local (cloud metadata), protocol assignments,
# benchmarks, multicast, reserved and broadcast addresses; also Azure's metadata address, which looks public. The
# TEST-NETs are not blocked: nobody routes them, and the tests use one in place of the internet.
BLOCKED: Final = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32",
)  # fmt: skip
# Limits of one app: more than an app needs, and far less than would fill the machine's connection tracking table.
_CONNECTIONS: Final = 512
_NEW_PER_SECOND: Final = 100
_NEW_AT_ONCE: Final = 300
# For all apps: how many refused packets are answered. Further ones are dropped, and the app waits for its own timeout.
_REFUSALS_PER_SECOND: Final = 200
# How long the addresses of an allowed name stay allowed after its last lookup.
_NAMED_MINUTES: Final = 30
_TIMEOUT: Final = 10.0
# Shorter, because the helper process can do nothing else while nft runs.
_ALLOW_TIMEOUT: Final = 2.0
_SEARCH: Final = "/usr/sbin:/sbin:/usr/local/sbin:/usr/bin:/bin"


def program() -> str | None:
    """The path of `nft`, which an ordinary PATH seldom contains."""
    return shutil.which("nft", path=f"{_SEARCH}:{os.environ.get('PATH', '')}")


def nft(script: str, timeout: float = _TIMEOUT) -> None:
    """Runs a script as one transaction. Raises OSError with nft's message."""
    _run("-f", "-", script=script, timeout=timeout)


def tables() -> set[str]:
    """The names of all tables of the family inet."""
    answer = json.loads(_run("-j", "list", "tables"))
    return {entry["table"]["name"] for entry in answer["nftables"] if entry.get("table", {}).get("family") == "inet"}


def chains() -> list[dict[str, Any]]:
    """All base chains of the machine, of every program, as nft describes them."""
    answer = json.loads(_run("-j", "list", "chains"))
    return [entry["chain"] for entry in answer["nftables"] if "chain" in entry]


def drop_table(name: str) -> None:
    """Removes a table if it is there."""
    nft(f"add table inet {name}\ndelete table inet {name}\n")


def allow(share: Share, addresses: Iterable[IPv4Address], ports: Iterable[int | None]) -> None:
    """Lets apps reach the addresses that DNS has just returned for an allowed name."""
    script = []
    for ip in addresses:
        for port in ports:
            name, key = ("named_hosts", f"{ip}") if port is None else ("named_ports", f"{ip} . {port}")
            element = f"element inet {share.table} {name}"
            # Adding an existing element would keep its old timeout. So it is added, which makes the deletion valid,
            # then deleted, and added with a new timeout.
            script += [f"add {element} {{ {key} }}", f"delete {element} {{ {key} }}"]
            script.append(f"add {element} {{ {key} timeout {_NAMED_MINUTES}m }}")
    nft("\n".join(script) + "\n", _ALLOW_TIMEOUT)


def rules(share: Share, settings: Settings) -> str:
    """The whole table. It replaces a table of the same name."""
    apps = f'"{share.interfaces}*"'
    otherwise = "ip daddr @blocked jump refuse\n    accept" if settings.mode == "internet" else "jump refuse"
    return f"""
add table inet {share.table}
delete table inet {share.table}
table inet {share.table} {{
  set blocked {{ type ipv4_addr; flags interval; elements = {{ {", ".join(BLOCKED)} }}; }}
  set named_hosts {{ type ipv4_addr; flags timeout; }}
  set named_ports {{ type ipv4_addr . inet_service; flags timeout; }}
  set rates {{ type ipv4_addr; size 65535; flags dynamic, timeout; timeout 1m; }}
  set connections {{ type ipv4_addr; size 65535; flags dynamic; }}
  ct timeout brief {{
    protocol tcp; l3proto ip
    policy = {{ syn_sent: 20, established: 7200, fin_wait: 20, close_wait: 60, last_ack: 10, time_wait: 10, close: 5 }}
  }}
  chain allowed {{
    {_allowed(settings)}
  }}
  chain prerouting {{
    type filter hook prerouting priority raw; policy accept;
    iifname {apps} jump first
  }}
  chain first {{
    fib saddr . iif oif missing drop
    jump allowed
    fib daddr type {{ local, broadcast, multicast, anycast }} jump refuse
  }}
  chain tracked {{
    # Not in `first`: the timeout can only be set once the kernel tracks the connection.
    type filter hook prerouting priority mangle; policy accept;
    iifname {apps} meta l4proto tcp ct timeout set "brief"
  }}
  chain input {{
    type filter hook input priority filter - 10; policy accept;
    iifname {apps} jump bounded
    iifname {apps} jump allowed
    iifname {apps} jump refuse
  }}
  chain forward {{
    type filter hook forward priority filter - 10; policy accept;
    iifname {apps} jump from_app
    oifname {apps} ct state established,related accept
    oifname {apps} drop
  }}
  chain from_app {{
    ct state established,related accept
    oifname {apps} jump refuse
    meta nfproto != ipv4 jump refuse
    meta l4proto != {{ tcp, udp }} jump refuse
    jump bounded
    jump allowed
    {otherwise}
  }}
  chain bounded {{
    ct state established,related return
    update @rates {{ ip saddr limit rate over {_NEW_PER_SECOND}/second burst {_NEW_AT_ONCE} packets }} drop
    add @connections {{ ip saddr ct count over {_CONNECTIONS} }} jump refuse
  }}
  chain refuse {{
    limit rate {_REFUSALS_PER_SECOND}/second burst 100 packets reject with icmpx admin-prohibited
    drop
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {share.network} oifname != {apps} masquerade fully-random
  }}
}}
"""


def _allowed(settings: Settings) -> str:
    """The rules for allowed destinations. They are not an nftables set, because entries may overlap."""
    ports = ["" if entry.port is None else f" th dport {entry.port}" for entry in settings.networks]
    fixed = [f"ip daddr {entry.network}{port} accept" for entry, port in zip(settings.networks, ports, strict=True)]
    named = ["ip daddr @named_hosts accept", "ip daddr . th dport @named_ports accept"]
    return "\n    ".join(["meta l4proto != { tcp, udp } return", *fixed, *named])


def _run(*arguments: str, script: str = "", timeout: float = _TIMEOUT) -> str:
    path = program()
    if path is None:
        raise FileNotFoundError("the program nft is not installed; install the Debian package nftables")
    try:
        done = subprocess.run(  # noqa: S603 (rules of our own)
            [path, *arguments], input=script, capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise OSError("nft does not answer") from error
    if done.returncode:
        raise OSError(f"nft: {done.stderr.strip()[:500]}")
    return done.stdout

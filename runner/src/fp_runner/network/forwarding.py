"""Turns on IP forwarding of the machine. If it was off before, only packets of apps are forwarded."""

from typing import Final

from fp_runner.network import addresses, firewall

_SWITCH: Final = "/proc/sys/net/ipv4/ip_forward"
# This table records that fp has turned forwarding on. All platforms on the machine share it.
_TABLE: Final = "fp_forwarding"
# The interfaces of all shares, one pattern each: the only pattern that nft has is a prefix.
_APPS: Final = [f'"{addresses.interfaces_of(number)}*"' for number in range(addresses.SHARES)]
_ACCEPT: Final = "\n    ".join(f"iifname {apps} accept\n    oifname {apps} accept" for apps in _APPS)
_GUARD: Final = f"""
table inet {_TABLE} {{
  chain forward {{
    type filter hook forward priority filter - 20; policy accept;
    {_ACCEPT}
    drop
  }}
}}
"""


def enable() -> None:
    """If forwarding is off, turns it on with a rule that forwards only packets from and to apps. Raises OSError.

    Without the rule, a machine that was not a router would become one for its neighbours.
    """
    with open(_SWITCH, encoding="ascii") as switch:
        if switch.read().strip() != "0":
            return
    firewall.nft(_GUARD)
    with open(_SWITCH, "w", encoding="ascii") as switch:
        switch.write("1")


def restore() -> None:
    """Turns forwarding off if fp has turned it on and no other fp needs it. The caller holds the lock."""
    tables = firewall.tables()
    if _TABLE not in tables or tables & {addresses.table_of(number) for number in range(addresses.SHARES)}:
        return
    with open(_SWITCH, "w", encoding="ascii") as switch:
        switch.write("0")
    firewall.drop_table(_TABLE)


def obstacles() -> list[str]:
    """The chains of other programs that drop forwarded packets by default."""
    return sorted(
        f"{chain['family']} {chain['table']} {chain['name']}"
        for chain in firewall.chains()
        if chain.get("hook") == "forward"
        and chain.get("policy") == "drop"
        and chain["family"] in ("ip", "inet")
        and not chain["table"].startswith("fp_")
    )

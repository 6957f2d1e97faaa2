"""Lets the machine pass packets on, for apps only where it did not before."""

from typing import Final

from fp_runner.network import addresses, firewall

_SWITCH: Final = "/proc/sys/net/ipv4/ip_forward"
# Stands for "fp has switched it on". All platforms of the machine share it.
_TABLE: Final = "fp_forwarding"
# Each share's interfaces: nft knows no pattern but a prefix.
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
    """Switches forwarding on, if it is off, behind a rule that passes on nothing but what apps send and are sent.

    Without the rule a machine that was none would become a router for its neighbours. Raises OSError.
    """
    with open(_SWITCH, encoding="ascii") as switch:
        if switch.read().strip() != "0":
            return
    firewall.nft(_GUARD)
    with open(_SWITCH, "w", encoding="ascii") as switch:
        switch.write("1")


def restore() -> None:
    """Switches it off again if fp had switched it on and no other fp needs it. The caller holds the lock."""
    tables = firewall.tables()
    if _TABLE not in tables or tables & {addresses.table_of(number) for number in range(addresses.SHARES)}:
        return
    with open(_SWITCH, "w", encoding="ascii") as switch:
        switch.write("0")
    firewall.drop_table(_TABLE)


def obstacles() -> list[str]:
    """Other programs' chains that drop what is forwarded unless they allow it themselves."""
    return sorted(
        f"{chain['family']} {chain['table']} {chain['name']}"
        for chain in firewall.chains()
        if chain.get("hook") == "forward"
        and chain.get("policy") == "drop"
        and chain["family"] in ("ip", "inet")
        and not chain["table"].startswith("fp_")
    )

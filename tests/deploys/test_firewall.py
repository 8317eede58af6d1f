"""The rules for a firewall that docs/install-debian.md offers, in a network of their own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

NFT = shutil.which("nft", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
RULES = Path(__file__).parents[2] / "files/nftables/mosis.nft"
IPV4, IPV6 = ("127.0.0.1", "127.0.0.2", "127.0.0.3"), ("::1", "2001:db8:0:1::1", "2001:db8:0:2::1")
APART = ("unshare", "--net", "--", "sh", "-ec")
CONNECTS = """
import socket, sys
family, server, client, other = getattr(socket, sys.argv[1]), *sys.argv[2:]
with socket.create_server((server, 80), family=family, backlog=1024) as listening:
    opened = []
    try:
        for _ in range(600):
            opened.append(socket.create_connection((server, 80), 30, (client, 0)))
    except ConnectionRefusedError:
        print(len(opened))
    socket.create_connection((server, 80), 30, (other, 0)).close()
"""


@pytest.fixture(scope="module")
def nft() -> str:
    """The program, where this user may make a network for it."""
    if NFT is None:
        pytest.skip("nftables is not installed")
    if subprocess.run(
        [*APART, f"ip link set lo up; ip address add {IPV6[1]}/64 dev lo; {NFT} list ruleset"], capture_output=True
    ).returncode:
        pytest.skip("this user may make no network")
    return NFT


@pytest.mark.parametrize(
    ("family", "addresses"),
    [("AF_INET", IPV4), ("AF_INET6", IPV6)],
)
def test_one_client_has_at_most_512_connections(nft: str, family: str, addresses: tuple[str, ...]) -> None:
    """The rules are loaded twice, as by two starts of the service."""
    addresses_of_v6 = "; ".join(f"ip address add {address}/64 dev lo nodad" for address in IPV6[1:])
    script = f'ip link set lo up; {addresses_of_v6}; {nft} -f "$1"; {nft} -f "$1"; shift; exec "$@"'
    command = [*APART, script, "sh", RULES, sys.executable, "-c", CONNECTS, family, *addresses]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, "512\n"), ran.stderr

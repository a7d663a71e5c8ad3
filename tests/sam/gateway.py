"""Prints the address at which containers find this machine, from what `docker network inspect` says."""

import ipaddress
import json
import sys

[network] = json.load(sys.stdin)
for config in network["IPAM"]["Config"]:
    subnet = ipaddress.ip_network(config["Subnet"])
    if subnet.version == 4:
        # A daemon that was just started does not tell the gateway; it takes the first address.
        print(config.get("Gateway") or next(subnet.hosts()))
        break

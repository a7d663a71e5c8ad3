"""Deploys a release's archive to an emulator of AWS without Rust, and plays an event there.

Started by tests/sam/released with the folder of the unpacked archive and the sandbox's program, which
plays the agents.
"""

import os
import shutil
import sys
from pathlib import Path

import deployment

STACK = "supervisor-router-released"
EVENT = deployment.EVENTS / "general.json"


def main():
    folder, sandbox = Path(sys.argv[1]), sys.argv[2]
    without_rust()
    base = deployment.free_ports(4)
    emulator, agents = base, base + 1
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{emulator}",
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
    }
    with deployment.ministack(emulator, agents):
        reduced = deployment.reduce_template(folder, "bootstrap.zip")
        deployment.say("sam deploy, of the archive")
        deployment.deploy(reduced, STACK)
        stack = deployment.Stack(STACK)
        deployment.play(stack, emulator, agents, [EVENT], sandbox=[sandbox])


def without_rust():
    """Takes the folders with cargo or rustc off the path."""
    folders = os.environ["PATH"].split(os.pathsep)
    has_rust = [it for it in folders if any((Path(it) / name).exists() for name in ("cargo", "rustc"))]
    os.environ["PATH"] = os.pathsep.join(it for it in folders if it not in has_rust)
    deployment.check(shutil.which("cargo") is None, "there is no cargo on the path")


main()

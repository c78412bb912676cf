"""The first process of the emulated computer: runs the scenes and turns the computer off."""

import ctypes
import fcntl
import os
import re
import socket
import struct
import subprocess
import sys

LIMIT_S = 200
POWER_OFF = 0x4321FEDC
SET_FLAGS, UP_AND_RUNNING = 0x8914, 0x41


def prepare() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    for kind, folder in (("proc", b"/proc"), ("sysfs", b"/sys"), ("devtmpfs", b"/dev")):
        libc.mount(kind.encode(), folder, kind.encode(), 0, None)
    with socket.socket() as any_socket:
        request = struct.pack("16sH14s", b"lo", UP_AND_RUNNING, bytes(14))
        fcntl.ioctl(any_socket, SET_FLAGS, request)


def run(name: str) -> None:
    env = {"PYTHONPATH": "/site", "HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "/scenes.py", name]
    try:
        done = subprocess.run(
            command,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=LIMIT_S,
        )
        text, status = done.stdout, done.returncode
    except subprocess.TimeoutExpired as error:
        text, status = error.stdout or b"", 124
    sys.stdout.write(text.decode("utf-8", "replace")[-2000:] + "\n")
    sys.stdout.write(f"ENDED {name} {status}\n")
    sys.stdout.flush()


def main() -> None:
    prepare()
    with open("/proc/cpuinfo") as lines:
        flags = sorted(set(re.findall(r"\bospke\b", lines.read())))
    sys.stdout.write(f"\nFLAGS {' '.join(flags)}\n")
    with open("/proc/cmdline") as lines:
        names = re.findall(r"scenes=(\S+)", lines.read())[0].split(",")
    for name in names:
        run(name)
    sys.stdout.write("ALL ENDED\n")
    sys.stdout.flush()


try:
    main()
finally:
    os.sync()
    ctypes.CDLL(None).reboot(POWER_OFF)

#!/usr/bin/env python3
"""Runs clang-tidy over a build's sources, in parallel, skipping what has not changed since it was clean.

Usage: tests/run_tidy.py BUILD_DIR [--all]. Files that see Boost.Asio take half a minute each and are left out unless
--all is given. A stamp in BUILD_DIR/tidy is the hash of a file, of every header of ours that it sees, and of the checks.
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = re.compile(rb'^\s*#\s*include\s*([<"])([^">]+)[">]', re.M)
# clang does not know every feature that g++'s __builtin_cpu_supports does.
NOT_FOR_CLANG = {"kernels/kernels.cpp"}


class Sources:
    """What a file is made of, read once."""

    def __init__(self):
        self._texts = {}

    def text(self, path):
        if path not in self._texts:
            self._texts[path] = path.read_bytes()
        return self._texts[path]

    def closure(self, path):
        """The file, every header of ours that it sees, and whether Asio is among the others."""
        seen, queue, asio = {path}, [path], False
        while queue:
            for _, name in INCLUDE.findall(self.text(queue.pop())):
                header = ROOT / name.decode()
                if header.is_file() and header not in seen:
                    seen.add(header)
                    queue.append(header)
                asio = asio or name.startswith((b"boost/asio", b"boost/beast"))
        return seen, asio


def without_precompiled_header(arguments):
    """clang cannot read g++'s precompiled headers, and the sources include what they use."""
    kept, skip = [], 0
    for index, argument in enumerate(arguments):
        if skip:
            skip -= 1
        elif argument == "-include" and "cmake_pch" in arguments[index + 1]:
            skip = 1
        elif argument != "-Winvalid-pch":
            kept.append(argument)
    return kept


def write_database(build, folder):
    """A compilation database for clang, one command for each of our sources. Returns the sources."""
    commands = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        path = pathlib.Path(entry["file"])
        if not path.is_relative_to(ROOT) or path.is_relative_to(ROOT / "build"):
            continue
        if str(path.relative_to(ROOT)) not in NOT_FOR_CLANG:
            arguments = without_precompiled_header(shlex.split(entry["command"]))
            commands[path] = {"directory": entry["directory"], "file": entry["file"], "arguments": arguments}
    folder.mkdir(exist_ok=True)
    (folder / "compile_commands.json").write_text(json.dumps(list(commands.values())))
    return sorted(commands)


def stamp_of(sources, files):
    digest = hashlib.sha256(sources.text(ROOT / ".clang-tidy") + sources.text(ROOT / "tests/.clang-tidy"))
    for path in sorted(files):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + sources.text(path))
    return digest.hexdigest()


def tidy(folder, path):
    command = ["clang-tidy-16", "-p", str(folder), "--quiet", "--extra-arg=-Wno-error", "--extra-arg=-Wno-everything", str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    return path, done.returncode, done.stdout + ("" if done.returncode == 0 else done.stderr)


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    folder = build / "tidy"
    sources = Sources()
    waiting = {}
    left_out = clean = 0
    for path in write_database(build, folder):
        files, asio = sources.closure(path)
        stamp = stamp_of(sources, files)
        if (folder / stamp).exists():
            clean += 1
        elif asio and "--all" not in sys.argv:
            left_out += 1
        else:
            waiting[path] = stamp
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, code, output in pool.map(lambda path: tidy(folder, path), waiting):
            if code == 0:
                (folder / waiting[path]).touch()
            else:
                failed += 1
                print(f"{path.relative_to(ROOT)}:\n{output}", flush=True)
    print(f"clang-tidy: {len(waiting)} files checked, {clean} unchanged, {left_out} left out, {failed} with findings")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Fails where a folder includes, or links, what lies above it.

The graph is that of ARCHITECTURE.md. Usage: tests/check_includes.py [ROOT]; prints FILE:LINE for every wrong include.
"""

import pathlib
import re
import sys

FOLDERS = ("rag", "kernels", "embed", "cache", "engine", "gateway")

# What each folder may use besides itself: a folder, or one header of it.
MAY_USE = {
    "rag": (),
    "kernels": (),
    "embed": ("kernels",),
    "cache": ("rag", "embed/embedder.hpp"),
    "engine": ("rag", "kernels", "embed/safetensors.hpp"),
    "gateway": ("rag", "kernels", "embed", "cache", "engine"),
}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]')
LINK = re.compile(r"\bkvasir_(%s)\b" % "|".join(FOLDERS))
SUFFIXES = {".hpp", ".cpp", ".h", ".inc", ".cu", ".cuh"}


def allowed(folder, header):
    target = header.split("/", 1)[0]
    uses = MAY_USE[folder]
    return target == folder or target in uses or header in uses


def include_error(folder, quote, header, is_test):
    """One sentence, or None if `folder` may include `header`."""
    if is_test and (header.startswith(f"tests/{folder}/") or (header.startswith("tests/") and header.count("/") == 1)):
        return None
    target = header.split("/", 1)[0]
    if ".." in header.split("/"):
        return f'"{header}" climbs: name headers from the root, "folder/name.hpp"'
    if target in FOLDERS and not allowed(folder, header):
        return f"{folder}/ may not use {header}"
    if quote == '"' and target not in FOLDERS:
        return f'"{header}" is not named from the root: "folder/name.hpp" for ours, <name> for a library\'s'
    return None


def check_source(path, folder, is_test):
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = INCLUDE.match(line)
        error = match and include_error(folder, *match.groups(), is_test)
        if error:
            yield number, error


def check_links(path, folder):
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        for target in LINK.findall(line.split("#", 1)[0]):
            if target != folder and target not in MAY_USE[folder]:
                yield number, f"{folder}/ may not link kvasir_{target}"


def check_tree(root):
    """Yields (path, line, sentence). A folder's tests may use what the folder may."""
    for folder in FOLDERS:
        for base in (root / folder, root / "tests" / folder):
            for path in sorted(base.rglob("*")) if base.is_dir() else ():
                if path.suffix in SUFFIXES:
                    found = check_source(path, folder, base.parent != root)
                elif path.name == "CMakeLists.txt":
                    found = check_links(path, folder)
                else:
                    continue
                for number, error in found:
                    yield path.relative_to(root), number, error


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent).resolve()
    errors = list(check_tree(root))
    for path, number, error in errors:
        print(f"{path}:{number}: {error}")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())

"""The bill of materials of a release, as CycloneDX 1.5 JSON on standard output: `make sbom`.

What is linked into the binary, by cargo's own word (`cargo metadata`), with the hashes of Cargo.lock; what those crates bring in C;
the data that are embedded; the library of the system that is loaded. Two runs over one Cargo.lock give the same bytes: the time
is SOURCE_DATE_EPOCH, which `make` takes from the commit, or is left out.
"""

import datetime
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tomllib
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = os.environ.get("SBOM_TARGET", "x86_64-unknown-linux-gnu")
REGISTRY = "registry+https://github.com/rust-lang/crates.io-index"


def cargo(*arguments):
    command = [os.environ.get("CARGO", "cargo"), *arguments, "--locked"]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def in_the_tree():
    """Name and version of each package that is built for a release. `cargo metadata` alone would add what the features of tests bring."""
    lines = cargo("tree", "--edges", "normal", "--prefix", "none", "--target", TARGET).splitlines()
    return {tuple(line.split()[:2]) for line in lines if line}


def linked(graph, root):
    """The packages that normal dependencies lead to, and the arrows between them. A macro's own code is not in the binary, but it
    writes some of it: it is listed, too."""
    nodes = {node["id"]: node for node in graph["resolve"]["nodes"]}
    built = in_the_tree()
    names = {package["id"]: (package["name"], f"v{package['version']}") for package in graph["packages"]}
    arrows, waiting = {}, [root]
    while waiting:
        package = waiting.pop()
        if package in arrows:
            continue
        normal = [dep["pkg"] for dep in nodes[package]["deps"] if any(kind["kind"] is None for kind in dep["dep_kinds"])]
        arrows[package] = sorted({to for to in normal if names[to] in built})
        waiting.extend(arrows[package])
    return arrows


def licences(package):
    """An SPDX expression; `/` is the old way to write OR."""
    text = (package.get("license") or "NOASSERTION").replace("/", " OR ")
    return [{"expression": re.sub(r"\s+", " ", text)}]


def purl(package):
    # Without a source it is this package, which no registry has.
    kind = "cargo" if package["source"] else "generic"
    return f"pkg:{kind}/{package['name']}@{package['version']}"


def component(package, checksums):
    found = {
        "type": "library",
        "bom-ref": purl(package),
        "name": package["name"],
        "version": package["version"],
        "licenses": licences(package),
        "purl": purl(package),
    }
    checksum = checksums.get((package["name"], package["version"]))
    if checksum:
        found["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if package.get("repository"):
        found["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return found


def in_c(packages):
    """C that crates of this name compile in: name, version, licence."""
    folder = lambda name: pathlib.Path(next(p["manifest_path"] for p in packages if p["name"] == name)).parent
    header = (folder("libsqlite3-sys") / "sqlite3" / "sqlite3.h").read_text(encoding="utf-8", errors="replace")
    sqlite = re.search(r'#define SQLITE_VERSION\s+"([^"]+)"', header)[1]
    zstd = next(p["version"] for p in packages if p["name"] == "zstd-sys").partition("zstd.")[2]
    return [
        ("libsqlite3-sys", "sqlite", sqlite, {"name": "Public domain, as SQLite dedicates it"}, "pkg:generic/sqlite"),
        ("zstd-sys", "zstd", zstd, {"id": "BSD-3-Clause"}, "pkg:generic/zstd"),
    ]


def embedded():
    """Data that the binary holds."""
    file = next((ROOT / "config" / "geo").glob("*.packed.zst"))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return {
        "type": "data",
        "bom-ref": f"file:{file.name}",
        "name": "DB-IP Country Lite",
        "version": re.search(r"(\d{4}-\d{2})", file.name)[1],
        "licenses": [{"license": {"id": "CC-BY-4.0"}}],
        "hashes": [{"alg": "SHA-256", "content": digest}],
        "externalReferences": [{"type": "website", "url": "https://db-ip.com"}],
    }


def main():
    graph = json.loads(cargo("metadata", "--format-version", "1", "--filter-platform", TARGET))
    packages = {package["id"]: package for package in graph["packages"]}
    root = graph["resolve"]["root"]
    lock = (ROOT / "Cargo.lock").read_bytes()
    entries = tomllib.loads(lock.decode())["package"]
    checksums = {(p["name"], p["version"]): p["checksum"] for p in entries if "checksum" in p}
    arrows = linked(graph, root)
    strangers = [packages[p]["name"] for p in arrows if packages[p]["source"] not in (None, REGISTRY)]
    if strangers:
        sys.exit(f"not of crates.io: {', '.join(strangers)}")
    own = component(packages[root], {}) | {"type": "application"}
    components = [component(packages[package], checksums) for package in arrows if package != root]
    depends = {purl(packages[p]): [purl(packages[to]) for to in tos] for p, tos in arrows.items()}
    for crate, name, version, licence, where in in_c([packages[p] for p in arrows]):
        reference = f"{where}@{version}"
        components.append({"type": "library", "bom-ref": reference, "name": name, "version": version, "licenses": [{"license": licence}], "purl": reference})
        depends[reference] = []
        next(to for ref, to in depends.items() if ref.startswith(f"pkg:cargo/{crate}@")).append(reference)
    # Loaded from the system: which version is the machine's word.
    system = {"type": "library", "bom-ref": "pkg:generic/libpcap", "name": "libpcap", "licenses": [{"license": {"id": "BSD-3-Clause"}}], "purl": "pkg:generic/libpcap"}
    data = embedded()
    components += [system, data]
    for beside in (system, data):
        depends[own["bom-ref"]].append(beside["bom-ref"])
        depends[beside["bom-ref"]] = []
    components.sort(key=lambda found: found["bom-ref"])
    told = {"component": own, "tools": {"components": [{"type": "application", "name": "tests/support/sbom.py"}]}}
    if "SOURCE_DATE_EPOCH" in os.environ:
        moment = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), datetime.timezone.utc)
        told["timestamp"] = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, hashlib.sha256(lock).hexdigest())}",
        "version": 1,
        "metadata": told,
        "components": components,
        "dependencies": [{"ref": ref, "dependsOn": sorted(to)} for ref, to in sorted(depends.items())],
    }
    json.dump(bill, sys.stdout, indent=2, sort_keys=False)
    print()


if __name__ == "__main__":
    main()

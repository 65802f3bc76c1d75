"""Without these, what pip installs could lack a file, or take names that others use."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ("backspike", "hw", "sim", "LICENSE", "MANIFEST.in", "README.md", "pyproject.toml")


def packaged() -> dict[str, Path]:
    """What a package has to have inside, by its name there."""
    folders = {"hw": "backspike/hw", "sim": "backspike/sim", "backspike": "backspike"}
    return {
        f"{name}/{path.relative_to(ROOT / folder).as_posix()}": path
        for folder, name in folders.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """A wheel and a source distribution, made from a copy: setuptools leaves files beside it."""
    folder = tmp_path_factory.mktemp("packages")
    source = folder / "source"
    source.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=ignore)
        else:
            shutil.copy(ROOT / name, source)
    code = "from setuptools.build_meta import *; build_wheel('..'); build_sdist('..')"
    subprocess.run([sys.executable, "-c", code], cwd=source, check=True, capture_output=True)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sdist


def test_the_wheel_has_every_file_and_no_other_name(packages):
    names = set(zipfile.ZipFile(packages[0]).namelist())
    assert {name for name in names if ".dist-info/" not in name} == set(packaged())


def test_the_source_distribution_has_every_file(packages):
    with tarfile.open(packages[1]) as archive:
        files = {each.name.partition("/")[2] for each in archive if each.isfile()}
    assert set(packaged()) <= files
    assert not [name for name in files if name.startswith(("hw/", "sim/", "tests/"))]


def test_what_is_imported_is_installed_along():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    required = {re.match(r"[\w-]+", each)[0] for each in project["dependencies"]}
    distributions = metadata.packages_distributions()
    missing = set()
    for path in packaged().values():
        if path.suffix != ".py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            found = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            found += [node.module] if isinstance(node, ast.ImportFrom) else []
            for name in {each.partition(".")[0] for each in found} - sys.stdlib_module_names:
                if name != "backspike" and required.isdisjoint(distributions[name]):
                    missing.add(name)
    assert not missing


@pytest.mark.slow
def test_an_installed_wheel_trains_the_digits_from_any_folder(packages, tmp_path):
    """All that the environment has beside it are other packages, and nothing was built before."""
    environment = tmp_path / "environment"
    venv.create(environment)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, str(packages[0])], check=True)
    (site,) = environment.glob("lib/python*/site-packages")
    assert {each.name.partition("-")[0] for each in site.iterdir()} == {"backspike"}
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")

    folder, cache = tmp_path / "elsewhere", tmp_path / "cache"
    folder.mkdir()
    kept = {name: text for name, text in os.environ.items() if name != "BACKSPIKE_BUILD"}
    run = subprocess.run(
        [python.with_name("backspike"), "train", "--epochs", "1"],
        cwd=folder,
        env={**kept, "PYTHONPATH": "", "XDG_CACHE_HOME": str(cache)},
        capture_output=True,
        encoding="utf-8",
    )
    assert run.returncode == 0, run.stderr
    assert re.search(r"values compared, 0 differ; see build/train/timeline.png$", run.stdout, re.M)
    assert [each.name for each in folder.iterdir()] == ["build"]
    assert [each.name for each in (folder / "build").iterdir()] == ["train"]
    assert (cache / "backspike" / "sim").is_dir()

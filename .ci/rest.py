"""A plugin of pytest: leaves out what passed in an earlier run, told by its --junitxml file.

    PYTHONPATH=.ci python -m pytest -p rest --passed-in FILE
"""

from pathlib import Path
from xml.etree import ElementTree


def pytest_addoption(parser):
    parser.addoption("--passed-in", metavar="FILE", required=True)


def pytest_collection_modifyitems(config, items):
    cases = ElementTree.parse(config.getoption("--passed-in")).iter("testcase")
    passed = {(case.get("classname"), case.get("name")) for case in cases if len(case) == 0}  # failed, skipped: children
    rest = [item for item in items if called(item) not in passed]
    config.hook.pytest_deselected(items=[item for item in items if called(item) in passed])
    items[:] = rest


def called(item):
    """A test as the file names it: ("tests.peers.test_torch_cells", "test_lstm[float32]")."""
    address, bracket, parameters = item.nodeid.partition("[")
    path, *names = address.split("::")
    parts = [path.removesuffix(".py").replace("/", "."), *names]
    return ".".join(parts[:-1]), parts[-1] + bracket + parameters

"""A plugin of pytest: leaves out what passed in an earlier run, told by that run's --junitxml file.

PYTHONPATH=.ci python -m pytest -p rest --passed-in FILE
"""

from xml.etree import ElementTree


def pytest_addoption(parser):
    parser.addoption("--passed-in", metavar="FILE", required=True)


def pytest_collection_modifyitems(config, items):
    cases = ElementTree.parse(config.getoption("--passed-in")).iter("testcase")
    # What failed or was skipped says so in an element of its own.
    passed = {(case.get("classname"), case.get("name")) for case in cases if len(case) == 0}
    config.hook.pytest_deselected(items=[item for item in items if called(item) in passed])
    items[:] = [item for item in items if called(item) not in passed]


def called(item):
    """A test as the file names it: ("tests.peers.test_torch_cells", "test_lstm[float32]")."""
    address, bracket, parameters = item.nodeid.partition("[")
    path, *names = address.split("::")
    parts = [path.removesuffix(".py").replace("/", "."), *names]
    return ".".join(parts[:-1]), parts[-1] + bracket + parameters

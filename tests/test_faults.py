"""The list of seeded faults fits the code: `.ci/faults` runs only a few for a change, and code moves."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = ROOT / ".ci" / "faults"


@pytest.mark.skipif(not PROGRAM.exists(), reason="an sdist has no .ci")
def test_every_fault_has_one_place_and_a_test():
    FAULTS = runpy.run_path(str(PROGRAM))
    texts = [path.read_text() for path in FAULTS["sources"](ROOT)]
    programs = {path.stem.removeprefix("test_") for path in (ROOT / "tests" / "cpp").glob("test_*.cpp")}
    assert len(FAULTS["FAULTS"]) > 30
    for fault in FAULTS["FAULTS"].values():
        old, new = "\n".join(fault.old), "\n".join(fault.new)
        assert sum(text.count(old) for text in texts) == 1, fault.name
        assert new not in ("", old), fault.name
        assert fault.test in programs or (ROOT / "tests" / fault.test).is_file(), fault.name

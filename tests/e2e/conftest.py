"""Fixtures of the end-to-end tests.

Every test that takes `lab` runs once for each client library and each kind of source (four combinations), unless it is
marked `@pytest.mark.combos("libmariadb-mysql97", ...)`. ROWTIDE_BUILD_MARIADB and ROWTIDE_BUILD_MYSQLCLIENT name the build
directories. Nothing is skipped: what is missing fails. ROWTIDE_E2E_KEEP=1 keeps the directory of servers and slots."""
import os
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from rt.lab import Lab, World      # noqa: E402
from rt.util import tail           # noqa: E402

COMBOS = [f"{client}-{server}" for client in ("libmariadb", "libmysqlclient") for server in ("mysql97", "mariadb1011")]
EXTRA = ["libmariadb-mariadb118", "libmariadb-mysql56"]     # only where a test names it


def pytest_configure(config):
    config.addinivalue_line("markers", "heavy: minutes long, and for release builds")
    config.addinivalue_line("markers", "combos(*names): only these of " + ", ".join(COMBOS + EXTRA))
    # A cancelled run must still stop its servers.
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))


def pytest_generate_tests(metafunc):
    if "combo" in metafunc.fixturenames:
        mark = metafunc.definition.get_closest_marker("combos")
        names = list(mark.args) if mark else COMBOS
        assert set(names) <= set(COMBOS + EXTRA), names
        metafunc.parametrize("combo", names)


@pytest.fixture(scope="session")
def world():
    w = World()
    w.keep = bool(os.environ.get("ROWTIDE_E2E_KEEP"))
    if w.keep:
        print(f"\nkept: {w.dir}")
    yield w
    w.close()


@pytest.fixture
def lab(world, combo, request):
    client, kind = combo.split("-")
    it = Lab(world, client, kind)
    request.node.lab = it
    yield it
    it.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    it = getattr(item, "lab", None)
    if report.when == "call" and report.failed and it is not None:
        for d in it.daemons:
            report.sections.append((f"{d.program} ({d.log})", tail(d.log)))
        for s in it.own:
            report.sections.append((f"server {s.log}", tail(s.log, 15)))

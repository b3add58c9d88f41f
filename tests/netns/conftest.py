# SPDX-License-Identifier: Apache-2.0
import os
import pathlib
import shutil
import signal
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness import botlsd, lab as lab_module, netns, sanitizer  # noqa: E402
from harness.pki import Pki  # noqa: E402
from harness.router import base_folder  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "clear: needs no botlsd")
    # A time limit ends the run with SIGTERM: clean up as after Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))


def pytest_collection_modifyitems(items):
    if os.geteuid() != 0:
        reason = "network namespaces need root"
        missing = items
    elif not botlsd.is_built():
        reason = f"{botlsd.BOTLSD} is not built (make)"
        missing = [item for item in items if not item.get_closest_marker("clear")]
    else:
        return
    for item in missing:
        item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session", autouse=True)
def tidy():
    if os.geteuid() != 0:
        yield
        return
    botlsd.delete_leftover_pins(netns.delete_leftovers())
    lab_module.delete_leftover_folders()
    sanitizer.prepare()
    yield
    left = list(sanitizer.take_reports())
    if not os.environ.get("BOTLS_KEEP"):
        shutil.rmtree(base_folder(), ignore_errors=True)
    assert not left, "\n".join(["a sanitizer found something:", *left])


@pytest.fixture(scope="session")
def pki(tidy):
    return Pki(pathlib.Path(base_folder()) / "pki")


@pytest.fixture(autouse=True)
def sanitized(tidy):
    """Comes first, so that it looks when the processes of the test have ended."""
    yield
    reports = list(sanitizer.take_reports()) if os.geteuid() == 0 else []
    assert not reports, "\n".join(["a sanitizer found something:", *reports])


@pytest.fixture
def lab(tidy):
    made = lab_module.Lab()
    yield made
    made.close()


@pytest.fixture(scope="module")
def module_lab(tidy):
    made = lab_module.Lab()
    yield made
    made.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Shows every log of a failed test's routers, while they still run."""
    report = (yield).get_result()
    made = item.funcargs.get("lab") or item.funcargs.get("module_lab") if hasattr(item, "funcargs") else None
    if report.failed and report.when in ("setup", "call") and made:
        for title, text in made.report():
            report.sections.append((title, text))

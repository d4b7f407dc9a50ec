"""The short form of workload.py: ROWTIDE_LOAD_SECONDS (60) of sysbench with kills. For release builds."""
import os

import pytest

import workload

pytestmark = [pytest.mark.heavy, pytest.mark.combos("libmariadb-mysql97")]


def test_sysbench(lab):
    print()
    workload.run(lab, int(os.environ.get("ROWTIDE_LOAD_SECONDS", "60")))

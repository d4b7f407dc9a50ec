"""The short form of random_workload.py, with a fixed seed. `random_workload.py --seconds 3600` is the long one."""
import pytest

from random_workload import one_round


@pytest.mark.combos("libmariadb-mysql97", "libmariadb-mariadb1011", "libmariadb-mariadb118")
def test_random_tables_and_rows(lab):
    it = one_round(lab, seed=20240229, number=0, transactions=100)
    assert it.transactions == 100 and it.alters > 0 and len(it.oracle.compared) > 10


def without_names(lab, metadata):
    """With a schema history: the binlog has no names of columns."""
    lab.own_source(binlog_row_metadata=metadata)
    it = one_round(lab, seed=20240229, number=2, transactions=60, minimal=True)
    assert it.transactions == 60 and it.alters > 0 and len(it.oracle.compared) > 10


@pytest.mark.combos("libmariadb-mysql97", "libmariadb-mariadb118")
def test_random_tables_and_rows_without_names(lab):
    without_names(lab, "MINIMAL")


@pytest.mark.combos("libmariadb-mariadb118")
def test_random_tables_and_rows_without_any_metadata(lab):
    without_names(lab, "NO_LOG")

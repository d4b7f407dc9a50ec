"""The short form of random_workload.py, with a fixed seed. `random_workload.py --seconds 3600` is the long one."""
import pytest

from random_workload import one_round


@pytest.mark.combos("libmariadb-mysql97", "libmariadb-mariadb1011", "libmariadb-mariadb118")
def test_random_tables_and_rows(lab):
    it = one_round(lab, seed=20240229, number=0, transactions=100)
    assert it.transactions == 100 and it.alters > 0 and len(it.oracle.compared) > 10

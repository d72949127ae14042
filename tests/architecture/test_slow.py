"""tests/slow.txt, by which `make test-fast` leaves tests out, names tests that exist."""

from tests.conftest import REPOSITORY, SLOW


def test_every_slow_test_exists():
    assert list(SLOW) == sorted(SLOW)
    for line in SLOW:
        path, _, name = line.partition("::")
        assert (REPOSITORY / path).exists(), line
        assert not name or f"\ndef {name.partition('[')[0]}(" in (REPOSITORY / path).read_text(), line

# SPDX-License-Identifier: Apache-2.0
"""The Debian packages, built once more."""

from harness.package import build, packages


def test_reproducible(tmp_path, monkeypatch):
    """Elsewhere and under other circumstances: the same files."""
    built = packages()
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    monkeypatch.setenv("LC_ALL", "C")
    again = build(tmp_path / "deb")
    assert set(again.files) == set(built.files)
    for name, path in built.files.items():
        assert again.files[name].read_bytes() == path.read_bytes(), name

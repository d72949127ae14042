"""The site is built strictly, without the network, and holds what it generates."""

import os
import re
import subprocess
import sys

import pytest

from mic_det.config import known_keys, load_config
from tests.conftest import REPOSITORY

FOREIGN = re.compile(r"<(?:script|link|img)[^>]+(?:src|href)=[\"']?https?://")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(words, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_nothing_comes_from_the_network(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        loaded = [tag for tag in FOREIGN.findall(page.read_text(encoding="utf-8")) if "canonical" not in tag]
        assert not loaded, (page, loaded)


def test_every_key_of_ours_has_a_row(site):
    from detectron2.config import get_cfg

    text = (site / "reference/config_keys/index.html").read_text(encoding="utf-8")
    ours = set(known_keys(load_config("toycity"))) - set(known_keys(get_cfg()))
    shown = set(re.findall(r"<tr>\s*<td><code>([A-Z0-9_.]+)</code></td>", text))
    assert ours == shown


def test_every_verb_has_a_section(site):
    from mic_det.cli import VERBS

    text = (site / "reference/command_line/index.html").read_text(encoding="utf-8")
    assert all(f">mic-det {verb}<" in text.replace("&para;", "") or f'id="mic-det-{verb}"' in text for verb in VERBS)


def test_public_functions_have_an_entry(site):
    text = (site / "api/adaptation/index.html").read_text(encoding="utf-8")
    assert 'id="mic_det.adaptation.masking.BlockMask"' in text or 'id="mic_det.adaptation.masking"' in text

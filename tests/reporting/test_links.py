from mic_det.reporting.links import link_pages
from mic_det.reporting.report import write_report


def test_pages_of_a_folder_lead_to_each_other(tmp_path):
    write_report(tmp_path / "report.html", "mic & more", "", [], [])
    assert "<a href" not in (tmp_path / "report.html").read_text()
    write_report(tmp_path / "a gallery.html", "Pseudo-labels", "", [], [])
    assert '<a href="a%20gallery.html">Pseudo-labels</a>' in (tmp_path / "report.html").read_text()
    assert '<a href="report.html">mic &amp; more</a>' in (tmp_path / "a gallery.html").read_text()
    (tmp_path / "a gallery.html").unlink()
    link_pages(tmp_path)
    assert "<a href" not in (tmp_path / "report.html").read_text()


def test_other_files_are_left_alone(tmp_path):
    theirs = "<html><title>Mine</title><!-- links --><!-- /links --></html>"
    (tmp_path / "mine.html").write_text(theirs)
    (tmp_path / "bytes.html").write_bytes(b"\xff\xfe\x00")
    write_report(tmp_path / "report.html", "mic", "", [], [])
    assert (tmp_path / "mine.html").read_text() == theirs and (tmp_path / "bytes.html").read_bytes() == b"\xff\xfe\x00"
    assert "Mine" not in (tmp_path / "report.html").read_text()


def test_markup_in_titles_stays_text_in_links(tmp_path):
    name = "</title><script>alert(1)</script>"
    for file in ("a.html", "b.html"):
        write_report(tmp_path / file, name, "", [], [])
    assert "<script>" not in (tmp_path / "a.html").read_text() and "b.html" in (tmp_path / "a.html").read_text()

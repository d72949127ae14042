from mic_det.data.stream import StreamDataset
from mic_det.reporting.images import evenly, readable, training_samples


def read(record):
    if record.get("broken"):
        raise OSError("cannot identify image file")
    return record["file_name"].upper()


RECORDS = [{"file_name": name, "broken": name == "a"} for name in "abcde"]


def test_images_are_spread_over_the_whole_dataset():
    assert evenly("abcdefghi", 3) == ["a", "e", "i"] and evenly("ab", 3) == ["a", "b"]


def test_an_unreadable_image_is_reported_and_left_out(caplog):
    assert [(record["file_name"], sample) for record, sample in readable(RECORDS, read)] == [(n, n.upper()) for n in "bcde"]
    assert "left out of the pictures: a: cannot identify image file" in caplog.text


def test_another_image_replaces_an_unreadable_one_of_training():
    dataset = StreamDataset(RECORDS, lambda record: {"read": read(record)})
    assert [sample["read"] for sample in training_samples(dataset, 3, seed=0)] == ["B", "C", "E"]

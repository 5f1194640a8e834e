import argparse
import sys

import keras
import numpy as np
import pytest
from PIL import Image

from examples import caption


def test_pictures_are_what_their_captions_say():
    random = np.random.default_rng(0)
    red, blue = ("red", "cross"), ("blue", "square")
    relations = set()
    for _ in range(20):
        image, text, groups = caption.make_picture((red, blue), random)
        relation = " above " if " above " in text else " left of "
        relations.add(relation)
        first, second = text.split(relation)
        assert " red cross" in first and " blue square" in second
        axis = 1 if relation == " above " else 0
        assert groups[0].places[:, axis].max() < groups[1].places[:, axis].min()
        count = {"a": 1, "two": 2, "three": 3}[first.split()[0]]
        assert len(groups[0].places) == count
        assert first.endswith("es") == (count > 1)
        for group, channel in zip(groups, (0, 2)):
            for x, y in group.places.astype(int):
                assert image[y, x].argmax() == channel
    assert len(relations) == 2


def test_a_kind_may_be_alone():
    random = np.random.default_rng(0)
    _, text, groups = caption.make_picture((("green", "circle"),), random)
    assert len(groups) == 1 and "above" not in text and "left" not in text


def test_what_is_tested_together_is_not_trained_together():
    trained, tested = caption.split_kinds(np.random.default_rng(0))
    assert len(trained) + len(tested) == 24 * 24
    together = {frozenset(pair) for pair in trained}
    assert not together & {frozenset(pair) for pair in tested}
    assert {kind for pair in trained for kind in pair} == set(caption.KINDS)


def test_attention_is_measured_on_the_group_that_is_named():
    left, right = (caption.Group.__new__(caption.Group) for _ in range(2))
    left.places, right.places = np.array([[8.0, 8.0]]), np.array([[56.0, 40.0]])
    left.radius = right.radius = 4.0
    # Four cells of 32 pixels: upper left and lower right.
    cells = caption.find_cells([left, right], 2)
    assert [list(group) for group in cells] == [
        [True, False, False, False],
        [False, False, False, True],
    ]
    weights = np.zeros((1, 12, 4))
    weights[0, :4] = [1.0, 0, 0, 0]
    weights[0, 5:9] = [0.5, 0, 0, 0.5]
    text = "a small red cross above a large blue cross"
    shares = caption.measure_attention(weights, [text], [[left, right]])
    assert shares == {
        "count": 0.75,
        "size": 0.75,
        "colour": 0.75,
        "shape": 0.75,
        "by chance": 0.25,
    }


def test_captions_are_read_from_lines(tmp_path):
    path = tmp_path / "captions.txt"
    path.write_text("a.jpg#0\ta dog .\na.jpg#1\ttwo ears\nb.png\ta cat\n")
    for name in ("a.jpg", "b.png"):
        (tmp_path / name).touch()
    images, captions = caption.read_captions(tmp_path, path)
    assert images == [tmp_path / name for name in ("a.jpg", "a.jpg", "b.png")]
    assert captions == ["a dog .", "two ears", "a cat"]
    path.write_text("a.jpg a dog\n")
    with pytest.raises(ValueError, match="line 1: no tab in 'a.jpg a dog'"):
        caption.read_captions(tmp_path, path)
    path.write_text("a.jpg\ta dog\nc.png\ta cow\n")
    with pytest.raises(ValueError, match="line 2: no file .*c.png"):
        caption.read_captions(tmp_path, path)


def run(monkeypatch, *options):
    monkeypatch.setattr(sys, "argv", ["caption.py", *options])
    caption.main()


@pytest.mark.slow
def test_the_example_runs(briefly, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(caption, "NUM_TESTED", 12)
    options = ["--epochs=1", "--units=16", f"--output={tmp_path}"]
    run(monkeypatch, "--examples=96", *options)
    output = capsys.readouterr().out
    assert "Exactly right, of 12 held-out captions: " in output
    assert (tmp_path / "caption_attention.png").stat().st_size > 1000
    captioner = keras.saving.load_model(tmp_path / "caption.keras")
    image = np.zeros((1, 64, 64, 3), "uint8")
    assert len(captioner.generate(image)) == 1


def test_files_are_split_by_picture(tmp_path):
    lines = []
    for n in range(60):
        pixels = np.full((4, 6, 3), n, "uint8")
        Image.fromarray(pixels).save(tmp_path / f"{n}.png")
        lines += [f"{n}.png#{m}\tpicture {n}\n" for m in range(2)]
    path = tmp_path / "captions.txt"
    path.write_text("".join(lines))
    options = argparse.Namespace(images=tmp_path, captions=path, seed=0)
    *trained, test_images, test_captions, groups = caption.make_data(options)
    assert len(trained[0]) == 114 and len(test_images) == 6
    assert not set(trained[0]) & set(test_images) and groups is None
    for image, text in zip(test_images, test_captions):
        assert text == f"picture {image.stem}"


def test_images_and_captions_go_together(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, "--images=folder")
    assert "--images and --captions go together." in capsys.readouterr().err

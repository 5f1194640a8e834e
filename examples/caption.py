"""Pictures to words, and where the model looked for each of them.

Xu et al. (2015) describe a picture with a decoder that attends to the grid of
features of a convolutional network. This example draws its own pictures, one
or two groups of shapes such as "two small red circles above a large blue
square", and trains such a model on them from nothing. No two kinds of shape
that are tested together (red circles with blue squares, say) were together
in training.

What happens, in order: pictures are drawn and described; a tokenizer learns
the words; `Seq2Seq` of an `ImageEncoder` and an `RNNDecoder` learns with
`model.fit`; `ImageToText`, which shares its weights, describes the held-out
pictures. The result is saved as `caption.keras`, one file with the tokenizer
inside, and `caption_attention.png` shows where the model looked, word by
word. The decoder starts from nothing (`bridge="zero"`), so that all that it
knows of a picture it has from looking. It takes some seven minutes of processor
time, on two cores:

    python examples/caption.py

On pictures of your own, with a line for each caption, the name of a file, a
tab and the caption; several lines may name one file:

    python examples/caption.py --images FOLDER --captions FILE
    python examples/caption.py --images FOLDER --captions FILE \
        --backbone MobileNetV2 --size 160

To use what was saved:

    import keras
    import keras_s2s
    captioner = keras.saving.load_model("caption.keras")
    captioner.generate(["picture.png"])
"""

import argparse
import pathlib

import keras
import numpy as np

import keras_s2s as s2s

SIDE = 64  # pixels
COLOURS = {
    "red": (210, 40, 40),
    "orange": (245, 145, 30),
    "yellow": (235, 220, 60),
    "green": (40, 160, 70),
    "blue": (45, 80, 205),
    "purple": (140, 50, 170),
}
SHAPES = {
    "circle": lambda x, y: np.hypot(x, y) - 1.0,
    "square": lambda x, y: np.maximum(abs(x), abs(y)) - 0.85,
    "triangle": lambda x, y: np.maximum(y - 0.7, 1.8 * abs(x) - y - 1.0) / 1.5,
    "cross": lambda x, y: np.maximum(
        np.minimum(abs(x), abs(y)) - 0.3, np.maximum(abs(x), abs(y)) - 0.95
    ),
}
SIZES = {"small": (3.5, 4.5), "large": (6.5, 8.5)}  # radius in pixels
COUNTS = ("a", "two", "three")
KINDS = [(colour, shape) for colour in COLOURS for shape in SHAPES]
NUM_TESTED = 1000


class Group:
    """Some shapes of one kind in a row, or a column, of a picture."""

    def __init__(self, kind, area, is_column, random):
        self.kind = kind
        self.count = int(random.integers(1, 4))
        self.size = str(random.choice(list(SIZES)))
        radius = random.uniform(*SIZES[self.size])
        gap = 2 * radius + random.uniform(1, 3)
        reach = (self.count - 1) / 2 * gap + radius + 1
        middle = random.uniform(reach, SIDE - reach)
        across = random.uniform(area[0] + radius + 2, area[1] - radius - 2)
        along = middle + gap * (np.arange(self.count) - (self.count - 1) / 2)
        places = [along, across + random.uniform(-1, 1, self.count)]
        self.centre = np.array([middle, across])
        if is_column:
            places, self.centre = places[::-1], self.centre[::-1]
        self.places, self.radius = np.stack(places, axis=1), radius

    def __str__(self):
        colour, shape = self.kind
        ending = "" if self.count == 1 else "es" if shape == "cross" else "s"
        count = COUNTS[self.count - 1]
        return f"{count} {self.size} {colour} {shape}{ending}"

    def draw(self, picture, random):
        """Paints the shapes, each in a shade of its own."""
        colour, shape = self.kind
        for place in self.places:
            shade = COLOURS[colour] + random.normal(0, 8, 3)
            # The pixels around the place, from its middle, in radii.
            left, top = (place - self.radius - 1).astype(int).clip(0)
            window = picture[top : top + 20, left : left + 20]
            y, x = np.mgrid[: window.shape[0], : window.shape[1]]
            distance = SHAPES[shape](
                (x + left + 0.5 - place[0]) / self.radius,
                (y + top + 0.5 - place[1]) / self.radius,
            )
            cover = np.clip(0.5 - distance * self.radius, 0, 1)[..., None]
            window += cover * (shade - window)


def make_picture(kinds, random):
    """Returns a picture, uint8 (SIDE, SIDE, 3), its caption and its groups."""
    is_column = random.random() < 0.5
    halves = [(0, SIDE / 2), (SIDE / 2, SIDE)]
    areas = halves if len(kinds) == 2 else [(0, SIDE)]
    apart = -1.0
    # What is above something is not left of it as well.
    while apart < 0:
        groups = [
            Group(kind, area, is_column, random)
            for kind, area in zip(kinds, areas)
        ]
        x, y = abs(groups[-1].centre - groups[0].centre)
        apart = x - 2 * y if is_column else y - 2 * x
    picture = np.full((SIDE, SIDE, 3), random.uniform(170, 250, 3))
    picture += random.normal(0, 4, picture.shape)
    for group in groups:
        group.draw(picture, random)
    relation = " left of " if is_column else " above "
    caption = relation.join(str(group) for group in groups)
    return np.clip(picture, 0, 255).astype("uint8"), caption, groups


def split_kinds(random):
    """Returns pairs of kinds to train on, and a fifth of all to test on."""
    pairs = [(one, other) for one in KINDS for other in KINDS]
    tested = {frozenset(pairs[n]) for n in random.permutation(len(pairs))[:60]}
    trained = [pair for pair in pairs if frozenset(pair) not in tested]
    return trained, [pair for pair in pairs if frozenset(pair) in tested]


def draw_pictures(pairs, count, random, singles=0.0):
    """Returns `count` pictures of pairs, a share of them of one kind only."""
    images = np.empty((count, SIDE, SIDE, 3), "uint8")
    captions, groups = [], []
    for n in range(count):
        kinds = pairs[random.integers(len(pairs))]
        kinds = kinds[: 1 if random.random() < singles else 2]
        images[n], caption, drawn = make_picture(kinds, random)
        captions.append(caption)
        groups.append(drawn)
    return images, captions, groups


def read_captions(folder, path):
    """Returns the pictures and captions that the lines of a file name."""
    images, captions = [], []
    for number, line in enumerate(s2s.data.read_lines(path), start=1):
        name, tab, caption = line.partition("\t")
        if not tab:
            raise ValueError(f"{path}, line {number}: no tab in {line!r}.")
        images.append(folder / name.partition("#")[0])
        if not images[-1].is_file():
            raise ValueError(f"{path}, line {number}: no file {images[-1]}.")
        captions.append(caption)
    return images, captions


def make_backbone():
    """A small convolutional network: a grid of an eighth of the size."""
    layers = keras.layers
    stages = []
    for filters, pools in ((16, True), (32, True), (64, True), (96, False)):
        stages += [
            layers.Conv2D(filters, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
        ]
        if pools:
            stages.append(layers.MaxPooling2D())
    return keras.Sequential(stages, name="backbone")


def find_cells(groups, grid):
    """Returns for each group which cells of the grid it touches, bool (S,)."""
    cell = SIDE / grid
    touched = []
    for group in groups:
        low = (group.places.min(0) - group.radius) // cell
        high = (group.places.max(0) + group.radius) // cell
        y, x = np.mgrid[:grid, :grid]
        inside = (x >= low[0]) & (x <= high[0]) & (y >= low[1]) & (y <= high[1])
        touched.append(inside.reshape(-1))
    return touched


def measure_attention(alignments, captions, groups):
    """Returns how much of the attention lies on the group that is named.

    Args:
        alignments: float (N, T, S), of captions that are right: a group is
            named by the first four words, the other by the last four.
    Returns:
        Dict from what a word tells to its share of attention, and what share
        of the picture the groups take.
    """
    shares = {name: [] for name in ("count", "size", "colour", "shape")}
    areas = []
    for weights, caption, pair in zip(alignments, captions, groups):
        cells = find_cells(pair, int(np.sqrt(weights.shape[1])))
        for group, first in zip(cells, (0, len(caption.split()) - 4)):
            areas.append(group.mean())
            for n, name in enumerate(shares):
                shares[name].append(weights[first + n, group].sum())
    shares["by chance"] = areas
    return {name: np.mean(values) for name, values in shares.items()}


def draw_attention(captioner, image, path):
    """Saves a picture of where the model looked for each word."""
    result = captioner.inference.predict(image[None], verbose=0)
    ids = result["ids"][0, 0, : result["lengths"][0, 0]]
    words = captioner.target_tokenizer.decode([[int(one)] for one in ids])
    s2s.plots.plot_attention_over_image(
        image,
        result["alignments"][0, 0],
        [*words[:-1], "end"],
        path=path,
        title=" ".join(words),
    )


def report_attention(captioner, images, captions, groups, right):
    """Prints what `measure_attention` finds in the captions that are right."""
    result = captioner.inference.predict(images[right], verbose=0)
    chosen = np.flatnonzero(right)
    shares = measure_attention(
        result["alignments"][:, 0],
        [captions[n] for n in chosen],
        [groups[n] for n in chosen],
    )
    listed = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
    print(f"Attention on the group named, by what a word tells: {listed}")


def make_data(options):
    """Returns images and captions to train on, the same to test, groups."""
    random = np.random.default_rng(options.seed)
    if options.images is None:
        trained, tested = split_kinds(random)
        images, captions, _ = draw_pictures(
            trained, options.examples, random, singles=0.1
        )
        return images, captions, *draw_pictures(tested, NUM_TESTED, random)
    images, captions = read_captions(options.images, options.captions)
    # All captions of an image are on one side.
    tested = set(
        random.permutation(sorted(set(images)))[: len(images) // 50 + 1]
    )
    sides = [
        [pair for pair in zip(images, captions) if (pair[0] in tested) == side]
        for side in (False, True)
    ]
    return *zip(*sides[0]), *zip(*sides[1]), None


def make_model(vocabulary_size, options):
    """Returns a model to train, from images to captions."""
    encoder = s2s.layers.ImageEncoder(
        options.backbone or make_backbone(),
        image_shape=(options.size, options.size, 3),
        backbone_weights="imagenet" if options.backbone else None,
        trainable_backbone=options.backbone is None,
        embedding_dim=96,
        positions="sinusoidal",
    )
    decoder = s2s.layers.RNNDecoder(
        vocabulary_size,
        embedding_dim=32,
        units=options.units,
        cell="gru",
        attention="additive",
        bridge="zero",
    )
    return s2s.models.Seq2Seq(encoder, decoder)


def parse_options():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--examples", type=int, default=40000, help="pictures to draw")
    add("--images", type=pathlib.Path, help="folder of pictures, not drawn")
    add("--captions", type=pathlib.Path, help="file of their captions")
    add("--backbone", help="of keras.applications, frozen, from ImageNet")
    add("--size", type=int, default=SIDE, help="pixels to resize files to")
    add("--epochs", type=int, default=3, help="passes over the pictures")
    add("--units", type=int, default=128, help="size of the recurrent state")
    add("--seed", type=int, default=0, help="of the pictures and the weights")
    add("--output", type=pathlib.Path, default=".", help="folder to save in")
    options = parser.parse_args()
    if (options.images is None) != (options.captions is None):
        parser.error("--images and --captions go together.")
    if options.images is None:
        options.size = SIDE
    return options


def main():
    options = parse_options()
    options.output.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(options.seed)
    images, captions, test_images, test_captions, groups = make_data(options)
    tokenizer = s2s.tokenizers.SentencePieceTokenizer.train(
        captions, model_type="word", hard_vocab_limit=False
    )
    image_shape = (options.size, options.size, 3)
    data = s2s.data.ImagePairs(images, captions, tokenizer, image_shape)
    model = make_model(tokenizer.vocabulary_size, options)
    rate = keras.optimizers.schedules.CosineDecay(
        2e-3, options.epochs * len(data)
    )
    model.compile(
        optimizer=keras.optimizers.Adam(rate, clipnorm=1.0),
        loss=s2s.losses.SequenceLoss(),
        weighted_metrics=[s2s.metrics.TokenAccuracy()],
    )
    model.fit(data, epochs=options.epochs, shuffle=False)

    inference = s2s.models.InferenceModel(
        model,
        search=s2s.decoding.BeamSearch(beam_size=4),
        max_length=data.shapes[-1][2] + 4,
        return_alignments=True,
    )
    captioner = s2s.models.ImageToText(inference, tokenizer)
    answers = captioner.generate(test_images, verbose=1)
    for truth, answer in list(zip(test_captions, answers))[:10]:
        print(f"{truth:>60}  {answer}")
    right = np.array(answers) == np.array(test_captions)
    print(
        f"Exactly right, of {len(right)} held-out captions: {right.mean():.1%}"
    )
    if groups is not None and right.any():
        report_attention(captioner, test_images, test_captions, groups, right)

    captioner.save(options.output / "caption.keras")
    image = test_images[0]
    if options.images is not None:
        image = keras.utils.load_img(image, target_size=image_shape[:2])
    path = options.output / "caption_attention.png"
    draw_attention(captioner, np.asarray(image), path)
    print(f"Saved caption.keras and caption_attention.png in {options.output}")


if __name__ == "__main__":
    main()

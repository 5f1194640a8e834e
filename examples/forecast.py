"""Four coupled series, forecast a week ahead, hour by hour.

Think of small power grids: a town, its suburb, a wind park, and the line
that carries what is left over. Each day resembles the last, but there is
more to it than that: levels rise or fall, the days of the week differ, the
suburb follows the town by some hours, and the line feels all three. This
example makes up thousands of such grids, no two alike, and trains an encoder
and a decoder of vectors to go on where the series break off.

A vector is a day: 24 hours of four series, 96 numbers. Two weeks are read,
and a week is written, day by day. What happens, in order: grids are drawn,
and each is standardized by the two weeks that are read; `Seq2Seq` learns
with `model.fit`, where the decoder is fed the true day before. `Forecaster`,
which shares its weights, feeds the decoder what it wrote itself; its `fit`
trains on that, so that errors do not add up. It is compared with the seasonal
naive forecast, which repeats the last day or the last week, whichever is
better, on grids that it never saw. The
result is saved as `forecast.keras`, and one picture, `forecast.png`, shows a
grid. About two minutes on two processor cores:

    python examples/forecast.py

To use what it saved, on a float array (B, 14, 96) of standardized days, or a
list of arrays of more or fewer days, where NaN is a value that is missing:

    import keras
    import keras_s2s
    forecaster = keras.saving.load_model("forecast.keras")
    forecaster.predict(days)
"""

import argparse
import pathlib

import keras
import numpy as np

import keras_s2s as s2s

NAMES = ("town", "suburb", "wind", "line")
DAY = 24  # hours
DAYS_READ, DAYS_WRITTEN = 14, 7
NUM_HOURS = (DAYS_READ + DAYS_WRITTEN) * DAY
NUM_HELD_OUT = 1000


def draw_grids(count, random):
    """Returns float `(count, NUM_HOURS, 4)`: the series of grids."""
    hours = np.arange(NUM_HOURS)
    phase = random.uniform(0, 2 * np.pi, (count, 1))
    week = 1.0 + 0.3 * random.normal(size=(count, 7))
    town = week[:, hours // DAY % 7] * draw_day(phase, random)
    town += 0.05 * random.normal(size=(count, 1)) * hours / DAY
    town += draw_noise(0.7, 0.25, count, random)
    share = random.uniform(0.5, 1.5, (count, 1))
    before = np.maximum(hours - random.integers(2, 6, (count, 1)), 0)
    suburb = share * np.take_along_axis(town, before, axis=1)
    suburb += draw_noise(0.5, 0.25, count, random)
    wind = 0.7 * draw_day(phase + 2.0, random)
    wind += draw_noise(0.8, 0.25, count, random)
    share = random.uniform(0.5, 1.0, (count, 1))
    line = town + suburb - share * wind
    line += draw_noise(0.3, 0.25, count, random)
    return np.stack([town, suburb, wind, line], axis=-1)


def draw_day(phase, random):
    """Returns a daily course of two waves, float `(count, NUM_HOURS)`."""
    angle = 2 * np.pi * np.arange(NUM_HOURS) / DAY + phase
    size = random.uniform(0.2, 0.6, phase.shape)
    shift = random.uniform(0, 2 * np.pi, phase.shape)
    return np.sin(angle) + size * np.sin(2 * angle + shift)


def draw_noise(memory, size, count, random):
    """Returns noise of which each hour keeps a share from the last."""
    noise = size * random.normal(size=(count, NUM_HOURS))
    for hour in range(1, NUM_HOURS):
        noise[:, hour] += memory * noise[:, hour - 1]
    return noise


def standardize(grids):
    """Scales each series by the days that are read, which alone are known.

    A constant one is only shifted: it has no scale.
    """
    known = grids[:, : DAYS_READ * DAY]
    scale = np.std(known, axis=1, keepdims=True)
    scale = np.where(scale > 0, scale, 1.0)
    return (grids - np.mean(known, axis=1, keepdims=True)) / scale


def make_data(count, random):
    """Returns float32 `(count, 14, 96)` and `(count, 7, 96)`."""
    grids = standardize(draw_grids(count, random))
    days = grids.reshape(count, -1, DAY * len(NAMES)).astype("float32")
    return days[:, :DAYS_READ], days[:, DAYS_READ:]


def compile_and_fit(model, inputs, target, epochs, learning_rate):
    model.compile(
        keras.optimizers.Adam(learning_rate, clipnorm=1.0),
        loss=s2s.losses.SequenceRegressionLoss("absolute"),
    )
    model.fit(inputs, target, batch_size=64, epochs=epochs)


def draw_picture(source, target, forecast, naive, path):
    """Saves a picture of what was read, what came, and both forecasts."""
    from matplotlib.figure import Figure

    source, target, forecast, naive = (
        days.reshape(-1, len(NAMES)).T
        for days in (source[-4:], target, forecast, naive)
    )
    figure = Figure(figsize=(12, 8), layout="constrained")
    before, ahead = np.arange(-4 * DAY, 0), np.arange(DAYS_WRITTEN * DAY)
    for number, axes in enumerate(figure.subplots(len(NAMES), sharex=True)):
        axes.plot(before, source[number], color="0.6")
        axes.plot(ahead, naive[number], ":", label="seasonal naive")
        axes.plot(ahead, target[number], color="black", label="what came")
        axes.plot(ahead, forecast[number], label="forecast")
        axes.axvline(-0.5, color="0.8")
        axes.set_ylabel(NAMES[number])
    axes.set_xlabel("hours from now")
    axes.legend(loc="lower left", ncols=3)
    figure.savefig(path, dpi=120)


def parse_options():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--grids", type=int, default=16000, help="grids to train on")
    add("--epochs", type=int, default=3, help="passes, in either way")
    add("--units", type=int, default=128, help="size of the recurrent states")
    add("--seed", type=int, default=0, help="of the grids and the weights")
    add("--output", type=pathlib.Path, default=".", help="folder to save in")
    return parser.parse_args()


def main():
    options = parse_options()
    options.output.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(options.seed)
    random = np.random.default_rng(options.seed)
    source, target = make_data(options.grids, random)
    test_source, test_target = make_data(NUM_HELD_OUT, random)

    size = DAY * len(NAMES)
    encoder = s2s.layers.RNNVectorEncoder(
        vector_dim=size,
        embedding_dim=options.units,
        units=options.units // 2,  # in each of two directions
        cell="gru",
    )
    decoder = s2s.layers.RNNVectorDecoder(
        vector_dim=size,
        embedding_dim=options.units,
        units=options.units,
        cell="gru",
        attention="additive",
    )
    model = s2s.models.Seq2Seq(encoder, decoder)
    # What the decoder is fed: the day before each day that it writes.
    fed = np.concatenate([source[:, -1:], target[:, :-1]], axis=1)
    inputs = {"source_vectors": source, "target_vectors": fed}
    compile_and_fit(model, inputs, target, options.epochs, 3e-3)
    forecaster = s2s.models.Forecaster(model, DAYS_WRITTEN)
    compile_and_fit(forecaster, source, target, options.epochs, 1e-3)

    forecast = forecaster.predict(test_source)
    # Two seasons, of a day and of a week: the forecast that is harder to beat.
    naive = min(
        np.repeat(test_source[:, -1:], DAYS_WRITTEN, axis=1),
        test_source[:, -DAYS_WRITTEN:],
        key=lambda days: np.abs(days - test_target).mean(),
    )
    ours, theirs = (
        np.abs(days - test_target).reshape(-1, len(NAMES))
        for days in (forecast, naive)
    )
    for number, name in enumerate(NAMES):
        print(
            f"{name:>8}: mean absolute error {ours[:, number].mean():.3f}, "
            f"seasonal naive {theirs[:, number].mean():.3f}"
        )
    less = 1 - ours.mean() / theirs.mean()
    print(
        f"On {NUM_HELD_OUT} held-out grids: {ours.mean():.3f}, seasonal naive "
        f"{theirs.mean():.3f}, which is {less:.1%} less"
    )

    forecaster.save(options.output / "forecast.keras")
    picture = options.output / "forecast.png"
    draw_picture(test_source[0], test_target[0], forecast[0], naive[0], picture)
    print(f"Saved forecast.keras and forecast.png in {options.output}")


if __name__ == "__main__":
    main()

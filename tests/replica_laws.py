"""Two replicas of `tf.distribute` train as one does; on two devices.

`models/test_shares.py` runs this file in a process of its own.
"""

import keras
import tensorflow as tf

import keras_s2s as s2s
from keras_s2s.losses import SequenceLoss
from tests import numerics
from tests.models import test_shares as shares

(CPU,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(
    CPU, [tf.config.LogicalDeviceConfiguration()] * 2
)
STRATEGY = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def fit_pairs():
    """5 pairs in batches of 3 and 2 rows, of unlike numbers of tokens."""
    shares.make_model.cache_clear()
    targets = [[5, 6, 7], [7], [8, 9], [5, 5, 5, 5], [6]]
    data = s2s.data.SequencePairs(targets, targets, batch_size=3)
    model = shares.make_model()
    model.compile(
        keras.optimizers.SGD(1.0),
        loss=SequenceLoss(label_smoothing=0.1),
        weighted_metrics=[s2s.metrics.Perplexity()],
    )
    history = model.fit(data, epochs=2, shuffle=False, verbose=0).history
    return history, model.get_weights()


def test_replicas_train_as_one():
    expected = fit_pairs()
    with STRATEGY.scope():
        found = fit_pairs()
    numerics.assert_close(found, expected, 1e-5)

"""What TensorFlow reads batches with."""

import tensorflow as tf
from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter


class PromptAdapter(PyDatasetAdapter):
    """As Keras reads a `PyDataset`, with nothing to wait for at its end.

    A thread of tf.data wakes up 10, 20, 40 ms and so on after one another to
    choose how many batches to read ahead, and an iterator ends when its
    thread does. More often than not that is at once; else it sleeps on: with
    TensorFlow 2.21, 3 in 10 epochs of 52 s took 82, half a minute of them
    without any work.
    """

    def get_tf_dataset(self) -> tf.data.Dataset:
        """Batches that are read ahead, without that thread."""
        options = tf.data.Options()
        options.autotune.enabled = False
        return super().get_tf_dataset().with_options(options)

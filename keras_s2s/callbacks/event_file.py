"""Texts and pictures for TensorBoard."""

import os
import struct


class EventFile:
    """A file of what TensorBoard shows, which need not be installed.

    Written by TensorFlow's own writer, on every Keras backend.

    Args:
        folder: str or path. Where to put it; made if it is not there.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        # No backend here: what writes event files, whatever the backend.
        import tensorflow as tf

        self._tensorflow = tf
        self._writer = tf.summary.create_file_writer(os.fspath(folder))

    def write_text(self, tag: str, text: str, step: int) -> None:
        """Writes a text in Markdown under a name, at an epoch or update."""
        self._write(tag, [text], "text", "DATA_CLASS_TENSOR", step)

    def write_picture(self, tag: str, png: bytes, step: int) -> None:
        """Writes a picture, a PNG file's content, likewise."""
        size = struct.unpack(">II", png[16:24])  # width and height, pixels
        values = [*map(str, size), png]
        self._write(tag, values, "images", "DATA_CLASS_BLOB_SEQUENCE", step)

    def close(self) -> None:
        """Ends the file."""
        self._writer.close()

    def _write(
        self, tag: str, values: list, plugin: str, kind: str, step: int
    ) -> None:
        tf = self._tensorflow
        metadata = tf.compat.v1.SummaryMetadata(data_class=kind)
        metadata.plugin_data.plugin_name = plugin
        with self._writer.as_default():
            tf.summary.write(
                tag, tf.constant(values, tf.string), step, metadata
            )
        # What a killed run has shown stays.
        self._writer.flush()

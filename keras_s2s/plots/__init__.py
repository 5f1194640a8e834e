"""Pictures of what a model attends to, and of what a search tries."""

from keras_s2s.plots.alignment import plot_alignment as plot_alignment
from keras_s2s.plots.alignment import plot_text_alignment as plot_text_alignment
from keras_s2s.plots.beam import plot_beam as plot_beam
from keras_s2s.plots.image import (
    plot_attention_over_image as plot_attention_over_image,
)

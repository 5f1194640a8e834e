"""Models: training, inference, text to text, images to text."""

from keras_s2s.models.image_to_text import ImageToText
from keras_s2s.models.inference import InferenceModel
from keras_s2s.models.seq2seq import Seq2Seq
from keras_s2s.models.text_to_text import TextToText

__all__ = ["ImageToText", "InferenceModel", "Seq2Seq", "TextToText"]

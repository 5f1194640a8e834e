"""Models: training, inference, forecasts, text and images to text."""

from keras_s2s.models.averaging import average_models
from keras_s2s.models.ensemble import Ensemble
from keras_s2s.models.forecaster import Forecaster
from keras_s2s.models.hypothesis import Hypothesis
from keras_s2s.models.image_to_text import ImageToText
from keras_s2s.models.inference import InferenceModel
from keras_s2s.models.language_model import LanguageModel
from keras_s2s.models.minimum_bayes_risk import minimum_bayes_risk
from keras_s2s.models.one_to_many import OneToMany
from keras_s2s.models.scheduled_sampling import ScheduledSampling
from keras_s2s.models.seq2seq import Seq2Seq
from keras_s2s.models.text_to_text import TextToText

__all__ = [
    "Ensemble",
    "Forecaster",
    "Hypothesis",
    "ImageToText",
    "InferenceModel",
    "LanguageModel",
    "OneToMany",
    "ScheduledSampling",
    "Seq2Seq",
    "TextToText",
    "average_models",
    "minimum_bayes_risk",
]

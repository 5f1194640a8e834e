"""Search over a step function, with no layer in sight."""

from keras_s2s.decoding.beam import BeamSearch as BeamSearch
from keras_s2s.decoding.constraint import Constraint as Constraint
from keras_s2s.decoding.constraints import NoRepeatNgrams as NoRepeatNgrams
from keras_s2s.decoding.constraints import (
    RepetitionPenalty as RepetitionPenalty,
)
from keras_s2s.decoding.forbidden_phrases import (
    ForbiddenPhrases as ForbiddenPhrases,
)
from keras_s2s.decoding.forced_prefix import ForcedPrefix as ForcedPrefix
from keras_s2s.decoding.greedy import GreedySearch as GreedySearch
from keras_s2s.decoding.length_limits import MaximumLength as MaximumLength
from keras_s2s.decoding.length_limits import MinimumLength as MinimumLength
from keras_s2s.decoding.required_phrases import (
    RequiredPhrases as RequiredPhrases,
)
from keras_s2s.decoding.sampling import RandomSampling as RandomSampling
from keras_s2s.decoding.search import Search as Search
from keras_s2s.decoding.shortlist import Shortlist as Shortlist
from keras_s2s.decoding.stochastic_beam import (
    StochasticBeamSearch as StochasticBeamSearch,
)

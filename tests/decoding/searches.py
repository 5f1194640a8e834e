"""What every search finds in one model, on the backend in use."""

import keras
import numpy as np
from keras import ops

from keras_s2s.decoding import BeamSearch
from keras_s2s.decoding import ForbiddenPhrases
from keras_s2s.decoding import ForcedPrefix
from keras_s2s.decoding import GreedySearch
from keras_s2s.decoding import MaximumLength
from keras_s2s.decoding import MinimumLength
from keras_s2s.decoding import NoRepeatNgrams
from keras_s2s.decoding import RandomSampling
from keras_s2s.decoding import RepetitionPenalty
from keras_s2s.decoding import RequiredPhrases
from keras_s2s.decoding import Shortlist
from keras_s2s.decoding import StochasticBeamSearch
from tests.decoding.oracles import BOS
from tests.decoding.oracles import EOS
from tests.decoding.oracles import PAD
from tests.decoding.oracles import HistoryModel
from tests.decoding.rules import TOLD
from tests.decoding.rules import Together

# Each is compiled anew by JAX, so that each has all that goes together.
SEARCHES = {
    "one": BeamSearch(
        1, "gnmt", coverage_penalty=0.5, constraints=[NoRepeatNgrams(1)]
    ),
    "told groups": BeamSearch(
        12,
        "power",
        -0.5,
        num_hypotheses=12,
        num_groups=3,
        word_reward=0.3,
        coverage_penalty=0.5,
        constraints=[rule.constraint for rule in TOLD],
    ),
    "constrained": BeamSearch(
        3,
        "gnmt",
        0.9,
        num_hypotheses=3,
        constraints=[
            NoRepeatNgrams(2),
            RepetitionPenalty(1.5),
            ForbiddenPhrases([[4], [0, 3]]),
            MinimumLength(3),
            ForcedPrefix([3]),
            RequiredPhrases([[1, 1], [3, 1]]),
            Shortlist([3, EOS, 1]),
        ],
    ),
    "limits": BeamSearch(
        2,
        constraints=[
            MinimumLength(1, ratio=0.5),
            MaximumLength(1, ratio=0.9),
        ],
    ),
    "no word twice": GreedySearch(constraints=[NoRepeatNgrams(1)]),
    "sampling": RandomSampling(top_p=0.9, num_samples=2, seed=0),
    "stochastic": StochasticBeamSearch(
        3, 0.8, seed=0, constraints=[NoRepeatNgrams(2)]
    ),
}


def search_all():
    """Returns a flat dict of NumPy arrays."""
    model = HistoryModel(12, seed=61, max_length=6, eos_bias=1.0, banned=0.1)
    told = Together(["told"], 6).inputs(12)
    arrays = {}
    for search_name, search in SEARCHES.items():

        def function(state, context, told, search=search):
            return search.search(
                model.step,
                state,
                context,
                batch_size=12,
                max_length=6,
                bos_id=BOS,
                eos_id=EOS,
                pad_id=PAD,
                record_alignments=True,
                source_lengths=np.arange(12, dtype="int32") % 5 + 1,
                inputs={name: told[name] for name in search.inputs},
            )

        if keras.backend.backend() == "jax":
            import jax

            function = jax.jit(function)
        tensors = keras.tree.map_structure(
            ops.convert_to_tensor,
            [model.state(search.beam_size), model.context, told],
        )
        for name, part in function(*tensors).items():
            arrays[f"{search_name}/{name}"] = ops.convert_to_numpy(part)
    return arrays

"""Holds the package to its plan: floors, imports, sizes and public names."""

import ast
import importlib
import inspect
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "keras_s2s"

# A module imports from lower floors, or from its own folder on its own floor.
# The first pattern that fits a module's name counts. What only hands on names
# (`__init__.py`) stands above its folder.
FLOORS = {
    "checks": 0,
    "masking": 0,
    "recurrence*": 0,
    "batching": 1,
    "word_tokenizer": 1,
    "images": 1,
    "maxima": 1,
    "tokenizers": 1,
    "losses": 1,
    "normalizers": 1,
    "regression": 1,
    "metrics": 2,
    "schedules": 1,
    "text_metrics": 1,
    "decoding.*": 2,
    "data.*": 2,
    "data": 3,
    "layers.*_encoder": 3,
    "layers.rnn_*": 3,
    "layers.language_*": 3,
    "layers.transformer_*": 3,
    "layers.*": 2,
    "decoding": 4,
    "layers": 4,
    "models.door": 4,
    "models.minimum_bayes_risk": 4,
    "models.objectives": 5,
    "models.output": 4,
    "models.quantization": 4,
    "models.sharing": 4,
    "models.scheduled_sampling": 4,
    "models.seq2seq": 5,
    "models.language_model": 5,
    "models.scoring": 5,
    "models.shares": 4,
    "models.training": 5,
    "models.parts": 5,
    "models.ensemble": 5,
    "models.one_to_many": 6,
    "models.compiled": 6,
    "models.generator": 7,
    "models.inference": 7,
    "models.search_inputs": 6,
    "models.sorted_search": 6,
    "models.forecaster": 7,
    "models.hypothesis": 6,
    "models.image_to_text": 8,
    "models.averaging": 7,
    "models.phrases": 7,
    "models.text_to_text": 8,
    "models.to_text": 8,
    "models.unknown_words": 7,
    "models": 9,
    "plots.*": 8,
    "plots": 9,
    "callbacks.*": 10,
    "callbacks": 11,
    "export": 10,
    "": 12,
}
BACKENDS = {"jax", "jaxlib", "tensorflow", "torch"}
EXTRAS = {
    "babel",
    "ctranslate2",
    "jiwer",
    "matplotlib",
    "PIL",
    "ray",
    "rouge_score",
    "sacrebleu",
    "tensorflow_text",
}
PUBLIC_NAMES = {
    "callbacks": [
        "AverageWeights",
        "FiniteLoss",
        "GenerationMetrics",
        "Resume",
    ],
    "data": [
        "AlignedPairs",
        "ImagePairs",
        "SequencePairs",
        "Stream",
        "StreamPairs",
        "TextPairs",
        "TokenizedText",
        "pad_rows",
        "read_lines",
        "tokenize_file",
    ],
    "decoding": [
        "BeamSearch",
        "Constraint",
        "ForbiddenPhrases",
        "ForcedPrefix",
        "GreedySearch",
        "MaximumLength",
        "MinimumLength",
        "NoRepeatNgrams",
        "RandomSampling",
        "RepetitionPenalty",
        "RequiredPhrases",
        "Shortlist",
        "StochasticBeamSearch",
    ],
    "export": ["to_ctranslate2"],
    "layers": [
        "AdditiveAttention",
        "CoverageAttention",
        "ConvEncoder",
        "Decoder",
        "Encoder",
        "LocalAttention",
        "MonotonicAttention",
        "MonotonicChunkwiseAttention",
        "MemoryPooling",
        "ImageEncoder",
        "MultiHeadAttention",
        "MultiplicativeAttention",
        "ParallelEncoder",
        "ParallelAttention",
        "PoolingEncoder",
        "PyramidalRNNEncoder",
        "PointerGenerator",
        "RNNDecoder",
        "RNNEncoder",
        "RNNVectorDecoder",
        "RNNVectorEncoder",
        "StatefulEncoder",
        "TransformerDecoder",
        "TransformerEncoder",
        "TransformerVectorDecoder",
        "TransformerVectorEncoder",
    ],
    "losses": [
        "SequenceLoss",
        "SequenceRegressionLoss",
        "sequence_loss",
        "sequence_loss_by_example",
    ],
    "metrics": ["Perplexity", "SequenceAccuracy", "TokenAccuracy"],
    "models": [
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
    ],
    "plots": [
        "plot_alignment",
        "plot_attention_over_image",
        "plot_beam",
        "plot_text_alignment",
    ],
    "schedules": [
        "Exponential",
        "InverseSigmoid",
        "InverseSquareRoot",
        "Linear",
    ],
    "tokenizers": ["SentencePieceTokenizer", "WordTokenizer"],
}
LONGEST_FILE = 400  # lines


def module_name(path):
    """'keras_s2s/layers/encoder.py' -> 'layers.encoder', the package -> ''."""
    parts = path.relative_to(ROOT / PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


FILES = {
    module_name(path): path for path in sorted((ROOT / PACKAGE).rglob("*.py"))
}
TREES = {
    name: ast.parse(path.read_text(encoding="utf-8"))
    for name, path in FILES.items()
}
every_module = pytest.mark.parametrize("name", FILES)


def imported_names(tree):
    """Yields the full dotted name of each thing that `tree` imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_modules(name):
    """Returns the modules of the package that the module `name` imports."""
    modules = set()
    for full_name in imported_names(TREES[name]):
        package, _, rest = full_name.partition(".")
        if package == PACKAGE:
            while rest not in FILES:
                rest = rest.rpartition(".")[0]
            modules.add(rest)
    return modules


def floor(name):
    for pattern, number in FLOORS.items():
        if fnmatch(name, pattern):
            return number
    return None


def folder(name):
    return name if FILES[name].stem == "__init__" else name.rpartition(".")[0]


def test_modules_are_found():
    assert {"", "checks", "layers", "models.inference"} <= set(FILES)
    assert imported_modules("models.inference")


@every_module
def test_a_module_has_a_floor_and_imports_from_lower_ones(name):
    assert floor(name) is not None, f"give {name} a line in FLOORS"
    for other in imported_modules(name):
        same_room = folder(name) == folder(other) and floor(name) == floor(
            other
        )
        assert floor(other) < floor(name) or same_room, other


def test_no_module_imports_itself_through_others():
    def visit(name, path):
        assert name not in path, " -> ".join([*path, name])
        if name not in done:
            for other in imported_modules(name):
                visit(other, [*path, name])
            done.add(name)

    done = set()
    for name in FILES:
        visit(name, [])


@every_module
def test_imports_are_absolute_and_name_their_things(name):
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, ast.unparse(node)
            assert node.names[0].name != "*", ast.unparse(node)


@every_module
def test_layers_and_search_meet_in_the_inference_model_only(name):
    rooms = {other.partition(".")[0] for other in imported_modules(name)}
    room = name.partition(".")[0]
    assert not (room == "decoding" and "layers" in rooms)
    assert not (room == "layers" and "decoding" in rooms)
    if {"layers", "decoding"} <= rooms:
        assert name in ("", "models.inference")


def imported_when_loaded(tree):
    """Returns the packages whose import is outside of every function."""
    deferred = (ast.FunctionDef, ast.ClassDef)
    return {
        full_name.partition(".")[0]
        for node in tree.body
        if not isinstance(node, deferred) and not is_for_types_only(node)
        for full_name in imported_names(node)
    }


def is_for_types_only(node):
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(
        node.test
    )


@every_module
def test_backends_are_known_in_one_room(name):
    packages = {
        full_name.partition(".")[0] for full_name in imported_names(TREES[name])
    }
    if name == "callbacks.event_file":
        # TensorFlow writes event files on every backend.
        packages -= {"tensorflow"}
    assert not packages & BACKENDS or name.startswith("recurrence")


@every_module
def test_extras_are_imported_where_they_are_used(name):
    assert not imported_when_loaded(TREES[name]) & EXTRAS


@every_module
def test_a_file_reads_in_one_sitting(name):
    lines = FILES[name].read_text(encoding="utf-8").splitlines()
    assert len(lines) <= LONGEST_FILE


@every_module
def test_the_package_holds_no_assert(name):
    lines = [
        node.lineno
        for node in ast.walk(TREES[name])
        if isinstance(node, ast.Assert)
    ]
    assert not lines


def public_definitions(body, prefix=""):
    """Yields the public functions, classes and methods, with their names."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            if not node.name.startswith("_") or node.name == "__init__":
                yield prefix + node.name, node
                if isinstance(node, ast.ClassDef):
                    yield from public_definitions(node.body, f"{node.name}.")


@every_module
def test_public_functions_are_annotated_and_documented(name):
    for full_name, node in public_definitions(TREES[name].body):
        # A method is documented on its class.
        if "." not in full_name:
            assert ast.get_docstring(node), full_name
        if isinstance(node, ast.FunctionDef):
            assert not bare_arguments(node.args), full_name
            assert node.returns or node.name == "__init__", full_name


def bare_arguments(arguments):
    """Returns the names of the arguments that have no annotation."""
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return {one.arg for one in every if not one.annotation} - {"self", "cls"}


@pytest.mark.parametrize(
    "name",
    [f"{room}.{name}" for room in PUBLIC_NAMES for name in PUBLIC_NAMES[room]],
)
def test_public_names_are_there_with_a_docstring(name):
    room, attribute = name.split(".")
    package = importlib.import_module(PACKAGE)
    thing = getattr(getattr(package, room), attribute)
    assert inspect.getdoc(thing)


def test_the_project_file_lists_every_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    packages = sorted(
        ".".join(path.parent.relative_to(ROOT).parts)
        for path in (ROOT / PACKAGE).rglob("__init__.py")
    )
    assert sorted(project["tool"]["setuptools"]["packages"]) == packages
    folders = {path.parent for path in FILES.values()}
    assert all((path / "__init__.py").exists() for path in folders)

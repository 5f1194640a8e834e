"""Which pieces of a target come from which of its source, for `translate.py`.

IBM model 2 (Brown et al., 1993, https://aclanthology.org/J93-2003), by NLTK,
in both directions; what they agree on is kept. It takes minutes for 29,000
pairs. fast_align and eflomal are faster and better, and write lines alike.
"""

from nltk.translate import AlignedSent
from nltk.translate import IBMModel2


def align(source_ids, target_ids, iterations=3):
    """Aligns pairs of sequences.

    Args:
        source_ids, target_ids: lists of lists of int, as many.
        iterations: int > 0. Of model 2, after twice as many of model 1.

    Returns:
        List of str, one a pair: source and target positions, "0-0 2-1".
    """
    forward = find_links(source_ids, target_ids, iterations)
    backward = find_links(target_ids, source_ids, iterations)
    return [
        " ".join(
            f"{source}-{target}"
            for source, target in sorted(links)
            if (target, source) in inverse
        )
        for links, inverse in zip(forward, backward)
    ]


def find_links(source_ids, target_ids, iterations):
    """Returns sets of (source, target), at most one for each target."""
    pairs = [
        AlignedSent(target, source)
        for source, target in zip(source_ids, target_ids)
    ]
    IBMModel2(pairs, iterations)  # leaves each pair aligned
    return [
        {
            (source, target)
            for target, source in pair.alignment
            if source is not None
        }
        for pair in pairs
    ]

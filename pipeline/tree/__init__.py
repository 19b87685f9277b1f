"""The decision tree of a citizen-science project: questions, answers and gating, loaded from a file."""

from pipeline.tree.crosswalk import Crosswalk, load_crosswalk
from pipeline.tree.decision_tree import Answer, DecisionTree, MorphologyClass, Question, joined
from pipeline.tree.fractions import Fraction, compute_fractions, conditional_fractions
from pipeline.tree.load import GALAXY_ZOO_2, load_tree
from pipeline.tree.reading import (
    LEAST_ASKED,
    Step,
    agreement,
    is_asked,
    morphology_class,
    most_probable_classes,
    most_probable_path,
    question_sums,
)

__all__ = [
    "GALAXY_ZOO_2",
    "LEAST_ASKED",
    "Answer",
    "Crosswalk",
    "DecisionTree",
    "Fraction",
    "MorphologyClass",
    "Question",
    "Step",
    "agreement",
    "compute_fractions",
    "conditional_fractions",
    "is_asked",
    "joined",
    "load_crosswalk",
    "load_tree",
    "morphology_class",
    "most_probable_classes",
    "most_probable_path",
    "question_sums",
]

"""Training: labelled galaxies, augmentation, recipe and loop."""

from pipeline.training.dataset import LabelledGalaxies, load_galaxies, read_labels
from pipeline.training.loop import TrainingResult, train_network
from pipeline.training.recipe import Recipe

__all__ = ["LabelledGalaxies", "Recipe", "TrainingResult", "load_galaxies", "read_labels", "train_network"]

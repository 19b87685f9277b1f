"""Training: labelled galaxies, augmentation, recipes, steps and runs."""

from pipeline.training.checkpoints import newest_checkpoint
from pipeline.training.galaxies import Cut, LabelledGalaxies, check_images, equal_sides, load_galaxies
from pipeline.training.initial import initial_network
from pipeline.training.job import TrainingJob, train_here
from pipeline.training.labels import Labels, read_labels
from pipeline.training.order import Order
from pipeline.training.recipe import Recipe
from pipeline.training.run import RunSettings, evaluate, train
from pipeline.training.trainer import Step, Trainer

__all__ = [
    "Cut",
    "LabelledGalaxies",
    "Labels",
    "Order",
    "Recipe",
    "RunSettings",
    "Step",
    "Trainer",
    "TrainingJob",
    "check_images",
    "equal_sides",
    "evaluate",
    "initial_network",
    "load_galaxies",
    "newest_checkpoint",
    "read_labels",
    "train",
    "train_here",
]

"""Training: labelled galaxies, augmentation, recipes, steps and runs."""

from pipeline.training.checkpoints import newest_checkpoint
from pipeline.training.feeding import Feed, feed_of
from pipeline.training.galaxies import Cut, LabelledGalaxies, check_images, load_galaxies
from pipeline.training.initial import initial_network
from pipeline.training.job import TrainingJob, train_here
from pipeline.training.labels import Labels, read_labels
from pipeline.training.loss import compiler_for
from pipeline.training.order import Order
from pipeline.training.precision import Precision, fastest_precision
from pipeline.training.recipe import Recipe
from pipeline.training.regions import Regions, stacked
from pipeline.training.run import RunSettings, evaluate, train
from pipeline.training.trainer import Step, Trainer

__all__ = [
    "Cut",
    "Feed",
    "LabelledGalaxies",
    "Labels",
    "Order",
    "Precision",
    "Recipe",
    "Regions",
    "RunSettings",
    "Step",
    "Trainer",
    "TrainingJob",
    "check_images",
    "compiler_for",
    "evaluate",
    "fastest_precision",
    "feed_of",
    "initial_network",
    "load_galaxies",
    "newest_checkpoint",
    "read_labels",
    "stacked",
    "train",
    "train_here",
]

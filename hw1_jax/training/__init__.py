"""Training: losses, optimizers, steps, epochs; on minibatches of images or full batch."""

from hw1_jax.training import evaluation, full_batch, losses, optimizers
from hw1_jax.training.epoch import LAST, epoch_batches, make_epoch, shuffle
from hw1_jax.training.minibatch import (
  ImageResult,
  ImageTraining,
  map_epochs,
  map_evaluate,
  split_epochs,
  train_family,
  train_images,
)
from hw1_jax.training.state import TrainState, init_state, init_states
from hw1_jax.training.step import Gradients, make_gradients

__all__ = [
  "LAST",
  "Gradients",
  "ImageResult",
  "ImageTraining",
  "TrainState",
  "epoch_batches",
  "evaluation",
  "full_batch",
  "init_state",
  "init_states",
  "losses",
  "make_epoch",
  "make_gradients",
  "map_epochs",
  "map_evaluate",
  "optimizers",
  "shuffle",
  "split_epochs",
  "train_family",
  "train_images",
]

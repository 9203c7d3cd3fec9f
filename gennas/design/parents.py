"""The first two stages of a design: a parent adapted to the images, and its elastic network."""

from __future__ import annotations

from collections.abc import Sequence

from gennas.design.context import Workshop
from gennas.design.tuning import Tuned, tune
from gennas.supernets.adaptation import adapt
from gennas.supernets.base import Supernet
from gennas.supernets.batches import ViewedBatches
from gennas.supernets.elastic import ElasticSupernet
from gennas.supernets.settings import SupernetSettings
from gennas.supernets.stored import holds_supernet, load_supernet
from gennas.training.batches import Normalisation
from gennas.training.teacher import load_teacher
from gennas.training.views import Views, kept_answers


def adapted_parent(workshop: Workshop) -> Tuned:
    """The parent fine-tuned at the largest resolution: the teacher of all networks after it."""
    context = workshop.context
    return tune(
        workshop,
        workshop.parent_at(context.pixels),
        lambda: workshop.network(context.pixels),
        context.recipe(context.effort.adapting),
        workshop.teacher,
        "",
    )


def elastic_network(workshop: Workshop, sides: Sequence[int]) -> Supernet:
    """The network whose paths are the parent's sub-networks, trained with the adapted parent's answers.

    Args:
        workshop: with its adapted parent.
        sides: resolutions of the sub-networks, ascending.
    """
    context, space = workshop.context, workshop.space
    if holds_supernet(workshop.supernet):
        return load_supernet(workshop.supernet, context.task)
    task = context.task
    normalise = Normalisation.of(space, task)
    teacher = load_teacher(workshop.teacher, task, normalise)
    views = Views(task.splits().train.images, context.views, context.seed, mirrored=context.mirrored)
    taught = kept_answers(workshop.teacher, teacher, views)
    supernet = ElasticSupernet(space, task, teacher.network.requires_grad_(True))
    supernet.sort_channels()
    settings = SupernetSettings(
        epochs=context.epochs(context.effort.sharing), head_epochs=0, resolutions=tuple(sides), seed=context.seed
    )
    adapted = adapt(
        supernet,
        task,
        settings,
        workshop.supernet,
        batches=ViewedBatches(task.splits().train.labels, views, sides[-1], normalise, settings.recipe, taught),
        title=f"the elastic network of {workshop.title}",
    )
    return adapted.supernet

"""Small problems that come with lrjax, and how to bring one's own."""

from lrjax.tasks._registry import load, names, summaries
from lrjax.tasks._task import Task

__all__ = ["Task", "load", "names", "summaries"]

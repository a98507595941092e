"""What measured numbers mean: the learning rate, how far to trust it, and what to mend."""

from lrjax.answer._learning_rate import Answer, final_losses, judge
from lrjax.answer._table import summary

__all__ = ["Answer", "final_losses", "judge", "summary"]

"""How members are run: checked, compiled, advanced in chunks, kept apart when one diverges."""

from lrjax.engine._train import HeldOut, Job, Progress, member_key, train

__all__ = ["HeldOut", "Job", "Progress", "member_key", "train"]

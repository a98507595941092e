"""How members are run: checked, planned, compiled, advanced in chunks, kept apart when one diverges."""

from lrjax._keys import member_key
from lrjax.engine._archive import Archive
from lrjax.engine._job import HeldOut, Job, Progress, Rule
from lrjax.engine._plan import parse as parse_plan
from lrjax.engine._train import check, on_interrupt, train

__all__ = [
    "Archive",
    "HeldOut",
    "Job",
    "Progress",
    "Rule",
    "check",
    "member_key",
    "on_interrupt",
    "parse_plan",
    "train",
]

"""TensorBoard's event files, written by tensorboardX's messages.

Its `SummaryWriter` replaces most characters of names by underscores, so that two names may become one, and
starts a thread for each file; here names stay as they are.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any

from lrjax._values import encodable

FILE = "events.out.tfevents.0.lrjax"  # TensorBoard looks for the middle of it
_KINDS = {
    bool: ("DATA_TYPE_BOOL", "bool_value"),
    float: ("DATA_TYPE_FLOAT64", "number_value"),
    str: ("DATA_TYPE_STRING", "string_value"),
}


class Events:
    """One event file, whose events all have one time; closed by `with`."""

    def __init__(self, directory: Path, now: float):
        from tensorboardX.record_writer import RecordWriter

        directory.mkdir(parents=True, exist_ok=True)
        self._now = now
        self._made = _messages()
        self._records = RecordWriter(str(directory / FILE))
        self._write(0, file_version="brain.Event:2")

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Enters numbers of one step by their tags."""
        entry = self._made.Summary.Value
        self._summary(step, [entry(tag=encodable(tag), simple_value=value) for tag, value in values.items()])

    def text(self, tag: str, text: str) -> None:
        """Enters a text."""
        from tensorboardX import summary

        self._write(0, summary=summary.text(tag, encodable(text)))

    def experiment(self, values: Mapping[str, Sequence[Any]], metrics: Sequence[str]) -> None:
        """Says which hyperparameters there are, with which values (of one kind each), and which metrics."""
        made = self._made
        experiment = made.Experiment(time_created_secs=self._now)
        for name, domain in values.items():
            kind, _ = _KINDS[type(domain[0])]
            experiment.hparam_infos.add(name=encodable(name), type=kind).domain_discrete.extend(domain)
        for tag in metrics:
            experiment.metric_infos.add(name=made.MetricName(tag=encodable(tag)))
        self._hparams("experiment", experiment=experiment)

    def session(self, group: str, values: Mapping[str, Any], status: str) -> None:
        """Says which hyperparameters the file's run had and how it ended; runs of a group are averaged."""
        start = self._made.SessionStartInfo(group_name=group, start_time_secs=self._now)
        for name, value in values.items():
            _, field = _KINDS[type(value)]
            setattr(start.hparams[encodable(name)], field, value)
        end = self._made.SessionEndInfo(status=status, end_time_secs=self._now)
        self._hparams("session_start_info", session_start_info=start)
        self._hparams("session_end_info", session_end_info=end)

    def _hparams(self, tag: str, **content: Any) -> None:
        made = self._made
        text = made.HParamsPluginData(version=0, **content).SerializeToString()
        plugin = made.SummaryMetadata.PluginData(plugin_name="hparams", content=text)
        about = made.SummaryMetadata(plugin_data=plugin)
        self._summary(0, [made.Summary.Value(tag=f"_hparams_/{tag}", metadata=about)])

    def _summary(self, step: int, entries: Sequence[Any]) -> None:
        self._write(step, summary=self._made.Summary(value=entries))

    def _write(self, step: int, **content: Any) -> None:
        event = self._made.Event(wall_time=self._now, step=step, **content)
        self._records.write(event.SerializeToString())

    def __enter__(self) -> Events:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._records.close()


@functools.cache
def _messages() -> SimpleNamespace:
    """The kinds of messages by their names. They are made when loaded, so that no type checker sees them."""
    modules = ("api", "event", "plugin_hparams", "summary")
    loaded = [importlib.import_module(f"tensorboardX.proto.{module}_pb2") for module in modules]
    return SimpleNamespace(**{name: kind for module in loaded for name, kind in vars(module).items()})

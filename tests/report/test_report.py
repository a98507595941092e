"""The report's file: what is on the page, for every kind of sweep, and that no text breaks out of it."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import html.parser
import json
import os
import re

import numpy as np
import pytest

import lrjax
from lrjax.report import report_html, write_report
from lrjax.report._text import embedded
from lrjax.results import Cost
from tests.measured import measured, sweep_of
from tests.report.sweeps import HOSTILE, KINDS, NAN, RATES, many, usual

VOID = {"meta", "input", "br", "img", "link", "hr"}


class Page(html.parser.HTMLParser):
    """A page's elements (tag, attributes, text) in order. Fails where a tag is not closed as opened."""

    def __init__(self, text):
        super().__init__()
        self.elements, self._open = [], []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs), []))
        if tag not in VOID:
            self._open.append((tag, self.elements[-1]))

    def handle_endtag(self, tag):
        assert self._open.pop()[0] == tag

    def handle_data(self, data):
        for _, element in self._open:
            element[2].append(data)

    def all(self, tag, **attributes):
        """The texts of the elements with this tag and these attributes."""
        return [
            "".join(text)
            for name, given, text in self.elements
            if name == tag and attributes.items() <= given.items()
        ]

    @property
    def charts(self):
        (text,) = self.all("script", type="application/json")
        return json.loads(text)


def written(sweep, **options):
    return report_html(sweep, sweep.answer, **options)


@pytest.fixture(autouse=True)
def light(monkeypatch):
    """A library of one line in place of one of megabytes; the browser's test has the true one."""
    monkeypatch.setattr("lrjax.report._library.plotly_js", lambda: ("var Plotly;", "6.0"))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_sweep_has_all_parts(kind):
    sweep = KINDS[kind]()
    page = Page(written(sweep))
    headings = page.all("h2")
    assert headings[0] == "The answer"
    assert headings[-2:] == ["All points", "How it was made"]
    recommendation = sweep.answer.recommendation.encode("utf-8", "replace").decode()
    assert recommendation in page.all("p")
    assert len(page.all("tr")) >= len(sweep.answer.scores) + 1
    assert "Training curves" in headings
    assert len(headings) == len(set(headings))
    assert "basin" in page.charts
    assert page.all("html", lang="en")


@pytest.mark.parametrize("kind", KINDS)
def test_charts_are_json_without_nan_and_their_ranges_are_finite(kind):
    charts = Page(written(KINDS[kind]())).charts
    text = json.dumps(charts, allow_nan=False)
    assert "NaN" not in text
    for chart in charts.values():
        for scale in chart["scales"].values():
            for name in ("log", "linear"):
                if scale[name] is not None:
                    low, high = scale[name]
                    assert low < high


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_fetched(kind):
    text = written(KINDS[kind]())
    page = Page(text)
    assert not {"link", "img", "iframe", "object", "embed"} & {tag for tag, _, _ in page.elements}
    for _, attributes, _ in page.elements:
        assert "src" not in attributes
        assert attributes.get("href", "#").startswith("#")
    assert "@import" not in text
    assert "url(" not in text
    assert not re.search(r"https?://", text)


def test_the_answer_comes_first_and_how_it_was_made_last():
    page = Page(written(usual(), command="lrjax sweep digits"))
    assert page.all("h2") == [
        "The answer",
        "Loss against learning rate",
        "Training curves",
        "All points",
        "How it was made",
    ]
    assert "lrjax sweep digits" in page.all("pre")


def test_the_headline_holds_the_answer():
    sweep = usual()
    cards = dict(zip(*headline(sweep), strict=True))
    assert cards["learning rate"].startswith("0.01")
    assert cards["plateau"].startswith("0.001 to 0.01")
    assert "1 decades" in cards["plateau"]
    assert cards["divergence edge"].startswith("0.1")
    assert set(cards) == {
        "learning rate",
        "90 % interval",
        "plateau",
        "divergence edge",
        "sensitivity",
        "not told apart",
    }


@pytest.mark.parametrize(
    ("dropped", "about"), [(True, "not known: the highest rate was"), (False, "the highest rate still")]
)
def test_no_edge_is_told_of_a_highest_rate_that_was_dropped(dropped, about):
    final = np.array([[8, 9], [1.01, 1.0], [1.0, 0.99], [1.2, 1.3], [3, 4]])
    kept = np.arange(5) < (4 if dropped else 5)
    stopped_at = np.where(kept, -1, 40)[:, None] * np.ones((1, 2), int)
    sweep = usual(final, stopped_at=stopped_at, rungs=((40, final, kept),))
    cards = dict(zip(*headline(sweep), strict=True))
    assert cards["divergence edge"].startswith(f"-{about}")


def headline(sweep):
    """Names and contents of the cards."""
    parts = Page(re.search(r'<dl class="cards">.*?</dl>', written(sweep), re.DOTALL)[0])
    return parts.all("dt"), parts.all("dd")


def test_a_missing_answer_says_why():
    _, values = headline(usual(np.full((5, 3), NAN)))
    assert values[0] == "-no point trained"
    names, values = headline(KINDS["no learning rate"]())
    assert dict(zip(names, values, strict=True))["learning rate"] == "-the sweep was not over learning rate"
    _, values = headline(KINDS["interrupted at once"]())
    assert values[0] == "-nothing was measured"


def test_one_rate_tells_of_no_interval():
    assert "no other rate was tried" in written(KINDS["one point"]())
    assert "no other rate was tried" not in written(usual())


def test_warnings_are_listed():
    sweep = usual(np.full((5, 3), NAN))
    assert Page(written(sweep)).all("li") == list(sweep.answer.warnings)
    silent = dataclasses.replace(sweep.answer, warnings=())
    assert "<aside" not in report_html(sweep, silent)


# Escaping


@pytest.mark.parametrize("where", ["sweep", "title", "command"])
def test_no_text_breaks_out(where):
    plain = written(usual())
    if where == "sweep":
        text = written(KINDS["hostile"]())
        plain = written(usual(KINDS["hostile"]().held_out["loss"][..., -1], RATES[:3]))
    else:
        text = written(usual(), **{where: "".join(HOSTILE)})
    page = Page(text)
    assert len(page.all("script")) == len(Page(plain).all("script"))
    assert "<img" not in text
    assert "<!--" not in text
    assert not any(name.startswith("on") for _, attributes, _ in page.elements for name in attributes)
    assert "</script><script>document" in "".join("".join(element[2]) for element in page.elements)


def test_json_holds_any_text_and_gives_it_back():
    text = embedded({HOSTILE[0]: list(HOSTILE)})
    assert not set(text) & set("<>&")
    assert text.isascii()
    assert json.loads(text) == {HOSTILE[0]: list(HOSTILE)}


def test_text_in_charts_is_no_markup():
    page = Page(written(KINDS["hostile"]()))
    shown = [text for trace in page.charts["basin"]["data"] for text in np.ravel(trace.get("text", []))]
    assert shown
    for text in shown:
        assert not re.search(r"<(?!/?b>|br>)", text)


def test_only_the_pages_own_scripts_may_run():
    page = Page(written(usual()))
    (policy,) = [given["content"] for tag, given, _ in page.elements if given.get("http-equiv")]
    scripts = ["".join(text) for tag, given, text in page.elements if tag == "script" and "type" not in given]
    assert len(scripts) == 2
    for script in scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "script-src 'sha256" in policy


# Charts


def traces(sweep, name="basin"):
    return Page(written(sweep)).charts[name]["data"]


def named(sweep, text, name="basin"):
    return next(trace for trace in traces(sweep, name) if trace.get("name", "").startswith(text))


def test_the_basin_has_the_median_each_seed_and_the_failed():
    sweep = usual()
    line = named(sweep, "median")
    np.testing.assert_allclose(line["x"], RATES[:4])
    np.testing.assert_allclose(line["y"], [8.5, 1.005, 0.995, 3])
    (seeds,) = (trace for trace in traces(sweep) if trace.get("meta") == {"kind": "seed"})
    assert sorted(seeds["y"]) == [0.99, 1.0, 1.0, 1.01, 3, 8, 9]
    failed = named(sweep, "a seed failed")
    assert failed["x"] == RATES[3:]
    assert failed["marker"]["symbol"] == ["x-thin", "x"]
    assert min(failed["marker"]["line"]["width"]) >= 1  # a legend draws the first mark with their mean


def test_pointing_at_a_point_tells_all_of_it():
    text = named(usual(), "median")["text"][3]
    assert text.startswith("<b>learning_rate = 0.1</b><br>held-out loss: 3")
    assert "by seed: 3, failed" in text
    assert "regime: " in text
    assert "1/2 diverged" in text


def test_the_answer_is_drawn_in():
    sweep = usual()
    assert named(sweep, "chosen")["x"] == [0.01]
    plateau = named(sweep, "plateau")
    assert (min(plateau["x"]), max(plateau["x"])) == (0.001, 0.01)
    assert named(sweep, "fails from")["x"] == [0.1, 0.1]
    assert tuple(named(sweep, "90 % interval")["x"]) == sweep.answer.interval


def test_lines_whose_names_are_cut_alike_stay_apart():
    names = ["x" * 100 + end for end in "ab"]
    points = {"learning_rate": [0.1, 0.1, 1.0, 1.0], "name": names * 2}
    sweep = sweep_of(measured(points, [[4.0], [3.0], [2.0], [1.0]]))
    lines = [trace["y"] for trace in traces(sweep) if trace.get("name", "").startswith("name")]
    assert lines == [[4.0, 2.0], [3.0, 1.0]]


def test_negative_losses_turn_log_axes_off():
    text = written(KINDS["negative"]())
    charts = Page(text).charts
    assert (
        charts["basin"]["layout"]["yaxis"]["type"] == charts["curves"]["layout"]["yaxis"]["type"] == "linear"
    )
    assert 'data-facet="log"' not in text
    assert 'data-facet="log"' in written(usual())


def test_a_curve_that_blows_up_leaves_room_for_those_below_zero():
    sweep = usual([[-105, -106], [-109, -109], [-108, -108], [-107, NAN], [NAN, NAN]], start=-104)
    sweep.held_out["loss"][4, :, 1] = 100.0
    low, high = Page(written(sweep)).charts["curves"]["layout"]["yaxis"]["range"]
    assert -111 < low < -109
    assert -104 < high < -97  # at most a fall of 5 above the start


def test_curves_are_of_medians_seeds_regimes_and_both_losses():
    sweep = usual()
    found = [trace["meta"] for trace in traces(sweep, "curves") if "meta" in trace]
    assert len(found) == 5 * 3 * 2
    assert {meta["kind"] for meta in found} == {"median", "seed"}
    assert {meta["losses"] for meta in found} == {"held-out", "training"}
    labels = {meta["regime"] for meta in found}
    assert labels >= {str(label) for label in sweep.answer.regimes.ravel()}
    page = Page(written(sweep))
    ticks = [given for tag, given, _ in page.elements if given.get("data-facet") == "regime"]
    assert {given["value"] for given in ticks} == labels


def test_the_colour_bar_writes_rates_as_people_do():
    sweep = usual(rates=[0.01, 0.1, 1.0, 10.0, 100.0])
    (bar,) = [
        trace["marker"]["colorbar"]
        for trace in traces(sweep, "curves")
        if "marker" in trace and "colorbar" in trace["marker"]
    ]
    assert bar["ticktext"] == ["0.01", "0.1", "1", "10", "100"]


def test_the_first_curves_shown_are_held_out_medians():
    shown = [trace["meta"] for trace in traces(usual(), "curves") if trace.get("visible") and "meta" in trace]
    assert len(shown) == 5
    assert {(meta["kind"], meta["losses"]) for meta in shown} == {("median", "held-out")}


def test_curves_end_where_a_member_diverged():
    sweep = usual()
    (line,) = (
        trace
        for trace in traces(sweep, "curves")
        if trace.get("meta", {}).get("losses") == "training"
        and "seed 0" in trace["meta"]["about"]
        and "learning_rate = 1<" in trace["meta"]["about"]
    )
    assert line["y"][50] is not None
    assert line["y"][51:] == [None] * 49


def test_a_median_is_of_the_seeds_that_were_begun():
    sweep = usual([[1.0, 2.0]], [0.1], stopped_at=np.array([[-1, 0]]))
    sweep.metrics["loss"][0, 1] = sweep.held_out["loss"][0, 1] = NAN
    first = next(trace for trace in traces(sweep, "curves") if trace["meta"]["kind"] == "median")
    np.testing.assert_allclose(first["y"], np.linspace(10, 1, 6), rtol=1e-3)


def test_many_points_are_thinned_and_the_page_says_so():
    sweep = many()
    text = written(sweep)
    page = Page(text)
    lines = [trace for trace in page.charts["curves"]["data"] if "meta" in trace]
    medians = [trace for trace in lines if trace["meta"]["kind"] == "median"]
    assert len(medians) <= 2 * 61
    assert any(trace["name"].startswith("chosen") and trace["showlegend"] for trace in medians)
    (caption,) = [text for text in page.all("figcaption") if "coloured" in text]
    assert re.search(r"6[01] of 500 points are drawn", caption)
    assert len(page.all("tr")) == 501
    assert len(text) < 3e6


def test_long_curves_are_thinned_to_two_hundred_records():
    steps = np.arange(2000)
    losses = np.broadcast_to((1 / (1 + steps)).astype(np.float32), (2, 1, 2000)).copy()
    sweep = usual(
        [[1.0], [1.0]], RATES[:2], held_out=False, recorded_steps=steps, metrics={"loss": losses}, steps=2000
    )
    lines = [trace for trace in traces(sweep, "curves") if "meta" in trace]
    assert [(trace["x"][0], trace["x"][-1], len(trace["x"])) for trace in lines] == [(0, 1999, 200)] * 2
    assert "200 of 2,000 records" in written(sweep)


@pytest.mark.parametrize("kind", ["log", "linear"])
def test_no_loss_of_the_basin_lies_on_the_bar_of_the_interval(kind):
    sweep = usual()
    chart = Page(written(sweep)).charts["basin"]
    (scale,) = chart["scales"].values()
    (bar,) = [trace["y"][0] for trace in chart["data"] if "90 % interval" in trace.get("name", "")]
    low, high = scale[kind]
    scores = sweep.answer.scores[np.isfinite(sweep.answer.scores)]
    lowest = np.log10(scores.min()) if kind == "log" else scores.min()
    assert (lowest - low) / (high - low) > bar + 0.05


def brightness(colour):
    return sum(float(part) for part in re.findall(r"[\d.]+", colour))


def test_a_heat_map_where_two_numbers_vary():
    sweep = KINDS["two hyperparameters"]()
    (cells,) = traces(sweep, "heat-1")
    (frame,) = Page(written(sweep)).charts["heat-1"]["layout"]["shapes"]
    assert np.shape(cells["z"]) == (3, 5)
    dark, light = (
        cells["colorscale"][0][1],
        cells["colorscale"][-1][1],
    )  # as in the pictures; grey is light, too
    assert not cells.get("reversescale")
    assert brightness(dark) < brightness(light)
    assert [row[4] for row in cells["text"]] == ["failed"] * 3
    assert [row[4] for row in cells["z"]] == [None] * 3
    assert [frame[end] for end in ("x0", "x1", "y0", "y1")] == [1.5, 2.5, -0.5, 0.5]
    assert "heat-1" not in Page(written(KINDS["objects"]())).charts
    assert "heat-1" not in Page(written(usual())).charts


def test_halving_shows_what_was_dropped():
    sweep = KINDS["dropped"]()
    page = Page(written(sweep))
    crosses = page.charts["halving"]["data"][-1]
    assert crosses["name"] == "dropped"
    assert crosses["x"] == [40, 40]
    cells = page.all("td")
    assert "3" in cells[:3]
    assert "halving" not in Page(written(usual())).charts


def test_dropped_points_that_blew_up_leave_room_for_the_others():
    sweep = KINDS["dropped"]()
    losses = sweep.rungs[0][1]
    sweep.held_out["loss"][4, :, 2] = losses[4] = 1e20
    charts = Page(written(sweep)).charts
    assert charts["basin"]["layout"]["yaxis"]["range"][1] < 3  # of the exponent
    assert charts["halving"]["layout"]["yaxis"]["range"][1] < 3
    assert "; 1 of them lies far above." in written(sweep)
    assert "beyond the top" in written(sweep)
    assert "far above" not in written(KINDS["dropped"]())


def test_halving_draws_the_seeds_that_were_at_the_rung():
    """A search gives some points more seeds later."""
    sweep = KINDS["dropped"]()
    ((step, losses, kept),) = sweep.rungs
    fewer = np.where(np.arange(losses.shape[1]) < 1, losses, NAN)
    lines = Page(written(dataclasses.replace(sweep, rungs=((step, fewer, kept),)))).charts["halving"]["data"]
    assert len(lines) == np.isfinite(fewer[:, 0]).sum() + 1 == 5
    assert all(line["y"][0] is not None for line in lines[:-1])


# Table


def rows(sweep):
    body = re.search(r'<table id="points">.*?</table>', written(sweep), re.DOTALL)[0]
    return [Page(row).all("td") or Page(row).all("th") for row in re.findall(r"<tr.*?</tr>", body)]


def test_the_table_has_every_point():
    head, *body = rows(usual())
    assert head == ["point", "standing", "learning_rate", "held-out loss [range]", "regime", "failed"]
    assert [row[2] for row in body] == ["0.0001", "0.001", "0.01", "0.1", "1"]
    assert body[2][1] == "★ chosen"
    assert body[1][1] == "plateau"
    assert body[2][3] == "0.995 [0.99, 1]"
    assert body[3][5] == "1/2 diverged"
    assert body[4][3] == "-"


def test_the_table_has_other_metrics_and_what_was_dropped():
    head, *body = rows(KINDS["tested"]())
    assert head[3:6] == ["held-out loss [range]", "held-out accuracy", "test accuracy"]
    assert body[2][5].startswith("0.9")
    head, *body = rows(KINDS["dropped"]())
    assert head[-1] == "dropped at step"
    assert [row[-1] for row in body] == ["40", "", "", "", "40"]


def test_columns_of_numbers_sort_as_numbers():
    text = written(KINDS["objects"]())
    kinds = re.findall(r'<th scope="col" data-kind="(\w+)"', text)
    assert kinds == ["number", "number", "number", "text", "number", "text", "number"]


# How it was made


def facts(sweep, **options):
    page = Page(written(sweep, **options))
    return dict(zip(page.all("dt"), page.all("dd"), strict=True))


def test_it_tells_of_the_run_and_not_of_this_machine():
    ran = {
        "versions": {"jax": "0.0.7", "lrjax": "0.0.3"},
        "device": "a loom",
        "host": "a mill",
        "key": 12,
        "order": "shared",
    }
    found = facts(usual(settings=ran))
    assert found["jax"] == "0.0.7"
    assert found["lrjax"] == "0.0.3"
    assert found["device"] == "a loom"
    assert found["host"] == "a mill"
    assert found["key"] == "12"
    assert found["order"] == "shared"
    assert found["numpy"] == "not recorded"


def test_an_old_file_says_what_was_not_recorded():
    found = facts(usual())
    assert {found[name] for name in ("jax", "lrjax", "python", "device", "host")} == {"not recorded"}


def test_a_search_tells_its_course():
    course = ["range test: <b>0.02</b>", "3 rates"]
    told = {"course": course, "budget": "900 member-steps", "unfinished": "No time for more seeds."}
    page = Page(written(usual(settings={"search": told})))
    assert page.all("li")[-2:] == course
    assert "search" not in page.all("dt")
    assert {"Budget: 900 member-steps.", "No time for more seeds."} <= set(page.all("p"))


def test_a_search_s_seeds_are_told_from_the_fewest_to_the_most():
    stopped_at = np.full((5, 2), -1)
    stopped_at[0, 1] = 0
    page = Page(written(usual(stopped_at=stopped_at, settings={"search": {"course": []}})))
    assert "5 points x 1 to 2 seeds x 100 steps" in page.all("p")
    assert "1 to 2" in page.all("dd")
    assert "5 points x 2 seeds x 100 steps" in Page(written(usual())).all("p")


def test_the_ledger_and_the_plan():
    sweep = usual(cost=Cost(600, 1000, 1.5, 0.5, 3.0, 60, 10))
    found = facts(sweep)
    assert found["member-steps used"] == "600 of 1,000 (60%)"
    assert found["member-steps saved"] == "400 (about 2.0 s)"
    assert found["member-steps wasted"] == "60 (about 0.3 s)"
    assert found["running"] == "3.0 s"
    assert sweep.plan.summary() in Page(written(sweep)).all("pre")
    anew = facts(usual(cost=Cost(1200, 1000, 1.5, 0.5, 3.0, 200)))
    assert anew["member-steps saved"] == "none: 200 more than without"


def test_a_sweep_stores_where_it_ran(tmp_path):
    task = lrjax.tasks.load("quadratic-deep")
    run, grid = task.trial(lrjax.sgd), {"learning_rate": [0.01, 0.03]}
    sweep = lrjax.sweep(run, grid, task.data, steps=20, progress=False)
    sweep.save(tmp_path)
    settings = lrjax.load(tmp_path).settings
    assert settings["versions"] == sweep.settings["versions"]
    assert settings["versions"]["lrjax"] == lrjax.__version__
    assert settings["versions"].keys() == {"lrjax", "jax", "jaxlib", "numpy", "python"}
    assert settings["device"]
    assert "core" in settings["host"]
    found = facts(lrjax.load(tmp_path))
    assert found["lrjax"] == lrjax.__version__
    assert "not recorded" not in found.values()


# The file


def test_the_file_is_written_whole(tmp_path):
    sweep = usual()
    path = sweep.report(tmp_path / "new" / "sweep.html", title="Digits", command="python run.py")
    assert path == tmp_path / "new" / "sweep.html"
    text = path.read_text(encoding="utf-8")
    assert Page(text).all("h1") == Page(text).all("title") == ["Digits"]
    assert os.listdir(path.parent) == ["sweep.html"]
    sweep.report(path)
    assert Page(path.read_text(encoding="utf-8")).all("h1") == ["Learning-rate sweep"]


def test_text_that_no_file_can_hold_is_written(tmp_path):
    path = KINDS["hostile"]().report(str(tmp_path / "sweep.html"), title="\ud800")
    assert path.stat().st_size > 0


def test_a_directory_is_refused_and_an_old_file_stays(tmp_path, monkeypatch):
    with pytest.raises(
        IsADirectoryError, match=r"`report\(path=...\)` must be a file to write, got the directory"
    ):
        usual().report(tmp_path)
    path = usual().report(tmp_path / "sweep.html")
    before = path.read_bytes()

    def fail(*arguments, **options):
        raise OSError("disk full")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        usual().report(path, title="another")
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["sweep.html"]


def test_the_function_writes_plain_data(tmp_path):
    sweep = usual()
    data = lrjax.results.SweepData(**{f.name: getattr(sweep, f.name) for f in dataclasses.fields(sweep)})
    path = write_report(data, sweep.answer, tmp_path / "sweep.html")
    assert "Use learning_rate = 0.01" in path.read_text(encoding="utf-8")

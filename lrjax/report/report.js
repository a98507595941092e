"use strict";
(() => {
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const inputs = [...document.querySelectorAll("input[data-figure]")];
  // The buttons are named one by one, since some versions have one that sends the chart to a service.
  const buttons = [["toImage"], ["zoom2d", "pan2d"], ["zoomIn2d", "zoomOut2d", "resetScale2d"]];
  const config = { responsive: true, displaylogo: false, plotlyServerURL: "", modeBarButtons: buttons };

  // What is ticked of each facet of a chart; facets without controls are not in it.
  const ticked = (name) => {
    const found = {};
    for (const input of inputs.filter((each) => each.dataset.figure === name)) {
      const values = (found[input.dataset.facet] ??= new Set());
      if (input.checked) values.add(input.value);
    }
    return found;
  };

  const shows = (trace, facets) =>
    Object.entries(trace.meta ?? {}).every(([facet, value]) => facets[facet]?.has(value) ?? true);

  const scaleOf = (chart, facets) => {
    const [losses] = facets.losses ?? Object.keys(chart.scales);
    const scale = chart.scales[losses];
    if (!scale) return {};
    const log = scale.log && (facets.log?.size ?? 0) > 0;
    const range = log ? scale.log : scale.linear;
    return {
      "yaxis.title.text": scale.title,
      "yaxis.type": log ? "log" : "linear",
      "yaxis.nticks": log ? scale.ticks.log : scale.ticks.linear,
      ...(range ? { "yaxis.range": range } : {}),
    };
  };

  const update = (name) => {
    const facets = ticked(name);
    const visible = charts[name].data.map((trace) => shows(trace, facets));
    return Plotly.update(name, { visible }, scaleOf(charts[name], facets));
  };

  for (const [name, chart] of Object.entries(charts)) {
    const facets = ticked(name); // a browser may have kept what was ticked before it loaded the page again
    const data = chart.data.map((trace) => ({ ...trace, visible: shows(trace, facets) }));
    document.getElementById(name).style.height = `${chart.layout.height}px`; // else it collapses as the window changes
    Plotly.newPlot(name, data, chart.layout, config)
      .then(() => update(name))
      .then(() => { document.getElementById(name).dataset.drawn = "yes"; });
  }
  for (const input of inputs) {
    input.addEventListener("change", () => update(input.dataset.figure));
  }

  // Paper is narrower than most screens; charts do not follow by themselves.
  const heights = Object.fromEntries(Object.entries(charts).map(([name, chart]) => [name, chart.layout.height]));
  const resize = (sizeOf) => Object.keys(charts).forEach((name) => {
    const size = sizeOf(heights[name]);
    document.getElementById(name).style.height = `${size.height}px`;
    Plotly.relayout(name, size);
  });
  window.addEventListener("beforeprint", () =>
    resize((height) => ({ autosize: false, width: 660, height: Math.min(height, 340) })));
  window.addEventListener("afterprint", () => resize((height) => ({ autosize: true, width: null, height })));

  // The table sorts by the column whose head is pressed; what has no value stays last.
  const table = document.getElementById("points");
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    head.firstElementChild.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((each) => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const numeric = head.dataset.kind === "number";
      const rows = [...table.tBodies[0].rows].map((row) => ({ row, by: row.cells[column].dataset.by }));
      rows.sort((a, b) => {
        if (a.by === "" || b.by === "") return (a.by === "") - (b.by === "");
        const order = numeric ? Number(a.by) - Number(b.by) : a.by.localeCompare(b.by);
        return down ? -order : order;
      });
      table.tBodies[0].append(...rows.map(({ row }) => row));
    });
  });
})();

// ---- the map of both thresholds

function drawMap() {
  const key = byId("map-figure").value, values = [];
  for (let i = 0; i < height; i += 1) {
    for (let j = 0; j < width; j += 1) values.push(i < data.gate && j > 0 ? null : figures(i, j)[key]);
  }
  const place = byId("map");
  clear("map");
  map = null;
  if (values.every((value) => value === null)) {
    notDrawn("map", styles[key].why);
    return;
  }
  const scale = scaleOf(key, values), palette = Bokeh.Palettes.cividis(128);
  const mapper = new Bokeh.LinearColorMapper({
    palette: scale.turned ? [...palette].reverse() : palette,
    low: scale.low, high: scale.high,
  });
  const fig = frame("map", { x_range: [0, width + GAP], y_range: [0, height] });
  ink("map", mapper, { nan_color: "--faint" });
  const part = (from, to, x) => {
    const cells = new Float64Array(height * (to - from));
    for (let i = 0; i < height; i += 1) {
      for (let j = from; j < to; j += 1) {
        const value = values[i * width + j];
        cells[i * (to - from) + j - from] = value === null ? NaN : scale.to(value);
      }
    }
    const source = sourceOf({
      image: [ndarray(cells, { dtype: "float64", shape: [height, to - from] })],
      x: [x], y: [0], dw: [to - from], dh: [height],
    });
    fig.image({ ...fields("image", "x", "y", "dw", "dh"), color_mapper: mapper, source });
  };
  part(0, 1, 0);
  part(1, width, 1 + GAP);
  const span = (dimension, color, line_width) => {
    const line = new Bokeh.Span({ dimension, location: 0, line_color: color, line_width });
    fig.add_layout(line);
    return line;
  };
  const under = ["height", "width"].map((dimension) => span(dimension, "#000000", 4));
  const over = ["height", "width"].map((dimension) => span(dimension, "#ffffff", 1.5));
  fig.xgrid.visible = fig.ygrid.visible = false;
  const most = place.clientWidth < 420 ? 4 : 6;
  axis("map", fig.xaxis, fig.xgrid, ticksOf(data.classifier, toX, most), "classifier threshold");
  axis("map", fig.yaxis, fig.ygrid, ticksOf(data.detector, (i) => i + 0.5, 9), "detector threshold");
  const bar = new Bokeh.ColorBar({
    color_mapper: mapper, ticker: new Bokeh.FixedTicker({ ticks: [...scale.ticks.keys()] }),
    major_label_overrides: scale.ticks, background_fill_color: null, width: 10, padding: 4,
    major_label_text_font_size: "11px",
    major_tick_line_color: null, bar_line_color: null,
  });
  ink("map", bar, { major_label_text_color: "--soft" });
  fig.add_layout(bar, "right");
  fig.on_event("tap", ({ x, y }) => {
    if (x < 0 || y < 0 || x > width + GAP || y > height) return;
    move(Math.min(height - 1, Math.floor(y)), Math.min(width - 1, fromX(x)));
  });
  const lines = drawLines(fig);
  show("map");
  map = { spans: [under, over], lines };
  arrangeLines();
}

// Pictures as inline SVG: a curve of precision and recall, a diagram of reliability, a scatter.

const PLOT = { left: 44, top: 10, width: 300, height: 220 };

/** Frame, grid and axis titles of a plot; x and y in [0, 1] unless `ticks` says otherwise. */
function plotFrame(label, xTitle, yTitle, xTicks = unitTicks(), yTicks = unitTicks()) {
  const { left, top, width, height } = PLOT;
  const picture = svg("svg", {
    viewBox: `0 0 ${left + width + 12} ${top + height + 42}`, role: "img", "aria-label": label,
    class: "plot",
  });
  for (const [at, text] of xTicks) {
    picture.append(
      svg("line", { class: "grid", x1: px(at), x2: px(at), y1: top, y2: top + height }),
      svg("text", { class: "tick", x: px(at), y: top + height + 15, "text-anchor": "middle" }, text),
    );
  }
  for (const [at, text] of yTicks) {
    picture.append(
      svg("line", { class: "grid", x1: left, x2: left + width, y1: py(at), y2: py(at) }),
      svg("text", { class: "tick", x: left - 6, y: py(at) + 4, "text-anchor": "end" }, text),
    );
  }
  const middle = top + height / 2;
  picture.append(
    svg("text", { class: "axis", x: left + width / 2, y: top + height + 34, "text-anchor": "middle" },
      xTitle),
    svg("text", { class: "axis", x: 12, y: middle, "text-anchor": "middle",
      transform: `rotate(-90 12 ${middle})` }, yTitle),
  );
  return picture;
}

function unitTicks() {
  return [0, 0.25, 0.5, 0.75, 1].map((at) => [at, String(at)]);
}

/** Place of a value of [0, 1] along the axes. */
function px(x) {
  return PLOT.left + x * PLOT.width;
}

function py(y) {
  return PLOT.top + (1 - y) * PLOT.height;
}

function polyline(points, attributes) {
  const d = points.map(([x, y], i) => `${i ? "L" : "M"}${px(x).toFixed(1)} ${py(y).toFixed(1)}`);
  return svg("path", { d: d.join(""), ...attributes });
}

/** The curve of an entity, with its best threshold marked; and the same as a table. */
function precisionRecall(entity, curve) {
  const points = curve.recall.map((recall, i) => [recall, curve.precision[i], curve.thresholds[i]]);
  const best = bestPoint(entity, points);
  const ap = fraction(entity.average_precision);
  const told = best
    ? ` At the best threshold, ${best[2]}, recall is ${best[0]} and precision ${best[1]}.` : "";
  const picture = plotFrame(
    `Precision against recall of ${nameOf(entity)}; average precision ${ap}.${told}`,
    "Recall", "Precision");
  const first = points[0], last = points[points.length - 1];
  const area = [[first[0], 0], ...points, [last[0], 0]];
  picture.append(polyline(area, { class: "area" }), polyline(points, { class: "curve" }));
  for (const [recall, precision, threshold] of points) {
    const text = `threshold ${threshold}: precision ${precision}, recall ${recall}`;
    picture.append(svg("circle", { class: "dot", cx: px(recall), cy: py(precision), r: 2.4 },
      svg("title", {}, text)));
  }
  if (best) {
    picture.append(svg("circle", { class: "best", cx: px(best[0]), cy: py(best[1]), r: 5.5 },
      svg("title", {}, `best threshold ${best[2]}`)));
  }
  const rows = points.map(([recall, precision, threshold]) =>
    [threshold, fraction(precision), fraction(recall)].map(String));
  return h("figure", {}, picture,
    h("details", {}, h("summary", {}, "The curve as a table"),
      table("Precision and recall by threshold", ["Threshold", "Precision", "Recall"], rows)));
}

/** The point of the curve nearest to the threshold of the best F1. */
function bestPoint(entity, points) {
  const wanted = entity.best_threshold;
  if (wanted === undefined || !points.length) return null;
  const distance = (point) => Math.abs(point[2] - wanted);
  return points.reduce((a, b) => (distance(b) < distance(a) ? b : a));
}

/** Share of labels among the pairs of each bin of scores, against the mean score. */
function reliability(bins) {
  const filled = bins.filter((bin) => bin.n_pairs > 0);
  const points = filled.map((bin) => [bin.mean_score, bin.n_hits / bin.n_pairs, bin]);
  const picture = plotFrame(
    "Share of right predictions against their mean score, by bins; a calibrated model is on the "
    + "diagonal. The numbers are in the table below.", "Mean score", "Share right");
  picture.append(polyline([[0, 0], [1, 1]], { class: "reference" }),
    polyline(points, { class: "curve" }));
  for (const [x, y, bin] of points) {
    picture.append(svg("circle", { class: "best", cx: px(x), cy: py(y), r: 4 },
      svg("title", {}, `score ${fraction(x)}: ${fraction(y)} right of ${number(bin.n_pairs)}`)));
  }
  const rows = points.map(([x, y, bin]) => [fraction(x), fraction(y), number(bin.n_pairs)]);
  return h("figure", {}, picture,
    h("details", {}, h("summary", {}, "The diagram as a table"),
      table("Calibration by bin", ["Mean score", "Share right", "Pairs"], rows)));
}

/** Average precision against the number of videos, a point an entity; a click opens its page. */
function precisionByCount() {
  const shown = entities.filter((entity) => entity.average_precision !== undefined && countOf(entity));
  const most = Math.ceil(Math.log10(Math.max(10, ...shown.map(countOf))));
  const least = Math.floor(Math.log10(Math.min(...shown.map(countOf))));
  const across = (n) => (Math.log10(n) - least) / Math.max(1, most - least);
  const powers = Array.from({ length: most - least + 1 }, (_, i) => 10 ** (least + i));
  const picture = plotFrame(
    `Average precision of ${plural(shown.length, "entity")} against their ${countLabel}. `
    + "The list of entities, sorted, tells the same.",
    `${countLabel} (log scale)`, "Average precision",
    powers.map((n) => [across(n), short(n)]));
  const points = shown.map((entity) => {
    const { average_precision: ap, id } = entity;
    const place = { cx: px(across(countOf(entity))).toFixed(1), cy: py(ap).toFixed(1), r: 2.2 };
    const text = `${nameOf(entity)}: AP ${fraction(ap)}, ${number(countOf(entity))}`;
    return coloured(svg("circle", { class: "point", "data-entity": id, ...place },
      svg("title", {}, text)), entity.verticals[0]);
  });
  const open = (event) => {
    const { entity } = event.target.dataset;
    if (entity) go(entityPath(entityById.get(Number(entity))));
  };
  picture.append(svg("g", { onclick: open }, points));
  return h("figure", {}, picture);
}

/** 1000 as 1k, 1000000 as 1M. */
function short(n) {
  return n >= 1e6 ? `${n / 1e6}M` : n >= 1e3 ? `${n / 1e3}k` : String(n);
}

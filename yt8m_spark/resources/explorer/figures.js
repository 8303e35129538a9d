// Figures of the whole evaluation.

// Name and meaning, in the order of the page; what the evaluation has beyond these is not shown.
const METRICS = {
  map: ["mAP", "mean over entities of the area under the precision-recall curve (Eq. 8-10)"],
  gap_at_20: ["GAP@20", "average precision of the 20 best predictions of all videos, pooled"],
  hit_at_1: ["Hit@1", "videos whose best prediction is a label (Eq. 11)"],
  hit_at_5: ["Hit@5", "videos with a label among their 5 best predictions"],
  perr: ["PERR", "precision at equal recall rate: share of labels in the first |G| ranks"],
  loss: ["Loss", "mean log-loss of a video and entity"],
  starter_map: ["mAP, starter code", "over the 20 best predictions of each video"],
  starter_gap_at_20: ["GAP@20, starter code", "as google/youtube-8m computes it"],
  starter_hit_at_1: ["Hit@1, starter code", "videos without labels count as missed"],
  starter_perr: ["PERR, starter code", "videos without labels count as missed"],
  starter_loss: ["Loss, starter code", "sum over entities, mean over videos"],
};

function figuresPage() {
  const page = h("div", {},
    h("div", { class: "intro" }, h("h1", { tabindex: "-1" }, "Figures"), h("p", {}, evaluated())),
    metricsTable(),
    h("div", { class: "columns" },
      hasPrecision && section("Precision by frequency", {},
        h("p", { class: "note" }, "A point is an entity, in the colour of its vertical."),
        precisionByCount()),
      site.reliability.length > 0 && section("Calibration", {},
        h("p", { class: "note" }, "Of pairs scored so high, how many are labels."),
        reliability(site.reliability))),
    h("div", { class: "columns" }, groupsTable("vertical", "Verticals"),
      groupsTable("band", "Head, torso and tail")));
  return { title: "Figures", page };
}

function evaluated() {
  const { n_videos: n, n_labelled_videos: labelled, n_entities: m } = site.metrics;
  if (n == null && !hasPrecision) {
    return "The page was built without an evaluation: there is nothing to show here.";
  }
  const parts = [n != null && plural(n, "video"), labelled != null && `${number(labelled)} labelled`,
    m != null && plural(m, "entity")].filter(Boolean);
  return parts.length ? `Evaluated on ${parts.join(", ")}.` : "Figures of entities alone.";
}

function metricsTable() {
  const known = knownMetrics();
  if (!known.length) return null;
  const { level, n_replicates: n, intervals = {} } = site.intervals;
  const heads = ["Metric", "Value", level && `${Math.round(100 * level)} % interval`, "Meaning"];
  const rows = known.map(([name, title, meaning]) => [title, fraction(site.metrics[name]),
    level && interval(intervals[name]), h("small", {}, meaning)]);
  const present = (row) => row.filter((cell) => cell !== undefined && cell !== null);
  return section("Metrics", { class: "metrics" },
    level && h("p", { class: "note" }, `Intervals by ${plural(n, "resample")} of the videos.`),
    table("Metrics", present(heads), rows.map(present), [0, level ? 3 : 2]));
}

/** [name, title, meaning] of the figures that are there, Hit@k for any k among them. */
function knownMetrics() {
  const listed = Object.entries(METRICS).map(([name, told]) => [name, ...told]);
  for (const name of Object.keys(site.metrics)) {
    const k = name.match(/^hit_at_(\d+)$/)?.[1];
    if (k && !METRICS[name]) {
      listed.push([name, `Hit@${k}`, `videos with a label among their ${k} best predictions`]);
    }
  }
  return listed.filter(([name]) => site.metrics[name] != null);
}

function interval(pair) {
  return pair ? `${fraction(pair[0])} to ${fraction(pair[1])}` : "–";
}

function groupsTable(kind, title) {
  const groups = site.groups.filter((group) => group.kind === kind);
  if (!groups.length) return null;
  if (kind === "vertical") groups.sort((a, b) => (b.map ?? -1) - (a.map ?? -1));
  const name = (group) => (kind === "vertical"
    ? h("a", { href: `#/?${new URLSearchParams({ v: group.name, sort: "ap" })}` }, group.name)
    : group.name);
  const rows = groups.map((group) => [name(group), number(group.n_entities),
    [fraction(group.map), bar(group.map ?? 0, "ap")]]);
  return section(title, {}, table(title, ["Name", "Entities", "mAP"], rows));
}

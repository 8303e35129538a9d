// The page of an entity: what it is, how well it is told, what it is taken for, and videos.

const LISTS = [
  ["best", "Best scored", "Videos with this label, the highest scores first."],
  ["wrong", "Wrongly scored", "High scores without the label: the model errs, or a label is missing."],
  ["missed", "Missed",
    "Videos with this label in which it is not among the first ranks, the lowest scores first."],
  ["unlabelled", "Highest scores without labels", "Nobody has told what these videos show."],
];

function entityPage(id) {
  const entity = /^\d+$/.test(id) ? entityById.get(Number(id)) : undefined;
  if (!entity) return missingPage("entity", id);
  const details = detailsOf(entity);
  const page = h("article", { class: "entity" },
    h("div", { class: "intro" },
      h("p", { class: "kicker" }, h("a", { href: "#/" }, "Entities"), ` / ${entity.id}`),
      coloured(h("h1", { tabindex: "-1" }, nameOf(entity)), entity.verticals[0]),
      verticalLinks(entity),
      description(entity, details)),
    h("dl", { class: "tiles" }, entityTiles(entity)),
    h("div", { class: "columns" },
      details.curve && details.curve.recall.length > 0 &&
        section("Precision and recall", {}, precisionRecall(entity, details.curve)),
      nearest(details.nearest),
      confused(details.confused)),
    h("div", { class: "columns" }, LISTS.map(([kind, title, note]) =>
      examples(details[kind], title, note))));
  return { title: nameOf(entity), page };
}

function verticalLinks(entity) {
  return h("p", { class: "chips" }, entity.verticals.map((name) =>
    coloured(h("a", { class: "chip", href: `#/?${new URLSearchParams({ v: name })}` }, name), name)));
}

function description(entity, { description: text, wiki_url: url }) {
  const link = externalLink(url, "Wikipedia", `${nameOf(entity)} on Wikipedia`);
  if (!text && !link) return null;
  return h("p", { class: "description" }, text, text && link && " ", link);
}

/** Figures of an entity that are known. */
function entityTiles(entity) {
  const known = (value) => value !== undefined && value !== null;
  const tiles = [];
  const add = (name, value, note = null) => value && tiles.push(tile(name, value, note));
  add("Training videos", known(entity.n_train) && number(entity.n_train));
  add("Videos here", number(entity.n_videos));
  if (!known(entity.average_precision)) return tiles;
  add("Average precision", fraction(entity.average_precision), precisionNote(entity));
  add("Best F1", known(entity.best_f1) && fraction(entity.best_f1),
    known(entity.best_threshold) && `at threshold ${entity.best_threshold}`);
  for (const recall of [20, 50, 80]) {
    const value = entity[`precision_at_recall_${recall}`];
    add(`Precision at recall ${recall} %`, known(value) && fraction(value));
  }
  add("Calibration error", known(entity.calibration_error) && fraction(entity.calibration_error));
  add("Frequency", entity.band);
  return tiles;
}

/** Where the entity stands among all, and how far ties leave its figure open. */
function precisionNote(entity) {
  const all = entities.filter((one) => one.average_precision !== undefined);
  const better = all.filter((one) => one.average_precision > entity.average_precision).length;
  const { worst_average_precision: worst, best_average_precision: best } = entity;
  const ties = best - worst > 0.0005 ? `, ${fraction(worst)} to ${fraction(best)} over ties` : "";
  return `rank ${number(better + 1)} of ${number(all.length)}${ties}`;
}

function nearest(pairs) {
  if (!pairs.length) return null;
  const how = site.nearest_by === "weights" ? "By the cosine of the model's weights."
    : "By the cosine of their labels: entities of the same videos.";
  const rows = pairs.map(([id, similarity]) => [entityLink(entityById.get(id)),
    [fraction(similarity), bar(similarity)]]);
  return section("Nearest entities", {}, h("p", { class: "note" }, how),
    table("Nearest entities", ["Entity", "Cosine"], rows));
}

function confused(found) {
  if (!found.length) return null;
  const rows = found.map(([id, n, share]) => [entityLink(entityById.get(id)), number(n),
    [`${(100 * share).toFixed(1)} %`, bar(share, "wrong")]]);
  return section("Most confused with", {},
    h("p", { class: "note" }, "What stands among the first ranks of its videos instead of it."),
    table("Most confused entities", ["Entity", "Videos", "Share"], rows));
}

function examples(list, title, note) {
  if (!list.length) return null;
  const rows = list.map(([id, score]) => h("li", {},
    h("span", {}, videoLink(id), h("small", {}, labelText(id))), scoreText(score),
    externalLink(videoUrl(id), "watch", `Watch video ${id}`)));
  return section(title, { class: "examples" }, h("p", { class: "note" }, note), h("ol", {}, rows));
}

/** Labels of a video of the page, in words. */
function labelText(id) {
  const labels = videoById().get(id)?.labels ?? [];
  return labels.map((label) => nameOf(entityById.get(label))).join(", ");
}

function scoreText(score) {
  if (score === null) return h("span", { class: "score" }, `not among ${site.top_k}`);
  return h("span", { class: "score" }, fraction(score), bar(score));
}

// The page of a video, labels against predictions; and the list of videos.

const MARKS = {
  hit: ["✓", "found"],
  late: ["○", "ranked low"],
  wrong: ["✗", "no label"],
  other: ["", ""],
  unknown: ["", ""],
};

const VIDEO_ORDERS = {
  page: { title: "In no order", key: null },
  worst: { title: "Worst first", key: (judged) => judged.nHits / judged.nLabels },
  best: { title: "Best first", key: (judged) => -judged.nHits / judged.nLabels },
};

function videoPage(id) {
  const video = videoById().get(id);
  if (!video) return missingPage("video", id);
  const judged = judge(video);
  const url = videoUrl(id);
  const page = h("article", { class: "video" },
    h("div", { class: "intro" },
      h("p", { class: "kicker" }, h("a", { href: "#/videos" }, "Videos")),
      h("h1", { tabindex: "-1" }, "Video ", h("span", { class: "id" }, id)),
      h("p", { class: "lead" }, verdict(judged)),
      // The address is told in words too: a sandboxed frame opens no links.
      url && h("p", {}, externalLink(url, "Watch", `Watch video ${id}`), " ",
        h("code", { class: "address" }, url))),
    h("div", { class: "columns" }, labelsOf(video, judged), predictionsOf(judged)));
  return { title: `Video ${id}`, page };
}

/** "2 of 3 labels are among the first 3 predictions." */
function verdict({ nLabels, nHits }) {
  if (!nLabels) return "This video has no labels, so nobody knows which predictions are right.";
  const first = nLabels === 1 ? "the first prediction" : `the first ${nLabels} predictions`;
  if (nLabels === 1) return nHits ? `Its label is ${first}.` : `Its label is not ${first}.`;
  return `${nHits} of ${nLabels} labels are among ${first}.`;
}

function labelsOf(video, { predictions, nLabels }) {
  if (!nLabels) return null;
  const items = video.labels.map((id) => {
    const rank = predictions.findIndex((one) => one.entity === id);
    const kind = rank < 0 ? "late" : predictions[rank].kind;
    const [mark] = MARKS[kind];
    const told = rank < 0 ? `not among the first ${predictions.length}` : `rank ${rank + 1}`;
    return h("li", { class: kind }, h("span", { class: "mark", "aria-hidden": "true" }, mark),
      entityLink(entityById.get(id)), h("small", {}, kind === "hit" ? `found, ${told}` : told));
  });
  return section("Labels", { class: "labels" }, h("ul", {}, items));
}

function predictionsOf({ predictions, nLabels }) {
  const rows = predictions.map(({ entity, score, kind }, i) => {
    const [mark, words] = MARKS[nLabels ? kind : "unknown"];
    const attributes = { class: `${kind}${i + 1 === nLabels ? " cut" : ""}` };
    return h("tr", attributes, h("td", { class: "number" }, i + 1),
      h("th", { scope: "row", class: "text" }, entityLink(entityById.get(entity))),
      h("td", { class: "number" }, fraction(score), bar(score, kind)),
      nLabels > 0 && h("td", { class: "text verdict" },
        h("span", { class: "mark", "aria-hidden": "true" }, mark), " ", words));
  });
  const heads = [[h("abbr", { title: "Rank" }, "#"), "number"], ["Entity", "text"], ["Score", "number"],
    ...(nLabels ? [["Label?", "text"]] : [])];
  return section("Predictions", { class: "predictions" },
    nLabels > 0 && h("p", { class: "note" },
      "The line is below as many predictions as the video has labels."),
    h("table", {}, h("caption", { class: "unseen" }, "Predictions, best first"),
      h("thead", {}, h("tr", {}, heads.map(([text, kind]) =>
        h("th", { scope: "col", class: kind }, text)))),
      h("tbody", {}, rows)));
}

function videosPage(query) {
  const list = h("tbody", {});
  const order = VIDEO_ORDERS[query.get("sort")] ? query.get("sort") : "page";
  const judged = videos().map((video) => [video, judge(video)]);
  const { key } = VIDEO_ORDERS[order];
  const found = key
    ? judged.filter(([, one]) => one.nLabels).sort(([, a], [, b]) =>
      key(a) - key(b) || b.nLabels - a.nLabels)
    : judged;
  const choices = Object.entries(VIDEO_ORDERS).map(([name, { title }]) =>
    h("a", { class: "chip", href: name === "page" ? "#/videos" : `#/videos?sort=${name}`,
      "aria-current": name === order ? "true" : null }, title));
  const shown = site.n_shown_videos < site.n_videos
    ? `${number(site.n_shown_videos)} of ${plural(site.n_videos, "video")}: half a sample, half `
      + "examples of entities."
    : `All ${plural(site.n_videos, "video")}.`;
  const heads = [["Video", "text"], ["Labels", "text"], ["First predictions", "text"],
    ["Labels found", "number"]];
  const page = h("div", {},
    h("div", { class: "intro" }, h("h1", { tabindex: "-1" }, "Videos"), h("p", {}, shown)),
    h("nav", { class: "chips", "aria-label": "Order of videos" }, choices),
    h("table", { class: "videos" }, h("caption", { class: "unseen" }, "Videos"),
      h("thead", {}, h("tr", {}, heads.map(([text, kind]) =>
        h("th", { scope: "col", class: kind }, text)))), list),
    lazily(list, found, videoRow, { step: 40 }));
  return { title: "Videos", page };
}

function videoRow([video, judged]) {
  const named = (id) => nameOf(entityById.get(id));
  const first = judged.predictions.slice(0, Math.max(3, judged.nLabels));
  return h("tr", {},
    h("th", { scope: "row", class: "text" }, h("a", { class: "id", href: videoPath(video.id) }, video.id)),
    h("td", { class: "text" }, video.labels.map(named).join(", ") || "–"),
    h("td", { class: "text" }, first.map((one) => named(one.entity)).join(", ")),
    h("td", { class: "number" }, judged.nLabels ? `${judged.nHits} of ${judged.nLabels}` : "–"));
}

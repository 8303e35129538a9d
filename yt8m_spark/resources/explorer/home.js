// The first page: verticals to filter by, the tag cloud (paper, Fig. 3) and the list of entities.

const CLOUD = 110; // entities of the cloud
const ROWS = 50; // of the list, at a time

const ORDERS = {
  count: { title: countLabel, key: countOf, down: true },
  ap: { title: "AP", key: (entity) => entity.average_precision, down: true },
  name: { title: "Entity", key: (entity) => folded(nameOf(entity)), down: false },
};

/** What the list shows; kept while other pages are open, so that "back" finds it again. */
const view = { query: "", verticals: new Set(), order: "count", down: true, nRows: ROWS };

function homePage(query) {
  readView(query);
  const cloud = h("div", {});
  const list = h("div", {});
  const count = h("p", { role: "status", class: "found" });
  const update = (keep = false) => {
    if (!keep) view.nRows = ROWS;
    const found = selected();
    count.replaceChildren(...foundText(found, update));
    cloud.replaceChildren(tagCloud(found));
    list.replaceChildren(...entityList(found, update));
    replaceRoute(viewPath());
  };
  const page = h("div", { class: "home" },
    h("div", { class: "intro" }, h("h1", { tabindex: "-1" }, site.title), h("p", {}, summary()),
      headline()),
    filters(update),
    h("div", { class: "results" }, count, cloud, list));
  update(!clicked); // after "back" the list is as long as it was
  return { title: "Entities", page };
}

/** Take the view from the address: `#/?q=piano&v=Games&sort=ap`. */
function readView(query) {
  if (![...query.keys()].length) {
    Object.assign(view, { query: "", verticals: new Set(), order: "count", down: true });
    return;
  }
  view.query = query.get("q") ?? "";
  const known = site.verticals.map(({ name }) => name);
  view.verticals = new Set(query.getAll("v").filter((name) => known.includes(name)));
  const sort = query.get("sort") ?? "count";
  view.order = ORDERS[sort.replace("-", "")] ? sort.replace("-", "") : "count";
  view.down = ORDERS[view.order].down !== sort.startsWith("-");
}

function viewPath() {
  const query = new URLSearchParams();
  if (view.query) query.set("q", view.query);
  for (const name of view.verticals) query.append("v", name);
  const reversed = view.down !== ORDERS[view.order].down;
  const sort = `${reversed ? "-" : ""}${view.order}`;
  if (sort !== "count") query.set("sort", sort);
  return String(query) ? `#/?${query}` : "#/";
}

/** Entities of the view, in its order; those without a figure to sort by come last. */
function selected() {
  let found = view.query ? findEntities(view.query) : [...entities];
  if (view.verticals.size) {
    found = found.filter(({ verticals }) => verticals.some((name) => view.verticals.has(name)));
  }
  const { key } = ORDERS[view.order];
  const sign = view.down ? -1 : 1;
  const compare = (one, other) => {
    const a = key(one), b = key(other);
    if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
    return a < b ? -sign : a > b ? sign : one.id - other.id;
  };
  return found.sort(compare);
}

function summary() {
  const { n_videos: n, n_shown_videos: shown } = site;
  const counts = [plural(entities.length, "entity")];
  if (named.length) counts.push(plural(named.length, "vertical"));
  counts.push(plural(n, "video"));
  const part = shown < n ? ` ${number(shown)} of the videos have a page here.` : "";
  return `${counts.join(", ")}.${part}`;
}

/** The figures that people ask for first. */
function headline() {
  const known = ["map", "gap_at_20", "hit_at_1", "perr"].filter((n) => site.metrics[n] != null);
  if (!known.length) return null;
  return h("dl", { class: "tiles" }, known.map((name) => tile(METRICS[name][0],
    fraction(site.metrics[name]))));
}

/** A figure with its name. */
function tile(name, value, note = null) {
  return h("div", { class: "tile" }, h("dt", {}, name), h("dd", {}, value),
    note && h("dd", { class: "note" }, note));
}

function filters(update) {
  if (!site.verticals.length) return null;
  const unnamed = site.verticals.filter((one) => !named.includes(one));
  const boxes = [...named, ...unnamed].map(({ name, n_entities: n }) => {
    const box = h("input", { type: "checkbox", checked: view.verticals.has(name) });
    box.addEventListener("change", () => {
      if (box.checked) view.verticals.add(name);
      else view.verticals.delete(name);
      update();
    });
    return h("label", { class: "vertical" }, box,
      coloured(h("span", { class: "swatch", "aria-hidden": "true" }), name),
      h("span", {}, name), h("small", {}, number(n)));
  });
  const fields = h("fieldset", {}, h("legend", {}, "Verticals"), boxes);
  const wide = window.matchMedia("(min-width: 60rem)").matches;
  return h("aside", { "aria-label": "Filters" },
    h("details", { open: wide || view.verticals.size > 0 },
      h("summary", {}, `Filter by vertical (${named.length})`), fields));
}

/** "212 entities of Games found for piano", and the way back to all of them. */
function foundText(found, update) {
  const parts = [h("strong", {}, plural(found.length, "entity"))];
  if (view.verticals.size) parts.push(` in ${[...view.verticals].join(" or ")}`);
  if (view.query) parts.push(" for ", h("q", {}, view.query));
  if (!view.verticals.size && !view.query) return parts;
  const clear = () => {
    Object.assign(view, { query: "", verticals: new Set() });
    root.querySelectorAll("aside input").forEach((box) => { box.checked = false; });
    update();
    root.querySelector("h1").focus({ preventScroll: true });
  };
  parts.push(" ", h("button", { type: "button", class: "plain", onclick: clear }, "Show all"));
  return parts;
}

/** The entities with the most videos, in alphabetical order, sized by their videos. */
function tagCloud(found) {
  const most = [...found].sort((a, b) => countOf(b) - countOf(a)).slice(0, CLOUD);
  if (!most.length) return h("p", {}, "No entity is like that. Try fewer words or verticals.");
  const logs = most.map((entity) => Math.log(countOf(entity) + 1));
  const [least, largest] = [Math.min(...logs), Math.max(...logs)];
  const sizes = new Map(most.map((entity, i) =>
    [entity, largest > least ? (logs[i] - least) / (largest - least) : 0.5]));
  most.sort((a, b) => folded(nameOf(a)).localeCompare(folded(nameOf(b))));
  const tags = most.map((entity) => {
    const title = `${number(countOf(entity))} ${countLabel.toLowerCase()}`;
    const link = coloured(entityLink(entity, { title }), entity.verticals[0]);
    return h("li", {}, withVariable(link, "--size", sizes.get(entity).toFixed(3)));
  });
  return section("Tag cloud", { class: "cloud" }, h("ul", {}, tags));
}

function entityList(found, update) {
  if (!found.length) return [];
  const body = h("tbody", {});
  const shown = Object.keys(ORDERS).filter((name) => name !== "ap" || hasPrecision);
  const heads = ["name", ...shown.filter((name) => name !== "name")];
  const most = Math.log(Math.max(...found.map(countOf)) + 1);
  const more = lazily(body, found, (entity) => entityRow(entity, most), {
    step: ROWS, start: view.nRows, onmore: (n) => { view.nRows = n; },
  });
  return [h("h2", {}, "All of them"),
    h("p", {}, "Bars of videos are logarithmic."),
    h("table", { class: "entities" },
      h("caption", { class: "unseen" }, "Entities; a press on a column's head sorts by it"),
      h("thead", {}, h("tr", {}, heads.map((name) => sortHead(name, update)))), body),
    more];
}

/** Head of a column that sorts by it; once more, the other way round. */
function sortHead(name, update) {
  const { title, down } = ORDERS[name];
  const current = view.order === name;
  const sort = () => {
    view.down = current ? !view.down : down;
    view.order = name;
    update();
    root.querySelector(`[data-sort="${name}"]`).focus();
  };
  const order = view.down ? "descending" : "ascending";
  const kind = name === "name" ? "text" : "number";
  return h("th", { scope: "col", class: kind, "aria-sort": current ? order : "none" },
    h("button", { type: "button", "data-sort": name, onclick: sort }, title,
      h("span", { "aria-hidden": "true" }, current ? (view.down ? " ▼" : " ▲") : " ↕")));
}

function entityRow(entity, most) {
  const share = most ? Math.log(countOf(entity) + 1) / most : 0;
  const ap = entity.average_precision;
  return h("tr", {},
    h("th", { scope: "row", class: "text" }, entityLink(entity),
      h("small", {}, entity.verticals.join(" · "))),
    h("td", { class: "number" }, number(countOf(entity)), bar(share)),
    hasPrecision && h("td", { class: "number" }, fraction(ap), bar(ap ?? 0, "ap")));
}

// Elements. Whatever comes from the data becomes text or the value of an attribute, never markup.

const SVG = "http://www.w3.org/2000/svg";

/** Element `tag` of HTML with attributes (null or false: none; on...: a listener) and children. */
function h(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  const given = children.flat(Infinity);
  element.append(...given.filter((one) => one !== null && one !== undefined && one !== false));
  return element;
}

/** Set a custom property: style attributes are barred by the page's Content-Security-Policy. */
function withVariable(element, name, value) {
  element.style.setProperty(name, value);
  return element;
}

/** `url` if it is one of http or https, else null: javascript: must not become a link. */
function safeUrl(url) {
  try {
    const { protocol, href } = new URL(url);
    return protocol === "http:" || protocol === "https:" ? href : null;
  } catch {
    return null;
  }
}

/** A link out of the page in a new tab; only its text where `url` is no web address. */
function externalLink(url, text, label = null) {
  const href = url && safeUrl(url);
  if (!href) return null;
  const attributes = { href, target: "_blank", rel: "noopener noreferrer", "aria-label": label };
  return h("a", attributes, text, h("span", { "aria-hidden": "true" }, " ↗"));
}

const VIDEO_SITES = [
  [/^[\w-]{11}$/, (id) => `https://www.youtube.com/watch?v=${id}`],
  // The release hides YouTube's ids behind its own; this file tells which one it is.
  [/^[A-Za-z0-9]{4}$/, (id) => `https://data.yt8m.org/2/j/i/${id.slice(0, 2)}/${id}.js`],
];

/** Where a video is to be seen; null if its id is of no kind that we know. */
function videoUrl(id) {
  if (site.video_url) return site.video_url.replaceAll("{id}", () => encodeURIComponent(id));
  const known = VIDEO_SITES.find(([pattern]) => pattern.test(id));
  return known ? known[1](id) : null;
}

function entityPath(entity) {
  return `#/entity/${entity.id}`;
}

function videoPath(id) {
  return `#/video/${encodeURIComponent(id)}`;
}

/** Link to the page of an entity. */
function entityLink(entity, attributes = {}) {
  return h("a", { href: entityPath(entity), ...attributes }, nameOf(entity));
}

/** Link to the page of a video if it has one here, else to where it is to be seen. */
function videoLink(id) {
  if (videoById().has(id)) return h("a", { class: "id", href: videoPath(id) }, id);
  return externalLink(videoUrl(id), id) ?? h("span", { class: "id" }, id);
}

/** Hue of a vertical: steps of the golden angle, so that neighbours in the list differ. */
const hues = new Map(named.map(({ name }, i) => [name, Math.round(20 + i * 137.5) % 360]));

/** Colour `element` by the first vertical of an entity (its name is always told in words too). */
function coloured(element, vertical) {
  if (!hues.has(vertical)) return element;
  element.classList.add("hued");
  return withVariable(element, "--hue", hues.get(vertical));
}

/** Bar of a share in [0, 1]; the number beside it tells the same. */
function bar(share, kind = "") {
  const track = h("span", { class: `bar ${kind}`, "aria-hidden": "true" });
  return withVariable(track, "--share", Math.max(0, Math.min(1, share)));
}

/** A section with a heading. */
function section(title, attributes, ...children) {
  return h("section", attributes, h("h2", {}, title), ...children);
}

/** Table of `head` and `rows` of cells; columns `texts` are text, and the first one heads. */
function table(caption, head, rows, texts = [0]) {
  const kind = (i) => (texts.includes(i) ? "text" : "number");
  const heads = head.map((cell, i) => h("th", { scope: "col", class: kind(i) }, cell));
  const body = rows.map((row) =>
    h("tr", {}, row.map((cell, i) =>
      i ? h("td", { class: kind(i) }, cell) : h("th", { scope: "row", class: "text" }, cell))),
  );
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h("table", {},
      h("caption", { class: "unseen" }, caption),
      h("thead", {}, h("tr", {}, heads)),
      h("tbody", {}, body)));
}

/**
 * Append the rows of `items` to `list`, `step` at a time: the first now, more when the button
 * below comes into view or is pressed. Returns the button's wrapper; `start` rows come at once.
 */
function lazily(list, items, render, { step = 60, start = step, onmore = () => {} } = {}) {
  let n = 0;
  const button = h("button", { type: "button", class: "more" });
  const wrapper = h("p", { class: "more" }, button);
  const append = (count) => {
    list.append(...items.slice(n, n + count).map(render));
    n = Math.min(n + count, items.length);
    wrapper.hidden = n >= items.length;
    button.textContent = `Show more (${number(items.length - n)} left)`;
    onmore(n);
  };
  const seen = new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting)) append(step);
  }, { rootMargin: "400px" });
  button.addEventListener("click", () => append(step));
  append(start);
  seen.observe(button);
  return wrapper;
}

// Routes and start. A page is a function of its route that gives {title, page}; the address holds
// the route (#/entity/12), so links, "back" and reloads work. Where the page is shown inside
// another document, a notebook's cell, the route is kept in memory and the address left alone.

const root = document.getElementById("explorer");
const main = root.querySelector("#explorer-main");
const standalone = root.parentElement === document.body && location.href !== "about:srcdoc";

const PAGES = {
  "": (rest, query) => homePage(query),
  entity: (id) => entityPage(id),
  video: (id) => videoPage(id),
  videos: (rest, query) => videosPage(query),
  figures: () => figuresPage(),
};

const scrolled = new Map(); // where each route was left
let current = null;
let clicked = false;

/** Page, rest and query of a route such as `#/entity/12?x=y`. */
function parseRoute(route) {
  const [path, query = ""] = route.replace(/^#?\/?/, "").split(/\?(.*)/s);
  const [page, ...rest] = path.split("/");
  let id = rest.join("/");
  try {
    id = decodeURIComponent(id);
  } catch {
    // a stray % in an address typed by hand
  }
  return { page, id, query: new URLSearchParams(query) };
}

/** Open a route of this page, as a new entry in the history. */
function go(route) {
  if (route !== current) setAddress("pushState", route);
  clicked = true;
  show(route);
}

/** Tell the address of a changed view without a new entry in the history. */
function replaceRoute(route) {
  current = route;
  setAddress("replaceState", route);
}

/** Set the address by the history: MLflow's sandboxed frame may not set location.hash. */
function setAddress(how, route) {
  if (!standalone) return;
  try {
    history[how](null, "", route);
  } catch {
    // a frame that may not do this either; the page works all the same
  }
}

/** Show the page of `route`: from the top after a click, where it was left after "back". */
function show(route, first = false) {
  const { page, id, query } = parseRoute(route);
  const make = Object.hasOwn(PAGES, page) ? PAGES[page] : () => missingPage("page", page);
  current = route;
  const made = make(id, query);
  const top = clicked ? 0 : (scrolled.get(current) ?? 0);
  main.replaceChildren(made.page);
  markNavigation(page);
  if (standalone) document.title = `${made.title} – ${site.title}`;
  if (first) return;
  // To a screen reader the heading is what has changed.
  main.querySelector("h1").focus({ preventScroll: true });
  if (standalone) window.scrollTo(0, top);
  else root.scrollIntoView();
  clicked = false;
}

function markNavigation(page) {
  const of = { "": "#/", entity: "#/", video: "#/videos", videos: "#/videos", figures: "#/figures" };
  for (const link of root.querySelectorAll("header nav a")) {
    const here = link.getAttribute("href") === of[page];
    const exact = page === "" || page.endsWith("s");
    if (here) link.setAttribute("aria-current", exact ? "page" : "true");
    else link.removeAttribute("aria-current");
  }
}

function missingPage(kind, id) {
  const why = kind === "video" ? " It may be in the table, but it was not chosen for this page." : "";
  const page = h("div", { class: "intro" }, h("h1", { tabindex: "-1" }, "Not found"),
    h("p", {}, `There is no ${kind} `, h("q", {}, id), ` here.${why}`),
    h("p", {}, h("a", { href: "#/" }, "All entities")));
  return { title: "Not found", page };
}

/** Follow links within the page ourselves: in a srcdoc frame they would lead to its parent. */
function followLink(event) {
  const link = event.target.closest?.("a[href^='#/']");
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  go(link.getAttribute("href"));
}

function start() {
  root.addEventListener("click", followLink);
  if (standalone) {
    history.scrollRestoration = "manual";
    window.addEventListener("popstate", () => show(location.hash));
    window.addEventListener("scroll", () => scrolled.set(current, window.scrollY), { passive: true });
  }
  root.querySelector("#explorer-skip").addEventListener("click", () => main.focus());
  startSearch();
  const sources = Object.entries(site.sources).map(([name, path]) => `${name}: ${path}`);
  root.querySelector("#explorer-sources").textContent = `Made from ${sources.join("; ")}`;
  show(standalone ? location.hash : "", true);
  root.dataset.ready = "true";
  performance.mark("explorer-interactive");
}

start();

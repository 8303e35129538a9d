// Search as you type: a combobox with a list of entities (WAI-ARIA's pattern of that name).

const SHOWN_OPTIONS = 12;
const LETTERS = { ø: "o", ł: "l", đ: "d", ð: "d", þ: "th", ß: "ss", æ: "ae", œ: "oe", ı: "i" };

/** `text` as it is compared: without case and diacritics. "Pokémon" is found by "pokemon". */
function folded(text) {
  const plain = text.toLowerCase().normalize("NFKD").replace(/\p{M}+/gu, "");
  return plain.replace(/[øłđðþßæœı]/g, (letter) => LETTERS[letter]).trim();
}

const foldedNames = once(() => entities.map((entity) => folded(nameOf(entity))));

/** How well a name answers a query: 0 best, 4 not at all. Every word must be somewhere in it. */
function distance(name, query, words) {
  if (name === query) return 0;
  if (name.startsWith(query)) return 1;
  if (!words.every((word) => name.includes(word))) return 4;
  return words.every((word) => ` ${name}`.includes(` ${word}`)) ? 2 : 3;
}

/** Entities that answer `text`, best first, then most videos first. An id is asked for by itself. */
function findEntities(text) {
  const query = folded(text);
  if (!query) return [];
  const words = query.split(/\s+/);
  const id = /^#?\d+$/.test(query) ? Number(query.replace("#", "")) : null;
  const names = foldedNames();
  const found = [];
  entities.forEach((entity, i) => {
    const byId = entity.id === id || (entity.mid && entity.mid.toLowerCase() === query);
    const away = byId ? -1 : distance(names[i], query, words);
    if (away < 4) found.push([away, entity]);
  });
  found.sort(([a, one], [b, other]) => a - b || countOf(other) - countOf(one) || one.id - other.id);
  return found.map(([, entity]) => entity);
}

/** Videos of the page whose ids begin with `text`; too many begin with one or two letters. */
function findVideos(text) {
  const query = text.trim();
  if (query.length < 3) return [];
  const found = [];
  for (const { id } of videos()) {
    if (id.startsWith(query) && found.push(id) === 3) break;
  }
  return found;
}

/** What the list offers for `text`: [path, element] each. */
function optionsFor(text, found) {
  const offers = found.slice(0, SHOWN_OPTIONS).map((entity) => [entityPath(entity), [
    h("span", {}, nameOf(entity)),
    coloured(h("small", { class: "vertical" }, entity.verticals[0] ?? ""), entity.verticals[0]),
    h("small", { class: "count" }, number(countOf(entity))),
  ]]);
  for (const id of findVideos(text)) {
    offers.push([videoPath(id), [h("span", { class: "id" }, id), h("small", {}, "video")]]);
  }
  if (found.length > SHOWN_OPTIONS) {
    const all = `#/?${new URLSearchParams({ q: text.trim() })}`;
    offers.push([all, [h("em", {}, `All ${number(found.length)} entities found`)]]);
  }
  return offers;
}

/** Make the search of the page work. */
function startSearch() {
  const input = root.querySelector("#explorer-search");
  const list = root.querySelector("#explorer-options");
  const status = root.querySelector("#explorer-found");
  input.placeholder = `Search ${plural(entities.length, "entity")}`;
  let offers = [];
  let active = -1;

  const close = () => {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
    active = -1;
  };
  const choose = (index) => {
    if (!offers[index]) return;
    const [path] = offers[index];
    close();
    input.value = "";
    offers = [];
    go(path);
  };
  const activate = (index) => {
    active = (index + offers.length) % offers.length;
    [...list.children].forEach((option, i) => {
      option.setAttribute("aria-selected", String(i === active));
      if (i === active) option.scrollIntoView({ block: "nearest" });
    });
    input.setAttribute("aria-activedescendant", `explorer-option-${active}`);
  };
  const update = () => {
    const found = findEntities(input.value);
    offers = optionsFor(input.value, found);
    close();
    list.replaceChildren(...offers.map(([, content], i) =>
      h("li", { role: "option", id: `explorer-option-${i}`, "aria-selected": "false",
        onpointerdown: (event) => event.preventDefault(), // the focus stays in the field
        onclick: () => choose(i) }, content)));
    list.hidden = !offers.length;
    input.setAttribute("aria-expanded", String(offers.length > 0));
    status.textContent = input.value.trim() ? `${plural(found.length, "entity")} found` : "";
    input.parentElement.classList.toggle("empty", Boolean(input.value.trim()) && !offers.length);
  };
  const keys = {
    ArrowDown: () => (list.hidden ? update() : activate(active + 1)),
    ArrowUp: () => !list.hidden && activate(active < 0 ? offers.length - 1 : active - 1),
    Enter: () => choose(Math.max(active, 0)),
    Escape: () => (list.hidden ? (input.value = "", update()) : close()),
  };
  input.addEventListener("input", update);
  input.addEventListener("focus", () => input.value && update());
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    if (!keys[event.key] || event.isComposing) return;
    keys[event.key]();
    event.preventDefault();
  });
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (standalone || root.contains(event.target)) {
      event.preventDefault();
      input.focus();
      input.select();
    }
  });
}

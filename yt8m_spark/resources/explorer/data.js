// The data of the page: four JSON values, each read when it is first asked for. `site` and
// `entities` are needed at once; `details` and `videos`, the large ones, not before a page of one.

/** The value of the embedded JSON element `name`. */
function embedded(name) {
  return JSON.parse(document.getElementById(`explorer-data-${name}`).textContent);
}

/** A function that makes its value at the first call and keeps it. */
function once(make) {
  let value;
  return () => (value === undefined ? (value = make()) : value);
}

const site = embedded("site");
const entities = embedded("entities");
const entityById = new Map(entities.map((entity) => [entity.id, entity]));

// The release calls it a vertical too that an entity has none.
const named = site.verticals.filter(({ name }) => name !== "(Unknown)");

const allDetails = once(() => embedded("details"));
const videos = once(() => embedded("videos"));
const videoById = once(() => new Map(videos().map((video) => [video.id, video])));

/** Description, curve, near entities and examples of an entity; lists that are missing are empty. */
function detailsOf(entity) {
  const empty = { nearest: [], confused: [], best: [], wrong: [], missed: [], unlabelled: [] };
  return { ...empty, ...allDetails()[entity.id] };
}

/** What to call an entity: a vocabulary may have no name for it. */
function nameOf(entity) {
  return entity.name ?? `Entity ${entity.id}`;
}

// Entities are sized by the videos that the vocabulary counts, or else by those of this table.
const counted = entities.some((entity) => entity.n_train !== undefined) ? "n_train" : "n_videos";
const countLabel = counted === "n_train" ? "Training videos" : "Videos";

function countOf(entity) {
  return entity[counted] ?? 0;
}

const hasPrecision = entities.some((entity) => entity.average_precision !== undefined);

/**
 * How a video's predictions stand to its labels. `ranks` are the first as many as it has labels:
 * a perfect model has them all right. Each prediction is a "hit" (a label in the ranks), "wrong"
 * (no label, yet in the ranks), "late" (a label further down) or "other"; `unseen` are labels
 * that are not among the predictions at all.
 */
function judge(video) {
  const labels = new Set(video.labels);
  const predictions = video.entities.map((entity, i) => {
    const inRanks = i < labels.size;
    const kind = labels.has(entity) ? (inRanks ? "hit" : "late") : inRanks ? "wrong" : "other";
    return { entity, score: video.scores[i], kind };
  });
  const predicted = new Set(video.entities);
  return {
    predictions,
    nLabels: labels.size,
    nHits: predictions.filter((one) => one.kind === "hit").length,
    unseen: video.labels.filter((label) => !predicted.has(label)),
  };
}

const whole = new Intl.NumberFormat("en");

/** A whole number with thousands separators. */
function number(n) {
  return whole.format(n);
}

/** "1 video", "2 videos". */
function plural(n, noun) {
  const many = noun.endsWith("y") ? `${noun.slice(0, -1)}ies` : `${noun}s`;
  return `${number(n)} ${n === 1 ? noun : many}`;
}

/** A figure with three decimals, a small one with two digits; a dash where there is none. */
function fraction(value) {
  if (value === undefined || value === null) return "–";
  return value && Math.abs(value) < 0.01 ? value.toPrecision(2) : value.toFixed(3);
}

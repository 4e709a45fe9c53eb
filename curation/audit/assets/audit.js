// The case page: three linked planes, sentences tied to boxes, verdicts by key. Geometry is in voxels of the
// volume (RAS+); pictures run backwards along both of their axes, as slices.py draws them.
import { openViewer } from "./viewer.js";

const facts = JSON.parse(document.getElementById("facts").dataset.facts);
const axes = { axial: [2, 0, 1], coronal: [1, 0, 2], sagittal: [0, 1, 2] };
const shape = facts.shape_ijk, spacing = facts.spacing_mm;
const state = { at: shape.map((n) => Math.floor(n / 2)), window: "soft", chosen: null, all: false, hu: null };
let crops = null; // sentence -> draws of training, once asked for
let viewer = null; // NiiVue, once it holds the volume
const make = (name, attributes) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
};
const clamp = (value, n) => Math.min(Math.max(value, 0), n - 1);
const sentences = [...document.querySelectorAll("[data-sentence]")];

const planes = [...document.querySelectorAll("svg.plane")].map((svg) => {
  const [across, u, v] = axes[svg.dataset.plane];
  const width = shape[u] * spacing[u], height = shape[v] * spacing[v];
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const image = make("image", { width, height, preserveAspectRatio: "none" });
  const boxes = make("g", {});
  const vertical = make("line", { class: "cross", y1: 0, y2: height });
  const horizontal = make("line", { class: "cross", x1: 0, x2: width });
  svg.append(image, boxes, vertical, horizontal);
  const slider = document.querySelector(`input.slider[data-plane=${svg.dataset.plane}]`);
  slider.max = shape[across] - 1;
  return { svg, name: svg.dataset.plane, across, u, v, width, height, image, boxes, vertical, horizontal, slider };
});

// Every box that a sentence of the report names, once: all that a volume holds would be a mesh of lines.
const namedBoxes = [...new Map(Object.values(facts.sentences).flat().map((box) => [JSON.stringify(box), box])).values()];
const shownBoxes = () => (state.all ? namedBoxes : facts.sentences[state.chosen] || []);

const drawBoxes = (plane) => {
  plane.boxes.replaceChildren();
  for (const box of shownBoxes()) {
    const low = box.start[plane.across], high = low + box.size[plane.across];
    if (state.at[plane.across] < low || state.at[plane.across] >= high) continue;
    const { u, v } = plane;
    const rect = make("rect", {
      class: `box ${box.source}`,
      x: (shape[u] - box.start[u] - box.size[u]) * spacing[u],
      y: (shape[v] - box.start[v] - box.size[v]) * spacing[v],
      width: box.size[u] * spacing[u],
      height: box.size[v] * spacing[v],
    });
    const title = make("title", {});
    title.textContent = `${box.region} (${box.source}, confidence ${box.confidence})`;
    rect.append(title);
    const name = make("text", {
      class: `name ${box.source}`,
      x: Number(rect.getAttribute("x")) + 0.01 * plane.height,
      y: Number(rect.getAttribute("y")) + 0.04 * plane.height,
      "font-size": 0.035 * plane.height,
    });
    name.textContent = box.region.replaceAll("_", " ");
    plane.boxes.append(rect, name);
  }
};

const say = (text) => { document.getElementById("place").textContent = text; };

const draw = () => {
  if (viewer) viewer.show(state.at, state.window); // tells `moved`
  else for (const plane of planes) {
    const source = `/slice/${facts.volume_id}/${plane.name}/${state.at[plane.across]}.png?window=${state.window}`;
    if (plane.image.getAttribute("href") !== source) plane.image.setAttribute("href", source);
  }
  mark();
};

// What lies over the pictures: crosshair, boxes, sliders, the place in words.
const mark = () => {
  for (const plane of planes) {
    const x = (shape[plane.u] - state.at[plane.u] - 0.5) * spacing[plane.u];
    const y = (shape[plane.v] - state.at[plane.v] - 0.5) * spacing[plane.v];
    for (const name of ["x1", "x2"]) plane.vertical.setAttribute(name, x);
    for (const name of ["y1", "y2"]) plane.horizontal.setAttribute(name, y);
    plane.slider.value = state.at[plane.across];
    drawBoxes(plane);
  }
  for (const button of document.querySelectorAll("button.window"))
    button.setAttribute("aria-pressed", String(button.dataset.window === state.window));
  document.getElementById("all-boxes").setAttribute("aria-pressed", String(state.all));
  const hu = viewer && state.hu !== null ? ` · ${Math.round(state.hu)} HU` : "";
  say(`voxel ${state.at.join(", ")}${imageAt()}${hu}`);
  document.body.dataset.crosshair = state.at.join(",");
};

const isHere = (button) =>
  (facts.sentences[button.dataset.sentence] || []).some((box) =>
    state.at.every((p, a) => p >= box.start[a] && p < box.start[a] + box.size[a]));

const hereList = document.getElementById("here-list");
const markHere = () => {
  hereList.replaceChildren();
  for (const button of sentences) {
    const here = isHere(button);
    button.classList.toggle("here", here);
    if (!here) continue;
    const link = document.createElement("button");
    link.type = "button";
    link.textContent = button.textContent.trim();
    link.addEventListener("click", () => choose(button));
    const entry = document.createElement("li");
    entry.append(link);
    hereList.append(entry);
  }
  if (!hereList.childElementCount) {
    const entry = document.createElement("li");
    entry.textContent = "no sentence names a region here";
    hereList.append(entry);
  }
};

// World places, mm RAS: affine_ras takes voxels there; a source image lies at one place along its stack's normal.
const along = (at) => {
  const m = facts.affine_ras, normal = facts.slices.normal_ras;
  return [0, 1, 2].reduce((sum, row) => sum + normal[row] * (m[row][0] * at[0] + m[row][1] * at[1] + m[row][2] * at[2] + m[row][3]), 0);
};
const gradient = [0, 1, 2].map((axis) => along([0, 1, 2].map((a) => Number(a === axis))) - along([0, 0, 0]));
const across = gradient.map(Math.abs).indexOf(Math.max(...gradient.map(Math.abs)));
const imageAt = () => {
  const place = along(state.at);
  let best = null;
  facts.slices.mm.forEach((mm, n) => {
    if (best === null || Math.abs(mm - place) < Math.abs(facts.slices.mm[best] - place)) best = n;
  });
  return best === null ? "" : ` · series ${facts.slices.series ?? "?"} image ${facts.slices.images[best]}`;
};
const jumpTo = (series, image) => {
  if (series !== null && facts.slices.series !== null && series !== facts.slices.series)
    return `series ${series} is not the one shown (${facts.slices.series})`;
  const n = facts.slices.images.indexOf(image);
  if (n < 0) return `the series has no image ${image}`;
  const voxel = state.at[across] + (facts.slices.mm[n] - along(state.at)) / gradient[across];
  state.at[across] = clamp(Math.round(voxel), shape[across]);
  draw();
  return "";
};

const choose = (button) => {
  state.chosen = button.dataset.sentence;
  for (const other of sentences) other.classList.toggle("chosen", other === button);
  const box = (facts.sentences[state.chosen] || [])[0];
  if (box) state.at = box.start.map((start, axis) => clamp(start + Math.floor(box.size[axis] / 2), shape[axis]));
  draw();
  let said = box ? "" : "this sentence is tied to no place";
  if (!box && button.dataset.image)
    said = jumpTo(button.dataset.series ? Number(button.dataset.series) : null, Number(button.dataset.image));
  button.scrollIntoView({ block: "nearest" });
  if (said) say(said);
  markHere();
  showCrops();
};

const step = (delta) => {
  if (!sentences.length) return;
  const place = sentences.findIndex((button) => button.dataset.sentence === state.chosen);
  choose(sentences[Math.min(Math.max(place + delta, 0), sentences.length - 1)]);
};

const scroll = (plane, delta) => {
  state.at[plane.across] = clamp(state.at[plane.across] + delta, shape[plane.across]);
  draw();
};

for (const button of sentences) {
  button.addEventListener("click", () => choose(button));
  button.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    choose(button);
  });
}
for (const plane of planes) {
  plane.slider.addEventListener("input", () => {
    state.at[plane.across] = Number(plane.slider.value);
    draw();
  });
  plane.svg.addEventListener("wheel", (event) => {
    event.preventDefault();
    scroll(plane, event.deltaY > 0 ? -1 : 1);
  }, { passive: false });
  plane.svg.addEventListener("click", (event) => {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(plane.svg.getScreenCTM().inverse());
    state.at[plane.u] = clamp(Math.floor(shape[plane.u] - point.x / spacing[plane.u]), shape[plane.u]);
    state.at[plane.v] = clamp(Math.floor(shape[plane.v] - point.y / spacing[plane.v]), shape[plane.v]);
    draw();
    markHere();
  });
}
const setWindow = (name) => { state.window = name; draw(); showCrops(); };
const windows = [...document.querySelectorAll("button.window")];
for (const button of windows) button.addEventListener("click", () => setWindow(button.dataset.window));
const toggleAll = () => { state.all = !state.all; draw(); };
document.getElementById("all-boxes").addEventListener("click", toggleAll);

const jump = document.getElementById("jump");
jump.addEventListener("change", () => {
  const numbers = jump.value.match(/\d+/g);
  if (!numbers) return;
  const said = jumpTo(numbers.length > 1 ? Number(numbers[0]) : null, Number(numbers[numbers.length - 1]));
  if (said) say(said);
});

const reader = document.getElementById("reader");
reader.addEventListener("change", async () => {
  const answer = await fetch("/reader", { method: "POST", body: reader.value });
  if (answer.ok) location.reload();
  else say("the name was not kept");
});

const note = document.getElementById("note");
const decide = async (verdict) => {
  const current = document.getElementById("current");
  try {
    const answer = await fetch(`/verdict/${facts.pair_id}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ verdict, note: note.value }),
    });
    if (!answer.ok) throw new Error(await answer.text());
    const kept = await answer.json();
    current.textContent = (kept.verdict || "none yet").replaceAll("_", " ");
    const entry = document.createElement("li");
    entry.textContent = `just now · ${verdict.replaceAll("_", " ")}${note.value ? " · " + note.value : ""}`;
    document.getElementById("history").append(entry);
    note.value = "";
  } catch (error) {
    current.textContent = `not kept: ${error.message}`;
  }
};
const deciders = [...document.querySelectorAll("button.decide")];
for (const button of deciders) button.addEventListener("click", () => decide(button.dataset.verdict));

document.addEventListener("keydown", (event) => {
  if (event.target.matches("canvas")) event.stopPropagation(); // NiiVue has keys of its own
  if ([note, jump, reader].includes(event.target)) {
    if (event.key === "Escape" || (event.key === "Enter" && event.target === jump)) event.target.blur();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const decider = deciders.find((button) => button.dataset.key === event.key);
  const follow = { n: "next", p: "previous" }[event.key];
  if (decider) decide(decider.dataset.verdict);
  else if (follow) document.getElementById(follow)?.click();
  else if (event.key === "j") step(1);
  else if (event.key === "k") step(-1);
  else if (event.key === "b") toggleAll();
  else if (event.key === "c") askCrops();
  else if (event.key === "v" && !load.hidden) load.click();
  else if (event.key === "i") { event.preventDefault(); jump.select(); }
  else if (event.key === "t") { event.preventDefault(); note.focus(); }
  else if (windows[Number(event.key) - 1]) setWindow(windows[Number(event.key) - 1].dataset.window);
  else if (event.key === "ArrowUp" || event.key === "ArrowDown") {
    if (event.target.type === "range") return;
    event.preventDefault();
    scroll(planes[0], event.key === "ArrowUp" ? 1 : -1);
  }
}, { capture: true });
draw();
markHere();

// Two draws of the chosen sentence, each with its two views and what is said about them.
const cropList = document.getElementById("crop-list"), cropsState = document.getElementById("crops-state");
const textOf = (id) => (sentences.find((button) => button.dataset.sentence === id)?.textContent ?? "").trim();
const showCrops = () => {
  cropList.replaceChildren();
  if (!crops) return;
  const draws = crops[state.chosen] || [];
  cropsState.textContent = draws.length ? "" : state.chosen ? "none for this sentence" : "choose a sentence";
  for (const draw of draws)
    for (const view of draw.views) {
      const figure = document.createElement("figure");
      const picture = document.createElement("img");
      picture.src = `/crop/${facts.volume_id}/${[...view.start, draw.size, view.index].join(".")}.png?window=${/^(lung|airway|pleura)/.test(draw.region) ? "lung" : state.window}`;
      picture.width = picture.height = 150;
      picture.alt = `axial slice of a crop on ${draw.region.replaceAll("_", " ")}`;
      const caption = document.createElement("figcaption");
      const others = view.sentences.filter((one) => one.sentence_id !== state.chosen);
      caption.textContent = `${draw.region.replaceAll("_", " ")}, ${draw.size} voxels, covers ${Math.round(100 * (view.sentences[0]?.covered ?? 0))} %`
        + (others.length ? `; also said of it: ${others.map((one) => textOf(one.sentence_id)).join(" ")}` : "");
      figure.append(picture, caption);
      cropList.append(figure);
    }
};
let isAsking = false;
const askCrops = async () => {
  if (isAsking) return;
  isAsking = true;
  cropsState.textContent = "asking training for its draws, some seconds";
  try {
    const answer = await fetch(`/crops/${facts.pair_id}`);
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const told = await answer.json();
    crops = told.draws;
    if (!state.chosen && Object.keys(crops).length) choose(sentences.find((button) => button.dataset.sentence in crops));
    showCrops();
    if (told.said) cropsState.textContent = told.said;
  } catch (error) {
    cropsState.textContent = `no answer (${error.message})`;
  }
  isAsking = false;
};
document.getElementById("draw-crops").addEventListener("click", askCrops);

const viewerState = document.getElementById("viewer-state"), load = document.getElementById("load");
const startViewer = async (isAsked) => {
  load.hidden = true;
  const hooks = {
    facts, planes, box: document.querySelector(".planes"), window: () => state.window,
    say: (text) => { viewerState.textContent = text; },
    moved: (ijk, hu) => {
      const at = ijk.map((place, axis) => clamp(Math.round(place), shape[axis]));
      const hasMoved = at.some((place, axis) => place !== state.at[axis]);
      Object.assign(state, { at, hu: hu ?? null });
      mark();
      if (hasMoved) markHere();
    },
    drawn: (plane, [[left, width], [top, height]]) => {
      plane.svg.setAttribute("preserveAspectRatio", "none");
      plane.svg.setAttribute("viewBox", [left * plane.width, top * plane.height, width * plane.width, height * plane.height].join(" "));
    },
  };
  const opened = await openViewer(hooks, { isAsked });
  if (opened.refused) {
    viewerState.textContent = `slices: ${opened.refused}`;
    load.hidden = !opened.canAsk;
    return;
  }
  viewer = opened;
  document.body.dataset.viewer = "niivue";
  viewerState.textContent = `NiiVue ${facts.niivue}`;
  draw();
};
load.addEventListener("click", () => startViewer(true));
document.body.dataset.viewer = "slices";
startViewer(false);

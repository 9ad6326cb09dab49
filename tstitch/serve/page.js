// The page of tstitch serve: asks /v1/jobs and watches what becomes of it.
const $ = (id) => document.getElementById(id);
const RATIOS = [0, 20, 40, 60, 80, 100];
const running = new Map(); // id of a job -> its line in the queue
let model = null; // what /v1/models/{name} says
let strip = []; // [{ratio, png, seconds}] of one seed, for the slider to move over

// ---- asking

let key = sessionStorage.getItem("tstitch-key") ?? "";

async function ask(method, path, body, signal) {
  const headers = {};
  if (key) headers.Authorization = `Bearer ${key}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body), signal });
  if (answer.ok) return answer;
  if (answer.status === 401) $("key-field").hidden = false;
  const said = await answer.json().catch(() => ({}));
  throw new Error(said.error?.message ?? said.detail ?? `The server answers ${answer.status}.`);
}

const askJson = async (...what) => (await ask(...what)).json();

// The events of a text/event-stream, one after the other.
async function* eventsOf(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
      const event = Object.fromEntries(text.slice(0, end).split("\n").map((line) => line.split(/: (.*)/s)));
      if (event.event) yield { name: event.event, data: JSON.parse(event.data) };
    }
  }
}

function say(text, isError = false) {
  $("message").textContent = text;
  $("message").classList.toggle("error", isError);
}

// ---- what is asked

function requestOf(ratio) {
  const request = {
    model: $("model").value,
    steps: $("steps").valueAsNumber,
    cfg_scale: $("cfg").valueAsNumber,
    seed: $("seed").valueAsNumber,
    batch_count: $("count").valueAsNumber,
    width: $("width").valueAsNumber,
    height: $("height").valueAsNumber,
  };
  if ($("sampler").value) request.sampler = $("sampler").value;
  if (model.models.length === 2) request.ratio = ratio / 100;
  if (model.text) {
    request.prompt = $("prompt").value;
    if ($("negative").value) request.negative_prompt = $("negative").value;
  } else {
    request.class = $("class").value;
  }
  if (start.picture) {
    request.init_image = start.picture;
    request.strength = $("strength").valueAsNumber;
    if (start.isPainted) request.mask = start.mask();
  }
  if ($("control").value) {
    request.control_net = control.asked();
    request.stages = control.stages();
  }
  for (const [name, value] of Object.entries(request)) if (Number.isNaN(value)) delete request[name];
  return request;
}

// Runs to the end. Returns the pictures and the seconds, or null of one that was cancelled.
async function run(request, label, onStep = () => {}) {
  const job = await askJson("POST", "/v1/jobs", request);
  const line = document.createElement("li");
  line.textContent = `${label}: waits`;
  $("queue").append(line);
  running.set(job.id, line);
  $("cancel").disabled = false;
  try {
    let begin = performance.now();
    for await (const { name, data } of eventsOf(await ask("GET", `/v1/jobs/${job.id}/events?previews=true`))) {
      if (name === "step") {
        if (data.step === 1) begin = performance.now();
        line.textContent = `${label}: step ${data.step} of ${data.steps}, ${data.stage}`;
        onStep(data);
      } else if (name === "failed") {
        throw new Error(data.error.message);
      } else if (name === "cancelled") {
        return null;
      }
    }
    const seconds = (performance.now() - begin) / 1000;
    const done = await askJson("GET", `/v1/jobs/${job.id}`);
    if (done.notes) say(done.notes.join(" "));
    return { pictures: done.images, seconds };
  } finally {
    line.remove();
    running.delete(job.id);
    $("cancel").disabled = running.size === 0;
  }
}

function imageOf(png, text) {
  const image = new Image();
  image.src = `data:image/png;base64,${png}`;
  image.alt = text;
  return image;
}

const subject = () => (model.text ? $("prompt").value : $("class").value);

async function generate() {
  const ratio = $("ratio").valueAsNumber;
  say("");
  $("progress").hidden = false;
  $("progress").value = 0;
  try {
    const request = requestOf(ratio);
    const result = await run(request, subject(), ({ step, steps, preview }) => {
      $("progress").value = step / steps;
      if (preview) $("pictures").replaceChildren(imageOf(preview, "What it is about to be"));
    });
    if (!result) return say("Cancelled.");
    $("pictures").replaceChildren(...result.pictures.map(({ png, seed }) => imageOf(png, `${subject()}, seed ${seed}`)));
    say(`${result.seconds.toFixed(2)} s, seed ${result.pictures.map((one) => one.seed).join(", ")}`);
    for (const { png } of result.pictures) await gallery.add(png, subject());
  } finally {
    $("progress").hidden = true;
  }
}

// One seed at every share: what the slider then moves over.
async function generateStrip() {
  if (model.models.length !== 2) return say("Choose a pair of models: small+large.", true);
  say("");
  strip = [];
  let seed = $("seed").valueAsNumber;
  if (!(seed >= 0)) seed = Math.floor(Math.random() * 2 ** 32);
  for (const ratio of RATIOS) {
    const result = await run({ ...requestOf(ratio), seed, batch_count: 1 }, `${ratio} %`);
    if (!result) return say("Cancelled.");
    strip.push({ ratio, png: result.pictures[0].png, seconds: result.seconds });
    drawStrip();
  }
}

// ---- the strip

function drawStrip() {
  $("strip-field").hidden = strip.length === 0;
  $("strip-pictures").replaceChildren(
    ...strip.map(({ ratio, png, seconds }) => {
      const figure = document.createElement("figure");
      const caption = document.createElement("figcaption");
      caption.textContent = `${ratio} %, ${seconds.toFixed(2)} s`;
      figure.append(imageOf(png, `Share ${ratio} %`), caption);
      figure.dataset.ratio = ratio;
      return figure;
    }),
  );
  drawCurve();
  showRatio();
}

function svg(name, attributes, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.textContent = text;
  return element;
}

function drawCurve() {
  const most = Math.max(...strip.map((point) => point.seconds), 1e-9);
  const x = (ratio) => 40 + 2.6 * ratio;
  const y = (seconds) => 120 - (100 * seconds) / most;
  $("curve").replaceChildren(
    svg("polyline", { points: strip.map((point) => `${x(point.ratio)},${y(point.seconds)}`).join(" ") }),
    ...strip.map((point) => svg("circle", { cx: x(point.ratio), cy: y(point.seconds), r: 3, fill: "currentColor" })),
    ...[0, 50, 100].map((ratio) => svg("text", { x: x(ratio), y: 140, "text-anchor": "middle" }, `${ratio} %`)),
    svg("text", { x: 2, y: 24 }, `${most.toFixed(2)} s`),
    svg("text", { x: 2, y: 124 }, "0 s"),
  );
}

// The sampled share next to the slider's is what is shown.
function showRatio() {
  const ratio = $("ratio").valueAsNumber;
  $("ratio-text").textContent = `${ratio} %`;
  if (strip.length === 0) return;
  const distance = (point) => Math.abs(point.ratio - ratio);
  const chosen = strip.reduce((best, point) => (distance(point) < distance(best) ? point : best));
  for (const figure of $("strip-pictures").children) figure.classList.toggle("chosen", +figure.dataset.ratio === chosen.ratio);
  $("pictures").replaceChildren(imageOf(chosen.png, `Share ${chosen.ratio} %`));
}

// ---- the picture to start from, and what of it is painted

const start = {
  picture: null, // base64
  isPainted: false,
  image: null,
  strokes: document.createElement("canvas"), // opaque where to paint

  async load(file) {
    this.picture = (await dataUrl(file)).split(",")[1];
    this.image = await createImageBitmap(file);
    this.show();
  },
  show() {
    $("start").open = true;
    $("canvas-field").hidden = false;
    for (const canvas of [$("canvas"), this.strokes]) {
      canvas.width = this.image.width;
      canvas.height = this.image.height;
    }
    const scale = Math.max(1, Math.floor(256 / this.image.width));
    $("canvas").style.width = `${this.image.width * scale}px`;
    this.unpaint();
  },
  unpaint() {
    this.strokes.getContext("2d").clearRect(0, 0, this.strokes.width, this.strokes.height);
    this.isPainted = false;
    this.draw();
  },
  draw() {
    const context = $("canvas").getContext("2d");
    context.globalAlpha = 1;
    context.drawImage(this.image, 0, 0);
    context.globalAlpha = 0.6;
    context.drawImage(this.strokes, 0, 0);
  },
  // From where the pointer was to where it is: it may have gone far meanwhile.
  paint(event, begins) {
    const box = $("canvas").getBoundingClientRect();
    const scale = this.strokes.width / box.width;
    const here = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
    if (begins) this.last = here;
    const context = this.strokes.getContext("2d");
    context.strokeStyle = "#e0218a"; // seen on light and dark pictures
    context.lineWidth = $("brush").valueAsNumber * scale;
    context.lineCap = "round";
    context.beginPath();
    context.moveTo(...this.last);
    context.lineTo(...here);
    context.stroke();
    this.last = here;
    this.isPainted = true;
    this.draw();
  },
  mask() {
    const mask = document.createElement("canvas");
    mask.width = this.strokes.width;
    mask.height = this.strokes.height;
    const context = mask.getContext("2d");
    context.drawImage(this.strokes, 0, 0);
    context.globalCompositeOperation = "source-in"; // white where it is painted
    context.fillStyle = "#fff";
    context.fillRect(0, 0, mask.width, mask.height);
    context.globalCompositeOperation = "destination-over"; // black stays
    context.fillStyle = "#000";
    context.fillRect(0, 0, mask.width, mask.height);
    return mask.toDataURL("image/png").split(",")[1];
  },
  leave() {
    this.picture = null;
    this.isPainted = false;
    $("init").value = "";
    $("canvas-field").hidden = true;
  },
};

// ---- the picture to follow

const control = {
  picture: undefined, // base64

  // The ControlNets that can steer a model of those that are chosen.
  offer() {
    const names = [...new Set(model.controls.flat())];
    const before = $("control").value;
    $("control").replaceChildren(new Option("none", ""), ...names.map((name) => new Option(name)));
    $("control").value = names.includes(before) ? before : "";
    $("control-field").hidden = names.length === 0;
    this.show();
  },
  show() {
    const name = $("control").value;
    const steered = model.models.filter((_, i) => model.controls[i].includes(name));
    $("control-settings").hidden = !name;
    $("control-help").hidden = !name || steered.length === model.models.length;
    $("control-help").textContent = `It steers ${steered.join(" and ")} alone.`;
    $("canny-field").hidden = !$("canny").checked;
  },
  async load(file) {
    const url = await dataUrl(file);
    $("hint-picture").src = url;
    $("hint-picture").hidden = false;
    this.picture = url.split(",")[1];
  },
  asked() {
    return {
      name: $("control").value,
      image: this.picture,
      strength: $("control-strength").valueAsNumber,
      interval: [$("control-begin").valueAsNumber, $("control-end").valueAsNumber],
      canny: $("canny").checked ? [$("canny-low").valueAsNumber, $("canny-high").valueAsNumber] : null,
    };
  },
  // Models that it cannot steer are asked without it.
  stages() {
    const isSteered = model.controls.map((names) => names.includes($("control").value));
    return isSteered.includes(false) ? isSteered.map((is) => (is ? {} : { control: "none" })) : undefined;
  },
  // texts: what a picture says of its ControlNets, as --control-net has it. Returns a sentence of what is left out.
  recall(texts) {
    const keys = keysOf(texts[0] ?? "");
    const isHere = [...$("control").options].some((option) => option.value === keys.name);
    $("control").value = isHere ? keys.name : "";
    $("control-strength").value = keys.strength ?? 1;
    [$("control-begin").value, $("control-end").value] = (keys.interval ?? "0:1").split(":");
    $("canny").checked = keys.canny !== undefined;
    if (keys.canny) [$("canny-low").value, $("canny-high").value] = keys.canny.split(":");
    this.show();
    const lost = texts.slice(isHere ? 1 : 0).map((text) => `"${keysOf(text).name}"`);
    return lost.length ? ` ControlNets left out: ${lost.join(", ")}.` : "";
  },
};

// {name: "edges", image: "a, b"} of 'edges,image="a, b"': values with a comma stand in double quotes.
function keysOf(text) {
  const pairs = text.matchAll(/(?:^|,(\w+)=)("(?:[^"]|"")*"|[^,]*)/g);
  const value = (said) => (said.startsWith('"') ? said.slice(1, -1).replaceAll('""', '"') : said);
  return Object.fromEntries([...pairs].map(([, key = "name", said]) => [key, value(said)]));
}

function dataUrl(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}

// ---- the gallery, kept in the browser

const gallery = {
  async store(mode) {
    this.database ??= new Promise((resolve, reject) => {
      const opening = indexedDB.open("tstitch", 1);
      opening.onupgradeneeded = () => opening.result.createObjectStore("pictures", { autoIncrement: true });
      opening.onsuccess = () => resolve(opening.result);
      opening.onerror = () => reject(opening.error);
    });
    return (await this.database).transaction("pictures", mode).objectStore("pictures");
  },
  async add(png, text) {
    (await this.store("readwrite")).add({ png, text });
    this.show({ png, text });
  },
  show({ png, text }) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(imageOf(png, text));
    button.addEventListener("click", attempt(() => recall(png)));
    $("gallery").prepend(button);
    $("clear").hidden = false;
  },
  async load() {
    const all = (await this.store("readonly")).getAll();
    all.onsuccess = () => all.result.forEach((one) => this.show(one));
  },
  async clear() {
    (await this.store("readwrite")).clear();
    $("gallery").replaceChildren();
    $("clear").hidden = true;
  },
};

// The settings that a picture says of itself.
async function recall(png) {
  const { items } = await askJson("POST", "/sdapi/v1/png-info", { image: png });
  if (!items.tstitch) throw new Error("This picture does not say how it was made.");
  const said = JSON.parse(items.tstitch);
  const name = said.model.join("+");
  if (![...$("model").options].some((option) => option.value === name)) $("model").add(new Option(name));
  $("model").value = name;
  await showModel();
  const fields = { steps: "steps", cfg: "cfg_scale", seed: "seed", width: "width", height: "height", negative: "negative_prompt" };
  for (const [id, field] of Object.entries(fields)) if (said[field] !== undefined) $(id).value = said[field];
  if (said.ratio !== undefined) $("ratio").value = 100 * said.ratio;
  if (said.prompt) $("prompt").value = said.prompt[0];
  if (said.class !== undefined) $("class").value = model.classes[said.class];
  $("sampler").value = said.sampler ?? "";
  $("count").value = 1;
  strip = [];
  drawStrip();
  $("pictures").replaceChildren(imageOf(png, "The picture whose settings these are"));
  const lost = control.recall(said.control_net ?? []);
  const pictures = [said.init_image && "started from", said.control_net && "followed"].filter(Boolean);
  say(`These are its settings${pictures.length ? `, without the picture that it ${pictures.join(" and the one that it ")}` : ""}.${lost}`);
}

// ---- the form

async function showModel() {
  model = (await askJson("GET", `/v1/models/${encodeURIComponent($("model").value)}`)).tstitch;
  $("class-field").hidden = model.text;
  $("prompt-field").hidden = !model.text;
  $("class").replaceChildren(...(model.classes ?? []).map((name) => new Option(name)));
  $("ratio-field").hidden = model.models.length !== 2;
  $("width").value = model.width;
  $("height").value = model.height;
  $("cfg").value = model.cfg_scale;
  control.offer();
}

async function load() {
  const [models, samplers] = await Promise.all([askJson("GET", "/v1/models"), askJson("GET", "/sdapi/v1/samplers")]);
  $("key-field").hidden = true;
  $("model").replaceChildren(...models.data.map(({ id }) => new Option(id)));
  $("model").value = models.tstitch.usual_of_text;
  $("sampler").replaceChildren(new Option("as the model's reference", ""), ...samplers.map(({ name, aliases }) => new Option(name, aliases[0])));
  await showModel();
}

// What a handler throws is said.
const attempt = (action) => async (event) => {
  try {
    await action(event);
  } catch (error) {
    say(error.message, true);
  }
};

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(generate)();
});
$("strip").addEventListener("click", attempt(generateStrip));
$("cancel").addEventListener("click", attempt(() => Promise.all([...running.keys()].map((id) => ask("DELETE", `/v1/jobs/${id}`)))));
$("model").addEventListener("change", attempt(showModel));
$("ratio").addEventListener("input", showRatio);
$("key").addEventListener("change", attempt(async () => {
  key = $("key").value;
  sessionStorage.setItem("tstitch-key", key);
  say("");
  await load();
}));
$("init").addEventListener("change", attempt(() => $("init").files[0] && start.load($("init").files[0])));
$("unpaint").addEventListener("click", () => start.unpaint());
$("no-init").addEventListener("click", () => start.leave());
$("clear").addEventListener("click", attempt(() => gallery.clear()));
$("canvas").addEventListener("pointerdown", (event) => {
  $("canvas").setPointerCapture(event.pointerId);
  start.paint(event, true);
});
$("canvas").addEventListener("pointermove", (event) => event.buttons && start.paint(event, false));
$("control").addEventListener("change", () => control.show());
$("canny").addEventListener("change", () => control.show());
$("hint").addEventListener("change", attempt(() => $("hint").files[0] && control.load($("hint").files[0])));
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  const [file] = event.dataTransfer.files;
  if (!file) return;
  const field = event.target.closest("#start, #control-settings")?.querySelector("input[type=file]");
  if (!field) return attempt(async () => recall((await dataUrl(file)).split(",")[1]))();
  field.files = event.dataTransfer.files;
  field.dispatchEvent(new Event("change"));
});

attempt(load)();
attempt(() => gallery.load())();

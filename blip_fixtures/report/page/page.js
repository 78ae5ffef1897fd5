(() => {
"use strict";
const data = JSON.parse(document.getElementById("page-data").textContent);
const points = new Map(data.points.map((point) => [point.id, point]));
// Sentences that many points share stand in the data once.
for (const point of data.points) {
  for (const figure of Object.values(point.figures)) {
    for (const name of ["reason", "caveat"]) if (name in figure) figure[name] = data.texts[figure[name]];
  }
  point.reasons = point.reasons.map(([path, why]) => [path, data.texts[why]]);
  point.proof = data.texts[point.proof];
  for (const chart of Object.keys(point.beaten)) point.beaten[chart] = point.beaten[chart].map((place) => data.points[place].id);
  point.phrases = Object.fromEntries(Object.entries(point.axes).map(([axis, value]) => [axis, data.phrases[axis][value]]));
}
const dark = matchMedia("(prefers-color-scheme: dark)");
const narrow = matchMedia("(max-width: 700px)");
// Okabe and Ito's colours and three more, lighter on dark; a series has a colour and a shape, and no two series share both.
const COLOURS = {
  light: ["#0072B2", "#D55E00", "#007D5A", "#B0508F", "#9A6A00", "#6A3D9A", "#3A3A3A", "#2F9BC1", "#A3243B", "#5C7A00"],
  dark: ["#5FB4EC", "#FF8F4A", "#3CC79B", "#E79BC8", "#F0B93A", "#BFA3F5", "#E6E6E6", "#8FE3F5", "#FF9AA2", "#B8D35A"],
};
const SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left"];
const PHASES = ["vision", "qformer", "prefill", "decode"];
const AXES = ["dataset", "device", "optimization", "batch_size"];
const PARETO = { latency_quality: ["latency", "quality"], energy_quality: ["energy", "quality"], latency_memory: ["latency", "memory"] };

// Texts: everything from a record is set as text.
const say = (key, values = {}) =>
  data.strings["page_" + key].replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
// A sentence of the page's own, with what stands between backticks as code.
function rich(text) {
  return text.split("`").map((part, place) => (place % 2 ? element("code", {}, part) : part));
}
function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "class") made.className = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}
const byId = (id) => document.getElementById(id);

// The state stands in the address, so that a link shows the same, and the back button goes back.
const DEFAULTS = { view: data.views[0][0], rounds: "", history: "", figure: "latency", base: "", case: "" };
for (const axis of AXES) DEFAULTS[axis] = "";
function state() {
  const given = new URLSearchParams(location.hash.slice(1));
  const found = { ...DEFAULTS };
  for (const name of Object.keys(found)) if (given.has(name)) found[name] = given.get(name);
  if (!data.views.some(([name]) => name === found.view)) found.view = DEFAULTS.view;
  return found;
}
function go(changes) {
  const next = { ...state(), ...changes };
  const kept = Object.entries(next).filter(([name, value]) => value !== DEFAULTS[name]);
  const hash = new URLSearchParams(kept).toString();
  if (hash !== location.hash.slice(1)) location.hash = hash;
}

function matches(point, now) {
  return AXES.every((axis) => !now[axis] || point.axes[axis] === now[axis]);
}
function visible(now, view = now.view) {
  return data.points.filter((point) => matches(point, now) && (view === "all" || point.sweeps.includes(view)));
}
// What tells these points apart, in a phrase for each.
function names(shown) {
  const axes = shown.length ? Object.keys(shown[0].axes) : [];
  const varying = axes.filter((axis) => new Set(shown.map((point) => point.axes[axis])).size > 1);
  const used = varying.length ? varying : ["optimization"];
  return new Map(shown.map((point) => [point.id, used.map((axis) => point.phrases[axis]).join(" ")]));
}
const marked = (point, name) => (point.mark ? `${name} (${point.mark})` : name);
const groupOf = (point, without) =>
  Object.entries(point.axes).filter(([axis]) => !without.includes(axis)).map(([, value]) => value).join("\u0000");

function theme() {
  const css = getComputedStyle(document.documentElement);
  const colour = (name) => css.getPropertyValue("--" + name).trim();
  const font = "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', sans-serif";
  return {
    grey: colour("grey"), ink: colour("ink"), card: colour("card"),
    config: {
      background: "transparent", font,
      view: { stroke: null },
      axis: { labelColor: colour("soft"), titleColor: colour("ink"), gridColor: colour("line"), gridOpacity: 0.6, tickCount: narrow.matches ? 4 : 8, labelOverlap: true, domainColor: colour("grey"), tickColor: colour("grey"), labelFontSize: 12, titleFontSize: 13, titleFontWeight: 600, titlePadding: 8 },
      legend: { symbolOpacity: 1, labelColor: colour("ink"), labelFontSize: 12, symbolSize: 110, columns: narrow.matches ? 2 : 5, labelLimit: 220, rowPadding: 4 },
      text: { fontSize: 12 }, line: { color: colour("accent") }, rule: { color: colour("accent") }, rect: { color: colour("accent") }, point: { color: colour("accent") },
    },
  };
}
const palette = () => COLOURS[dark.matches ? "dark" : "light"];

// Encodings of one channel anywhere in a spec.
function encodings(spec, channel) {
  const own = spec.encoding && spec.encoding[channel] ? [spec.encoding[channel]] : [];
  return [...own, ...(spec.layer || []).flatMap((layer) => encodings(layer, channel))];
}
function dress(spec, shown) {
  const order = [...new Map(shown.map((point) => [point.axes.optimization, point.series]))].sort((a, b) => a[1] - b[1]);
  const domain = order.map(([name]) => name);
  for (const encoding of encodings(spec, "color")) {
    if (encoding.field === "series") encoding.scale = { domain, range: order.map(([, place]) => palette()[place % palette().length]) };
  }
  for (const encoding of encodings(spec, "shape")) {
    if (encoding.field === "series") encoding.scale = { domain, range: order.map(([, place]) => SHAPES[place % SHAPES.length]) };
  }
}

const drawn = new Map();
async function draw(name, rows, change = () => {}, why = "") {
  const figure = byId(name);
  const plot = figure.querySelector(".plot");
  const absent = figure.querySelector(".absent");
  const turn = (drawn.get(name)?.turn || 0) + 1;
  const before = drawn.get(name)?.result;
  drawn.set(name, { turn });
  if (before) before.finalize();
  absent.hidden = rows.length > 0;
  plot.hidden = rows.length === 0;
  absent.textContent = rows.length ? "" : why || say("nothing");
  plot.replaceChildren();
  delete plot.dataset.rows;
  if (!rows.length) return;
  const spec = structuredClone(data.charts[name]);
  const look = theme();
  spec.data = { name: "rows", values: rows };
  for (const parameter of spec.params) parameter.value = look[parameter.name];
  change(spec, look);
  const result = await vegaEmbed(plot, spec, {
    actions: false, ast: true, expr: expressionInterpreter, renderer: "svg", defaultStyle: false,
    config: look.config, tooltip: showTip, logLevel: 1, loader: { load: () => Promise.reject(new Error("nothing is loaded")) },
  });
  if (drawn.get(name).turn !== turn) { result.finalize(); return; }
  drawn.set(name, { turn, result });
  // The picture as a whole has a name, and its table what is in it.
  plot.querySelector("svg").setAttribute("aria-hidden", "true");
  plot.dataset.rows = String(rows.length);
  result.view.addEventListener("click", (_event, item) => {
    const id = item && item.datum && item.datum.id;
    if (points.has(id)) go({ case: id, rounds: id });
  });
}

const tip = element("div", { id: "tip", role: "tooltip", hidden: "" });
document.body.append(tip);
function showTip(_handler, event, _item, value) {
  tip.hidden = value === null || value === undefined || value === "";
  if (tip.hidden) return;
  tip.textContent = String(value);
  const box = tip.getBoundingClientRect();
  tip.style.left = Math.max(4, Math.min(event.clientX + 14, innerWidth - box.width - 6)) + "px";
  tip.style.top = Math.max(4, Math.min(event.clientY + 14, innerHeight - box.height - 6)) + "px";
}

// Tables: the first cell opens the case.
function table(columns, rows) {
  const head = element("tr", {}, ...columns.map((column) => element("th", { scope: "col" }, column)));
  const body = rows.map((cells) => element("tr", {}, ...cells.map((cell) => (cell instanceof Node ? cell : element("td", {}, String(cell))))));
  return element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
}
function opener(point, name) {
  const button = element("button", { type: "button", onclick: () => go({ case: point.id, rounds: point.id }) }, marked(point, name));
  return element("th", { scope: "row" }, button);
}
function under(name, made) {
  byId(name).querySelector(".scroll").replaceChildren(made);
}
const figureText = (point, name) => point.figures[name].text;
const whyCell = (point, figures) => {
  const reasons = figures.map((name) => point.figures[name].reason || point.figures[name].caveat).filter(Boolean);
  return element("td", { class: "why" }, [...new Set(reasons)].join("; "));
};
const whyNone = (shown, figures) => {
  const ran = shown.filter((point) => point.ok);
  const reasons = figures.flatMap((name) => (ran.length ? ran : shown).map((point) => point.figures[name].reason)).filter(Boolean);
  const some = [...new Set(reasons)].slice(0, 2);
  return some.length ? say("no_figures", { reasons: some.join("; ") }) : say("nothing");
};

// Names beside points that lie close are stacked. Where there are too many points only the best ones are named.
const MOST_CAPTIONS = 16;
function withCaptions(rows, isLog) {
  const place = (value, all) => {
    const [low, high] = [Math.min(...all), Math.max(...all)];
    return high > low ? (value - low) / (high - low) : 0.5;
  };
  const along = (value) => (isLog ? Math.log(value) : value);
  const xs = rows.flatMap((row) => [row.x, row.xLow, row.xHigh].map(along)), ys = rows.flatMap((row) => [row.yLow, row.yHigh]);
  const set = [];
  const wide = narrow.matches ? 0.45 : 0.16;
  const most = narrow.matches ? 0 : MOST_CAPTIONS;
  const ordered = [...rows].sort((a, b) => a.beaten - b.beaten || b.y - a.y);
  for (const row of ordered) {
    row.caption = rows.length > most && row.beaten ? "" : row.name;
    row.lift = -11;
    if (!row.caption) continue;
    // In lines of text: so many are as high as the chart.
    const x = place(along(row.x), xs), y = place(row.y, ys) * (narrow.matches ? 14 : 19);
    const taken = (lift) => set.some(([otherX, line]) => Math.abs(otherX - x) < wide && Math.abs(line - (y - lift / 16)) < 0.9);
    const lifts = [-11, 13, -26, 28, -41, 43, -56, 58];
    row.lift = lifts.find((lift) => !taken(lift)) ?? -11;
    set.push([x, y - row.lift / 16]);
  }
  return rows;
}
const isWide = (values) => Math.min(...values) > 0 && Math.max(...values) / Math.min(...values) > 4;

// One axis has one metric: that of most cases.
function commonMetric(shown) {
  const counts = new Map();
  for (const point of shown) if (point.metric) counts.set(point.metric, (counts.get(point.metric) || 0) + 1);
  const [[metric] = [""], ...others] = [...counts].sort((a, b) => b[1] - a[1]);
  return { metric, others: others.map(([name]) => name) };
}

function drawPareto(now) {
  const shown = visible(now);
  const called = names(shown);
  for (const [chart, [x, y]] of Object.entries(PARETO)) {
    const { metric, others } = y === "quality" ? commonMetric(shown) : { others: [] };
    const note = byId(chart).querySelector(".note");
    note.hidden = !others.length;
    note.textContent = others.length ? say("other_metrics", { metric, others: others.join(", ") }) : "";
    const rows = shown
      .filter((point) => "value" in point.figures[x] && "value" in point.figures[y] && (y !== "quality" || point.metric === metric))
      .map((point) => {
        const beaten = point.beaten[chart];
        const by = beaten.map((id) => points.get(id).label).slice(0, 3).join(", ");
        return {
          id: point.id, name: marked(point, called.get(point.id)), series: point.axes.optimization, beaten: beaten.length > 0,
          x: point.figures[x].value, xLow: point.figures[x].low, xHigh: point.figures[x].high,
          y: point.figures[y].value, yLow: point.figures[y].low, yHigh: point.figures[y].high,
          tip: [point.label, `${say("figure_" + x)}: ${figureText(point, x)}`, `${say("figure_" + y)}: ${figureText(point, y)}`, by && say("beaten_by", { by })].filter(Boolean).join("\n"),
        };
      });
    const isLog = rows.length > 0 && isWide(rows.map((row) => row.x));
    draw(chart, withCaptions(rows, isLog), (spec) => {
      if (isLog) spec.encoding.x.scale = { type: "log", nice: false, padding: 26 };
      dress(spec, shown.filter((point) => rows.some((row) => row.id === point.id)));
      if (narrow.matches) spec.height = 440;
      for (const axis of ["x", "y"]) {
        const values = rows.flatMap((row) => [row[axis + "Low"], row[axis + "High"]]);
        const [low, high] = [Math.min(...values), Math.max(...values)];
        // One value alone has no scale of its own.
        if (low === high) spec.encoding[axis].scale = { domain: low ? [Math.min(0.8 * low, 1.2 * low), Math.max(0.8 * low, 1.2 * low)] : [-1, 1] };
      }
      if (y === "quality") {
        spec.encoding.y.title += ` (${metric})`;
        // Up is better, whatever the metric.
        if (shown.some((point) => point.metric === metric && !point.higher)) spec.encoding.y.scale = { ...spec.encoding.y.scale, reverse: true };
        if (/(accuracy|share)$/.test(metric)) spec.encoding.y.axis = { format: ".0%" };
      }
    }, whyNone(shown, [x, y]));
    under(chart, table([say("case"), say("figure_" + x), say("figure_" + y), say("beaten"), say("remarks")],
      shown.map((point) => [
        opener(point, called.get(point.id)), figureText(point, x), figureText(point, y),
        element("td", { class: "why" }, point.beaten[chart].map((id) => points.get(id).label).join(", ")), whyCell(point, [x, y]),
      ])));
  }
}

function drawPhases(now) {
  const shown = visible(now);
  const called = names(shown);
  const known = shown.filter((point) => point.phases);
  const rows = known.flatMap((point) => PHASES.map((phase, place) => ({
    id: point.id, name: marked(point, called.get(point.id)), phase: say("phase_" + phase), part: point.phases[phase], place, limit: point.limit,
    tip: `${called.get(point.id)}\n${say("phase_" + phase)}: ${point.phases[phase]} ${data.unit}`,
    limitTip: `${called.get(point.id)}\n${say("limit")}: ${point.limit} ${data.unit}`,
  })));
  draw("phases", rows, (spec, look) => {
    spec.height = Math.max(120, 30 * known.length);
    for (const encoding of encodings(spec, "color")) {
      if (encoding.field === "phase") encoding.scale = { domain: PHASES.map((phase) => say("phase_" + phase)), range: palette().slice(0, 4) };
    }
    spec.layer[0].mark.stroke = look.card;
    if (narrow.matches) spec.encoding.y.axis.labelLimit = 110;
  }, say("no_phases"));
  under("phases", table([say("case"), ...PHASES.map((phase) => `${say("phase_" + phase)}, ${data.unit}`), `${say("limit")}, ${data.unit}`],
    known.map((point) => [opener(point, called.get(point.id)), ...PHASES.map((phase) => point.phases[phase]), point.limit ?? "-"])));
}

function drawThroughput(now) {
  const inSweep = visible(now, "batch_size");
  const shown = (inSweep.length ? inSweep : visible(now, "all")).filter((point) => "value" in point.figures.throughput);
  const called = names(shown);
  const rows = shown.map((point) => ({
    id: point.id, batch: point.batch, y: point.figures.throughput.value, series: point.axes.optimization, group: groupOf(point, ["batch_size"]),
    tip: `${point.label}\n${figureText(point, "throughput")}`,
  }));
  draw("throughput", rows, (spec) => dress(spec, shown), say("no_throughput"));
  under("throughput", table([say("case"), say("figure_throughput"), say("figure_tokens"), say("figure_latency")],
    [...shown].sort((a, b) => a.batch - b.batch).map((point) => [opener(point, called.get(point.id)), figureText(point, "throughput"), figureText(point, "tokens"), figureText(point, "latency")])));
}

function options(select, pairs, chosen) {
  select.replaceChildren(...pairs.map(([value, text]) => element("option", { value }, text)));
  select.value = chosen;
}
function drawRounds(now) {
  const known = data.points.filter((point) => point.rounds.some((each) => each.rounds.length));
  const first = visible(now).find((point) => known.includes(point)) || known[0];
  const point = points.get(now.rounds) && known.includes(points.get(now.rounds)) ? points.get(now.rounds) : first;
  const select = byId("rounds-case");
  select.parentElement.hidden = !point;
  options(select, known.map((each) => [each.id, each.label]), point ? point.id : "");
  const rows = point ? point.rounds.flatMap((each) => each.rounds.map((seconds, place) => {
    const round = place * each.step + 1;
    const reference = each.reference[place] ?? null;
    return {
      process: say("process", { number: each.process }), round, seconds, reference,
      tip: `${say("round", { round })}: ${seconds} ${data.unit}` + (reference === null ? "" : `\n${say("reference")}: ${reference} ms`),
    };
  })) : [];
  const change = (spec, look) => {
    for (const channel of ["color", "shape"]) {
      for (const encoding of encodings(spec, channel)) encoding.scale = channel === "color" ? { range: [look.config.point.color, ...palette().slice(1)] } : { range: SHAPES };
      if (point.rounds.length > 1) for (const encoding of encodings(spec, channel)) encoding.legend = { orient: "bottom" };
    }
  };
  draw("rounds", rows, change, say("no_rounds"));
  draw("reference", rows.filter((row) => row.reference !== null), change, say("no_rounds"));
  const heads = [say("process_title"), say("axis_round"), say("axis_rounds", { unit: data.unit }), say("axis_reference")];
  for (const chart of ["rounds", "reference"]) under(chart, table(heads, rows.map((row) => [row.process, row.round, row.seconds, row.reference ?? "-"])));
}

function drawHistory(now) {
  const { runs, series, pairs, sentence, unread } = data.history;
  byId("history-sentence").replaceChildren(...rich(sentence), ...unread.map((text) => ` ${text}`));
  const cases = data.points.filter((point) => Object.hasOwn(series, point.id));
  byId("history-body").hidden = runs.length < 2 || !cases.length;
  if (byId("history-body").hidden) return;
  const inView = visible(now).find((point) => Object.hasOwn(series, point.id)) || cases[0];
  const point = Object.hasOwn(series, now.history) ? points.get(now.history) : inView;
  options(byId("history-case"), cases.map((each) => [each.id, each.label]), point.id);
  const figures = Object.keys(series[point.id]);
  const figure = figures.includes(now.figure) ? now.figure : figures[0];
  options(byId("history-figure"), figures.map((name) => [name, say("figure_" + name)]), figure);
  const found = series[point.id][figure];
  const runTip = (place) => [runs[place].name, runs[place].commit && say("commit", { commit: runs[place].commit }), runs[place].started].filter(Boolean).join("\n");
  const rows = found.values.flatMap((value, place) => value === null ? [] : [{ kind: "run", run: place + 1, value, now: place === runs.length - 1, tip: `${value}\n${runTip(place)}` }]);
  rows.push(...found.bands.map(([first, last, low, middle, high]) => ({ kind: "band", run: first + 0.6, last: last + 1.4, low, middle, high })));
  rows.push(...found.changes.map((place) => ({ kind: "change", run: place + 0.5, tip: `${say("change_title")}\n${runTip(place)}` })));
  // Where a commit begins its hash stands, as far as there is room.
  const begins = found.values.map((_value, place) => place).filter((place) => runs[place].commit && runs[place].commit !== runs[place - 1]?.commit);
  const step = Math.ceil(begins.length / (narrow.matches ? 4 : 12));
  rows.push(...begins.filter((_place, number) => number % step === 0).map((place) => ({ kind: "commit", run: place + 1, text: runs[place].commit.slice(0, 7) })));
  draw("history", rows, (spec) => {
    for (const encoding of encodings(spec, "y")) if (encoding.field === "value") encoding.title = say("axis_" + figure, { unit: data.unit });
    spec.encoding.x.axis.values = runs.map((_run, place) => place + 1);
  });
  byId("history").querySelector("figcaption p").replaceChildren(...rich(`${found.said} ${data.history.band}`));
  const changed = new Set(found.changes);
  under("history", table([say("axis_run"), say("run_name"), say("commit_title"), say("started"), say("axis_" + figure, { unit: data.unit }), say("remarks")],
    runs.map((run, place) => [place + 1, run.name, run.commit || "-", run.started || "-", found.values[place] ?? "-", changed.has(place) ? say("change_title") : ""])));
  drawComparison(now, runs, pairs);
}
function drawComparison(now, runs, pairs) {
  const chosen = pairs.find((pair) => String(pair.base) === now.base) || pairs[0];
  const called = (place) => [place + 1, runs[place].name, runs[place].commit, runs[place].started].filter(Boolean).join(" · ");
  options(byId("compare-base"), pairs.map((pair) => [String(pair.base), called(pair.base)]), String(chosen.base));
  byId("compare-sentence").textContent = chosen.refused ? say("compare_refused", { why: chosen.refused }) : chosen.sentence;
  const verdict = (code) => element("td", {}, element("span", { class: "verdict " + code }, say("verdict_" + code)));
  const caseCell = (id) => (typeof id === "number" ? opener(data.points[id], data.points[id].label) : id);
  byId("compare-table").replaceChildren(...(chosen.rows.length ? [table(
    [say("case"), say("figure"), say("baseline"), say("now"), say("changed_by"), say("may_worsen"), say("verdict")],
    chosen.rows.map(([id, metric, base, current, change, limit, code]) => [caseCell(id), metric, base, current, change, limit, verdict(code)]))] : []));
  byId("compare-remarks").replaceChildren(...chosen.remarks.map((remark) => element("li", {}, remark)));
}

// One case in full.
function pairsList(pairs) {
  return element("dl", {}, ...pairs.flatMap(([name, ...texts]) => [element("dt", {}, name), element("dd", {}, ...texts)]));
}
function copyButton(text) {
  const button = element("button", { type: "button", id: "copy" }, say("copy"));
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = say("copied");
    } catch {
      getSelection().selectAllChildren(byId("command"));
      button.textContent = document.execCommand("copy") ? say("copied") : say("copy_by_hand");
    }
    setTimeout(() => { button.textContent = say("copy"); }, 2500);
  });
  return button;
}
function listOf(title, items) {
  return items.length ? [element("h3", {}, title), element("ul", {}, ...items.map((item) => element("li", {}, item)))] : [];
}
function showDetail(now) {
  const dialog = byId("detail");
  const point = points.get(now.case);
  if (!point) { if (dialog.open) dialog.close(); return; }
  byId("detail-title").textContent = marked(point, point.label);
  const figures = Object.entries(point.figures).map(([name, figure]) => {
    const said = [figure.reason, figure.caveat].filter(Boolean).join("; ");
    return [say("figure_" + name) + (name === "quality" && point.metric ? ` (${point.metric})` : ""), figure.text, said ? element("small", {}, said) : null];
  });
  const beaten = Object.entries(point.beaten).filter(([, by]) => by.length).map(([chart, by]) => [say(chart), say("beaten_by", { by: by.map((id) => points.get(id).label).join(", ") })]);
  const axes = Object.entries(point.axes).filter(([, value]) => value && value !== "None").map(([axis, value]) => [say("axis_of_" + axis), value]);
  byId("detail-body").replaceChildren(
    ...(point.status ? [element("p", { class: "absent" }, point.status)] : []),
    element("h3", {}, say("again")), element("p", {}, say("again_says")),
    element("div", { class: "command" }, element("pre", { id: "command", tabindex: "0" }, point.command), copyButton(point.command)),
    element("h3", {}, say("figures")), pairsList(figures),
    ...(beaten.length ? [element("h3", {}, say("beaten")), pairsList(beaten)] : []),
    element("h3", {}, say("case")), pairsList(axes),
    ...listOf(say("notes"), point.notes),
    ...listOf(say("reasons"), point.reasons.map(([path, why]) => (path ? `${path}: ${why}` : why))),
    ...(point.proof ? [element("h3", {}, say("proof")), element("p", {}, point.proof)] : []),
    ...(data.machines[point.machine].length ? [element("h3", {}, say("machine")), pairsList(data.machines[point.machine])] : []),
    point.record ? element("details", {}, element("summary", {}, say("record")), element("p", {}, say("record_says")), element("pre", { tabindex: "0" }, JSON.stringify({ ...point.record, environment: data.environments[point.environment] }, null, 1))) : element("p", {}, say("record_elsewhere")),
  );
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}

const form = byId("filters");
// Of the parts of the page only those are made again whose state changed: else the focus would lose its place.
const chosen = (now) => [now.view, ...AXES.map((axis) => now[axis])];
const PARTS = [
  [chosen, (now) => { sync(now); drawPareto(now); drawThroughput(now); drawPhases(now); }],
  [(now) => [...chosen(now), now.rounds], drawRounds],
  [(now) => [...chosen(now), now.history, now.figure, now.base], drawHistory],
  [(now) => [now.case], showDetail],
];
const before = PARTS.map(() => "");
function sync(now) {
  for (const input of form.elements) {
    if (input.name === "view") input.checked = input.value === now.view;
    else if (AXES.includes(input.name)) input.value = now[input.name];
  }
  byId("count").textContent = say("count", { shown: visible(now).length, all: data.points.length });
}
function render() {
  const now = state();
  PARTS.forEach(([needs, make], place) => {
    const key = JSON.stringify(needs(now));
    if (key === before[place]) return;
    before[place] = key;
    make(now);
  });
}
function renderAgain() {
  before.fill("");
  render();
}
form.addEventListener("change", (event) => go({ [event.target.name]: event.target.value }));
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("reset", (event) => { event.preventDefault(); go({ view: DEFAULTS.view, dataset: "", device: "", optimization: "", batch_size: "" }); });
byId("rounds-case").addEventListener("change", (event) => go({ rounds: event.target.value }));
byId("history-case").addEventListener("change", (event) => go({ history: event.target.value }));
byId("history-figure").addEventListener("change", (event) => go({ figure: event.target.value }));
byId("compare-base").addEventListener("change", (event) => go({ base: event.target.value }));
byId("detail").addEventListener("close", () => { if (state().case) go({ case: "" }); });
byId("detail").addEventListener("click", (event) => { if (event.target === byId("detail")) byId("detail").close(); });
document.querySelector("[data-skip]").addEventListener("click", (event) => { event.preventDefault(); byId("charts").focus(); });
addEventListener("hashchange", render);
dark.addEventListener("change", renderAgain);
narrow.addEventListener("change", renderAgain);
render();
})();

"use strict";
// Re-weighs the options: the arithmetic of economics/levers.py and economics/breakeven.py, and how to show it.
// Everything is at likely values. Figures come from the page's own data; text is set, never parsed as HTML.

// ---- Arithmetic

const AS_PLANNED = {volume_ratio: 1, utilisation_ratio: 1, api_price_ratio: 1, gpu_price_ratio: 1, engineers_ratio: 1};

function servingNodes(bill, levers) {
  const needed = bill.needed_nodes * levers.volume_ratio / levers.utilisation_ratio;
  return Math.max(bill.min_nodes, Math.ceil(needed * (1 - 1e-12)));
}

function eachNodeUsd(bill, levers) {
  return bill.node_usd_per_month * levers.gpu_price_ratio + bill.node_engineering_usd_per_month * levers.engineers_ratio;
}

function fixedUsd(bill, levers) {
  return bill.engineering_usd_per_month * levers.engineers_ratio + bill.other_usd_per_month;
}

function usdPerMonth(bill, levers) {
  const tokensUsd = bill.tokens_usd_per_month * levers.volume_ratio * levers.api_price_ratio;
  return Math.max(tokensUsd, bill.committed_usd_per_month)
    + eachNodeUsd(bill, levers) * (servingNodes(bill, levers) + bill.standby_nodes)
    + fixedUsd(bill, levers);
}

// Where a pool costs at most what tokens do, as multiples of the volume planned for: the first such volume, and
// the one from which it stays so; null for never. economics/breakeven.py derives it.
function breakEven(pool, api, levers) {
  const block = levers.utilisation_ratio / pool.needed_nodes;
  const price = api.tokens_usd_per_month * levers.api_price_ratio;
  const node = eachNodeUsd(pool, levers);
  const stepUsd = count => fixedUsd(pool, levers) + node * (count + pool.standby_nodes);
  const atLeast = steps => Math.ceil(steps - 1e-9 * Math.max(1, Math.abs(steps)));
  const stepStart = count => count <= pool.min_nodes ? 0 : (count - 1) * block;
  const cheaperFrom = count =>
    Math.max(Math.max(0, stepUsd(count) - fixedUsd(api, levers)) / (price || 1), stepStart(count));
  const margin = price * block - node;
  const head = stepUsd(0) - fixedUsd(api, levers);
  if (margin <= 0) {
    const last = head <= 0 && price > 0 ? Math.floor(-head / Math.max(-margin, 1e-12)) : 0;
    return {first: last >= pool.min_nodes ? cheaperFrom(pool.min_nodes) : null, stable: null};
  }
  const first = Math.max(pool.min_nodes, atLeast(head / margin));
  const whole = Math.max(first, atLeast((head + price * block) / margin));
  const joining = whole === pool.min_nodes ? whole : whole - 1;
  return {first: cheaperFrom(first), stable: joining >= first ? cheaperFrom(joining) : stepStart(whole)};
}

// ---- Words

function usdText(value) {
  if (value < 0) return "−" + usdText(-value);
  if (value >= 100) return Math.round(value).toLocaleString("en-US");
  return value >= 0.1 || value === 0 ? value.toFixed(2) : String(Number(value.toPrecision(3)));
}

function tokensText(count) {
  const [unit, size] = [["T", 1e12], ["B", 1e9], ["M", 1e6], ["K", 1e3]].find(([, size]) => count >= 0.9995 * size) || ["", 1];
  return Number((count / size).toPrecision(3)).toLocaleString("en-US") + unit;
}

// ---- The page

const data = JSON.parse(document.getElementById("weigh-data").textContent);
const bills = Object.fromEntries(data.options.map(option => [option.id, option.bill]));
const mtokText = ratio => ratio === null ? "never" : tokensText(ratio * data.volume_mtok * 1e6);
const SHOWN = 8;

const isMoved = levers => data.levers.some(lever => levers[lever.name + "_ratio"] !== 1);

// The levers as the address says them after its #: so a weighing can be sent as a link.
function readAddress() {
  const said = new URLSearchParams(location.hash.slice(1));
  return Object.fromEntries(data.levers.map(lever => {
    const value = Number(said.get(lever.name) ?? 1);
    const usable = Number.isFinite(value) && (value > 0 || !lever.by_powers && value === 0);
    return [lever.name + "_ratio", usable ? value : 1];
  }));
}

function writeAddress(levers) {
  const moved = data.levers.filter(lever => levers[lever.name + "_ratio"] !== 1);
  const text = moved.map(lever => lever.name + "=" + Number(levers[lever.name + "_ratio"].toPrecision(6))).join("&");
  history.replaceState(null, "", text ? "#" + text : location.pathname + location.search);
}

function showSliders(levers) {
  for (const lever of data.levers) {
    const ratio = levers[lever.name + "_ratio"];
    const slider = document.getElementById("lever-" + lever.name);
    const text = "× " + Number(ratio.toPrecision(3)) + (lever.name === "volume" ? ": " + mtokText(ratio) + " a month" : "");
    slider.value = lever.by_powers ? Math.log10(ratio) : ratio;
    slider.setAttribute("aria-valuetext", text);
    document.getElementById("at-" + lever.name).textContent = text;
  }
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

function billRow(option, levers, longest, isBest) {
  const usd = usdPerMonth(option.bill, levers), before = usdPerMonth(option.bill, AS_PLANNED);
  const row = element("li", isBest ? "best" : "", "");
  row.dataset.id = option.id;
  row.dataset.usd = usd;
  const name = element("span", "", option.title);
  if (isBest) name.append(" ", element("span", "tag good", "cheapest"));
  if (option.id === data.today) name.append(" ", element("span", "tag", "today"));
  const bar = element("span", "bar", ""), filled = element("span", option.bill.needed_nodes ? "pool" : "", "");
  filled.style.width = 100 * usd / longest + "%";
  bar.append(filled);
  const figure = element("span", "usd", usdText(usd));
  const change = before ? usd / before - 1 : 0;
  if (Math.abs(change) >= 0.005) figure.append(element("span", "range", (change > 0 ? "+" : "−") + Math.round(100 * Math.abs(change)) + " %"));
  const even = element("span", "range even", "");
  if (option.bill.needed_nodes) {
    const found = breakEven(option.bill, bills[data.today] ?? option.bill, levers);
    const count = servingNodes(option.bill, levers);
    even.textContent = count + " + " + option.bill.standby_nodes + " nodes"
      + (!bills[data.today] ? "" : found.first === null ? "; never cheaper than today" : "; breaks even with today at " + mtokText(found.first));
    row.dataset.first = found.first;
    row.dataset.stable = found.stable;
  }
  row.append(name, bar, figure, even);
  return row;
}

function showBills(levers) {
  for (const good of [true, false]) {
    const list = document.getElementById(good ? "bills-good" : "bills-doubtful");
    const all = data.options.filter(option => option.good_enough === good)
      .sort((a, b) => usdPerMonth(a.bill, levers) - usdPerMonth(b.bill, levers));
    const shown = all.filter((option, rank) => rank < SHOWN || option.id === data.today);
    const longest = Math.max(...shown.map(option => usdPerMonth(option.bill, levers)), 1);
    list.replaceChildren(...shown.map(option => billRow(option, levers, longest, good && option === all[0])));
    list.parentElement.hidden = !all.length;
  }
}

function showCrossing(levers) {
  const said = document.getElementById("weighed-crossing");
  if (!said || !bills[data.pool] || !bills[data.chart.against]) return;
  const {first, stable} = breakEven(bills[data.pool], bills[data.chart.against], levers);
  said.hidden = !isMoved(levers);
  said.textContent = "As weighed: " + (first === null ? "never cheaper" : "cheaper from " + mtokText(first) + " tokens a month"
    + (stable === null ? ", but not for good" : stable > first ? ", for good from " + mtokText(stable) : "")) + ".";
}

// ---- The drawing: curves, today's mark and the crossing move; the rest of it is of the likely values and is hidden

class LiveChart {
  constructor(holder, size) {
    this.holder = holder;
    [this.width, this.height] = size;
    const names = ["today_rule", "today_text", "crossing_point", "crossing_text"];
    this.marks = Object.fromEntries(names.map(name => [name, holder.querySelector(`.${name}_marks > *`)]));
    this.curves = Object.fromEntries(["pool", ...Object.keys(data.chart.bills)].map(
      name => [name, holder.querySelector(`.bill_${name}_marks > path`)]));
    const kept = [...Object.values(this.marks), ...Object.values(this.curves)].filter(Boolean);
    this.kept = kept.map(node => [node, ["transform", "d", "text-anchor"].map(key => [key, node.getAttribute(key)]), node.textContent]);
  }

  place(value, low, high, pixels) {
    const log = data.chart.axes.first_mtok > 0;
    const share = log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
    return pixels * Math.min(Math.max(share, -1), 2);
  }

  x(mtok) { return this.place(mtok, data.chart.axes.first_mtok, data.chart.axes.last_mtok, this.width); }

  y(usd) { return this.height - this.place(usd, data.chart.axes.low_usd, data.chart.axes.high_usd, this.height); }

  restore() {
    for (const [node, attributes, text] of this.kept) {
      for (const [key, value] of attributes) if (value !== null) node.setAttribute(key, value);
      if (node.tagName === "text") node.textContent = text;
    }
  }

  show(levers) {
    this.restore();
    this.holder.classList.toggle("weighed", isMoved(levers));
    if (!isMoved(levers)) return;
    this.curves.pool?.setAttribute("d", this.stairs(bills[data.pool], levers));
    for (const [name, id] of Object.entries(data.chart.bills)) {
      if (bills[id]) this.curves[name]?.setAttribute("d", this.line(bills[id], levers));
    }
    const at = levers.volume_ratio * data.volume_mtok;
    this.move("today_rule", this.x(at), 0);
    this.move("today_text", this.x(at), -9, "as weighed " + tokensText(at * 1e6) + (at > data.chart.axes.last_mtok ? " →" : ""));
    this.showCrossing(levers);
  }

  showCrossing(levers) {
    const pool = bills[data.pool], api = bills[data.chart.against];
    const first = pool && api ? breakEven(pool, api, levers).first : null;
    const at = (first ?? 0) * data.volume_mtok;
    const inside = first !== null && at >= data.chart.axes.first_mtok && at <= data.chart.axes.last_mtok;
    this.holder.classList.toggle("uncrossed", !inside);
    if (!inside) return;
    const y = this.y(usdPerMonth(pool, {...levers, volume_ratio: first}));
    this.move("crossing_point", this.x(at), y);
    const side = this.x(at) > 0.6 * this.width ? -1 : 1;
    this.move("crossing_text", this.x(at) + 8 * side, y + 17 * side, "break-even " + tokensText(at * 1e6), side > 0 ? "start" : "end");
  }

  move(name, x, y, text, anchor) {
    const mark = this.marks[name];
    if (!mark) return;
    const inside = Math.min(Math.max(x, 0), this.width);
    mark.setAttribute("transform", `translate(${inside},${y})`);
    if (text === undefined) return;
    mark.textContent = text;
    mark.setAttribute("text-anchor", anchor ?? (inside < 0.2 * this.width ? "start" : inside > 0.8 * this.width ? "end" : "middle"));
  }

  // A bill's value at many volumes, evenly spread along the axis.
  line(bill, levers) {
    const {first_mtok: first, last_mtok: last} = data.chart.axes;
    const volumes = Array.from({length: 81}, (_, step) => first > 0 ? first * (last / first) ** (step / 80) : last * step / 80);
    return "M" + volumes.map(mtok => this.point(bill, levers, mtok)).join("L");
  }

  stairs(bill, levers) {
    const {first_mtok: first, last_mtok: last} = data.chart.axes;
    const block = data.volume_mtok * levers.utilisation_ratio / bill.needed_nodes;
    const stride = Math.max(1, Math.round((last - first) / block / 240));
    let path = "M" + this.point(bill, levers, Math.max(first, 1e-9));
    for (let end = Math.max(bill.min_nodes, Math.ceil(first / block)) * block; end < last; end += stride * block) {
      path += "H" + this.x(end) + "V" + this.point(bill, levers, end + stride * block / 2)[1];
    }
    return path + "H" + this.x(last);
  }

  point(bill, levers, mtok) {
    return [this.x(mtok), this.y(usdPerMonth(bill, {...levers, volume_ratio: mtok / data.volume_mtok}))];
  }
}

// ---- Start

const charts = data.chart ? [...document.querySelectorAll("#live-chart .chart")].map(
  holder => new LiveChart(holder, data.chart.sizes[holder.classList.contains("wide") ? "w" : "n"])) : [];
let levers = AS_PLANNED;

function weigh(next) {
  levers = next;
  showSliders(levers);
  showBills(levers);
  showCrossing(levers);
  charts.forEach(chart => chart.show(levers));
}

for (const lever of data.levers) {
  const slider = document.getElementById("lever-" + lever.name);
  slider.addEventListener("input", () => {
    const value = slider.valueAsNumber;
    weigh({...levers, [lever.name + "_ratio"]: lever.by_powers ? 10 ** value : value});
  });
  slider.addEventListener("change", () => writeAddress(levers));
}
document.getElementById("as-planned").addEventListener("click", () => { weigh(AS_PLANNED); writeAddress(AS_PLANNED); });
addEventListener("hashchange", () => weigh(readAddress()));
document.querySelectorAll("[data-weigh]").forEach(part => { part.hidden = false; });
weigh(readAddress());

// Charts of the contribution: the waterfall of its components, the curve of concentration, plan
// beside actual; and alerts of a rehearsal by month.
// Their data come with the live panel in attributes of #chart-data; the figures stand in tables.
"use strict";
(() => {
if (!window.echarts) return;
const charts = new Map();
const still = matchMedia("(prefers-reduced-motion: reduce)").matches;

function waterfall(text, dataset) {
  const bars = JSON.parse(dataset.waterfall);
  const money = new Intl.NumberFormat(dataset.lang, { style: "currency", currency: dataset.currency, currencyDisplay: "narrowSymbol", notation: "compact" });
  const colour = (one) => (!one.code ? "#4263eb" : one.to >= one.from ? "#2f9e44" : "#c92a2a");
  return {
    grid: { left: bars.length > 5 ? 32 : 8, right: 8, top: 24, bottom: 8, containLabel: true }, // the first turned label reaches out
    xAxis: { type: "category", data: bars.map((one) => one.name), axisLabel: { color: text, interval: 0, rotate: bars.length > 5 ? 30 : 0 } },
    yAxis: { type: "value", axisLabel: { color: text, formatter: (value) => money.format(value) } },
    series: [{
      type: "custom", data: bars.map((one, at) => [at, one.from, one.to]), encode: { x: 0, y: [1, 2] },
      renderItem: (_, api) => {
        const [x, from] = api.coord([api.value(0), api.value(1)]), to = api.coord([api.value(0), api.value(2)])[1];
        const width = api.size([1, 0])[0] * 0.6, one = bars[api.value(0)];
        return { type: "group", children: [
          { type: "rect", shape: { x: x - width / 2, y: Math.min(from, to), width, height: Math.max(Math.abs(to - from), 1) }, style: { fill: colour(one) } },
          { type: "text", style: { text: money.format(one.to - one.from), x, y: Math.min(from, to) - 4, textAlign: "center", textVerticalAlign: "bottom", fill: text } },
        ] };
      },
    }],
  };
}
function curve(text, dataset) {
  const percent = { color: text, formatter: "{value}%" };
  const axis = (name) => ({ type: "value", name, nameLocation: "middle", nameGap: 28, min: 0, axisLabel: percent, nameTextStyle: { color: text } });
  return {
    grid: { left: 24, right: 16, top: 40, bottom: 24, containLabel: true },
    legend: { top: 0, textStyle: { color: text } },
    xAxis: { ...axis(dataset.parties), max: 100 }, yAxis: { ...axis(dataset.money), nameGap: 40 },
    series: [
      { name: dataset.measured, type: "line", showSymbol: false, data: JSON.parse(dataset.curve), color: "#4263eb" },
      { name: dataset.textbook, type: "scatter", symbol: "diamond", symbolSize: 12, data: [[20, 80]], color: "#e8590c" },
    ],
  };
}
function plan(text, dataset) {
  const rows = JSON.parse(dataset.plan);
  const money = new Intl.NumberFormat(dataset.lang, { style: "currency", currency: dataset.currency, currencyDisplay: "narrowSymbol", notation: "compact" });
  const label = { color: text, formatter: (value) => money.format(value) };
  return {
    grid: { left: 8, right: 8, top: 40, bottom: 8, containLabel: true },
    legend: { top: 0, textStyle: { color: text } }, tooltip: { trigger: "axis", valueFormatter: (value) => value === null ? "–" : money.format(value) },
    xAxis: { type: "category", data: rows.map((one) => one.name), axisLabel: { color: text, rotate: rows.length > 5 ? 30 : 0 } },
    yAxis: { type: "value", axisLabel: label },
    series: [
      { name: dataset.planned, type: "bar", data: rows.map((one) => one.plan), color: "#adb5bd" },
      { name: dataset.actual, type: "bar", data: rows.map((one) => one.actual), color: "#4263eb" },
    ],
  };
}
function months(text, dataset) {
  const rows = JSON.parse(dataset.months);
  return {
    grid: { left: 8, right: 8, top: 40, bottom: 8, containLabel: true },
    legend: { top: 0, textStyle: { color: text } }, tooltip: { trigger: "axis" },
    xAxis: { type: "category", data: rows.map((one) => one.name), axisLabel: { color: text } },
    yAxis: { type: "value", minInterval: 1, axisLabel: { color: text } },
    series: [
      { name: dataset.now, type: "bar", data: rows.map((one) => one.now), color: "#adb5bd" },
      { name: dataset.proposed, type: "bar", data: rows.map((one) => one.proposed), color: "#4263eb" },
    ],
  };
}
const KINDS = { months: [months, 1], waterfall: [waterfall, 2], curve: [curve, 2], plan: [plan, 1] }; // the fewest that are a chart
function draw() {
  const dataset = document.getElementById("chart-data")?.dataset;
  if (!dataset) return;
  const text = getComputedStyle(document.body).color;
  for (const box of document.querySelectorAll("[data-chart]")) {
    const [option, fewest] = KINDS[box.dataset.chart];
    const empty = JSON.parse(dataset[box.dataset.chart]).length < fewest;
    box.parentElement.hidden = empty;
    if (empty) continue;
    if (!charts.has(box)) {
      const chart = echarts.init(box);
      charts.set(box, chart);
      new ResizeObserver(() => chart.resize()).observe(box);
    }
    charts.get(box).setOption({ animation: !still, ...option(text, dataset) }, { notMerge: true });
  }
}
draw();
document.body.addEventListener("htmx:afterSettle", (event) => { if (event.detail.target?.querySelector("#chart-data")) draw(); });
})();

// The page of a process: the BPMN drawing with its tokens, who holds each, since when. They come
// with #process-panel in an attribute: of what htmx swaps in it takes out every script element.
"use strict";
(() => {
const box = document.getElementById("process-diagram");
if (!box || !window.BpmnJS) return;
const viewer = new window.BpmnJS({ container: box });
let drawn = false, marked = [];

function show() {
  const source = document.getElementById("process-tokens");
  if (!drawn || !source) return;
  const canvas = viewer.get("canvas"), overlays = viewer.get("overlays");
  const registry = viewer.get("elementRegistry");
  for (const [id, marker] of marked) if (registry.get(id)) canvas.removeMarker(id, marker);
  marked = [];
  overlays.clear();
  for (const { step, marker, holder, hint } of JSON.parse(source.dataset.tokens)) {
    if (!registry.get(step)) continue;
    canvas.addMarker(step, marker);
    marked.push([step, marker]);
    if (!holder) continue;
    const badge = document.createElement("span");
    badge.className = `gx-holder ${marker}`;
    badge.textContent = holder;
    badge.title = hint || "";
    overlays.add(step, { position: { bottom: 12, left: 4 }, html: badge });
  }
}
async function draw() {
  const answer = await fetch(box.dataset.url);
  if (!answer.ok) throw new Error(answer.status);
  await viewer.importXML(await answer.text());
  drawn = true;
  const canvas = viewer.get("canvas");
  const fit = () => { if (box.clientWidth > 0) canvas.zoom("fit-viewport", "auto"); };
  fit();
  new ResizeObserver(fit).observe(box);
  show();
}
draw().catch(() => { box.textContent = box.dataset.failed; });
document.body.addEventListener("htmx:afterSettle", show);
})();

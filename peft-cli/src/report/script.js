"use strict";
// The point that is pointed at or reached by keys is shown below its chart.
for (const chart of document.querySelectorAll(".chart")) {
  const svg = chart.querySelector("svg");
  const readout = chart.querySelector(".readout");
  const series = [...svg.querySelectorAll(".series")].map((one) => [...one.querySelectorAll(".pt")]).filter((one) => one.length);
  const points = series.flat();
  const middle = (point) => {
    const box = point.querySelector("circle").getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2];
  };
  const nearest = (among, distance) => among.reduce((best, point) => {
    const far = distance(middle(point));
    return best && best[0] <= far ? best : [far, point];
  }, null)[1];
  const show = (point) => {
    for (const other of svg.querySelectorAll(".pt.on")) other.classList.remove("on");
    readout.classList.toggle("on", Boolean(point));
    readout.textContent = point ? point.querySelector("title").textContent : readout.dataset.hint;
    if (point) point.classList.add("on");
  };
  const focused = () => (points.includes(document.activeElement) ? document.activeElement : null);
  svg.addEventListener("pointermove", (event) => {
    show(nearest(points, ([x, y]) => Math.hypot(4 * (x - event.clientX), y - event.clientY)));
  });
  svg.addEventListener("pointerdown", (event) => {
    show(nearest(points, ([x, y]) => Math.hypot(x - event.clientX, y - event.clientY)));
  });
  svg.addEventListener("pointerleave", () => show(focused()));
  svg.addEventListener("focusin", (event) => show(event.target.closest(".pt")));
  svg.addEventListener("focusout", () => show(null));
  svg.addEventListener("keydown", (event) => {
    const row = series.findIndex((one) => one.includes(event.target));
    if (row < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    const own = series[row];
    const at = own.indexOf(event.target);
    const beside = (other) => other && nearest(other, ([x]) => Math.abs(x - middle(event.target)[0]));
    const next = {
      ArrowLeft: () => own[at - 1],
      ArrowRight: () => own[at + 1],
      Home: () => own[0],
      End: () => own[own.length - 1],
      ArrowUp: () => beside(series[row - 1]),
      ArrowDown: () => beside(series[row + 1]),
    }[event.key];
    if (!next) return;
    event.preventDefault();
    const to = next();
    if (!to) return;
    event.target.tabIndex = -1;
    to.tabIndex = 0;
    to.focus();
  });
}

"use strict";

/* Sorting and filtering of tables, and opening the part that a link leads to. */

function cellKey(row, column) {
  const cell = row.cells[column];
  return cell.dataset.key !== undefined ? cell.dataset.key : cell.textContent.trim();
}

/* the whole of a key: a name that begins with a digit is none */
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

function compare(a, b, asNumbers) {
  return asNumbers ? Number(a) - Number(b) : a.localeCompare(b);
}

function sortBy(button) {
  const head = button.closest("th");
  const table = head.closest("table");
  const column = head.cellIndex;
  const falling = head.getAttribute("aria-sort") === "descending";
  const direction = falling ? 1 : -1;
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  rows.forEach((row, place) => { row.dataset.place = row.dataset.place || String(place); });
  const keys = rows.map((row) => cellKey(row, column)).filter((key) => key !== "");
  /* one rule for a column: numbers and names side by side have no order of their own */
  const asNumbers = keys.every((key) => NUMBER.test(key));
  rows.sort((one, two) => {
    const a = cellKey(one, column), b = cellKey(two, column);
    /* rows without a value stand last, whichever way */
    if ((a === "") !== (b === "")) return a === "" ? 1 : -1;
    return direction * compare(a, b, asNumbers) || Number(one.dataset.place) - Number(two.dataset.place);
  });
  rows.forEach((row) => body.appendChild(row));
  table.querySelectorAll("th[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", falling ? "ascending" : "descending");
}

function filterRows(controls) {
  const table = document.getElementById(controls.dataset.table);
  const text = controls.querySelector("input").value.trim().toLowerCase();
  const kind = controls.querySelector("select").value;
  let shown = 0;
  Array.from(table.tBodies[0].rows).forEach((row) => {
    const fits = row.cells[0].textContent.toLowerCase().includes(text) &&
      (kind === "" || row.dataset.inputs.split(" + ").includes(kind));
    row.hidden = !fits;
    shown += fits ? 1 : 0;
  });
  controls.querySelector("output").textContent = shown + " of " + table.tBodies[0].rows.length;
}

function openTarget() {
  const id = decodeURIComponent(location.hash.slice(1));
  const found = id ? document.getElementById(id) : null;
  for (let part = found; part; part = part.parentElement) {
    if (part.tagName === "DETAILS") part.open = true;
  }
  if (found) found.scrollIntoView();
}

document.querySelectorAll("th button").forEach((button) => {
  button.disabled = false;
  button.addEventListener("click", () => sortBy(button));
});
document.querySelectorAll(".controls").forEach((controls) => {
  controls.hidden = false;
  controls.addEventListener("input", () => filterRows(controls));
  filterRows(controls);
});
window.addEventListener("hashchange", openTarget);
/* what is printed is the whole: nothing stays folded */
window.addEventListener("beforeprint", () => {
  document.querySelectorAll("details.brief").forEach((part) => { part.open = true; });
});
openTarget();

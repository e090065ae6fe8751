"use strict";
// Columns of results are sorted by their heading: numbers from the best, words from A; again: the other way; once more: as printed.
// What has no number ("not run") stays last both ways.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const printed = [...body.rows];
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];

  const compare = (column, text, sign) => (one, other) => {
    const [a, b] = [one.cells[column], other.cells[column]];
    if (text) return sign * a.textContent.localeCompare(b.textContent, "en", { numeric: true });
    const [x, y] = [a, b].map((cell) => parseFloat(cell.dataset.value));
    if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
    return sign * (x - y);
  };

  heads.forEach((head, column) => {
    const text = head.classList.contains("text");
    const cycle = text ? ["ascending", "descending", "none"] : ["descending", "ascending", "none"];
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    head.ariaSort = "none";
    button.addEventListener("click", () => {
      const order = cycle[(cycle.indexOf(head.ariaSort) + 1) % 3];
      for (const other of heads) other.ariaSort = "none";
      head.ariaSort = order;
      const rows = [...printed];
      if (order !== "none") rows.sort(compare(column, text, order === "ascending" ? 1 : -1));
      body.append(...rows);
    });
  });
}

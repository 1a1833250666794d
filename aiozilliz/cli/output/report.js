"use strict";
(() => {
  const table = document.getElementById("table"), body = table.tBodies[0], rows = [...body.rows];
  const search = document.getElementById("search"), shown = document.getElementById("shown");
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      row.hidden = !words.every((word) => texts.get(row).includes(word));
      count += !row.hidden;
    }
    shown.textContent = words.length ? `${count} of ${rows.length} clusters` : `${rows.length} clusters`;
  };
  search.hidden = false;
  search.addEventListener("input", filter);
  filter();
  [...table.tHead.rows[0].cells].forEach((head, place) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const order = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
      rows.sort((a, b) => (down ? -1 : 1) * order.compare(a.cells[place].textContent, b.cells[place].textContent));
      body.append(...rows);
    });
  });
})();

// Sorts a table by a column when its header is pressed. Reads the cells as they are shown; changes nothing else.
"use strict";
for (const table of document.querySelectorAll("div.wide > table")) {
  const body = table.tBodies[0];
  const headers = [...table.tHead.rows[0].cells];
  if (body.rows.length < 3) continue;
  headers.forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => {
      const down = header.getAttribute("aria-sort") !== "descending";
      for (const other of headers) other.removeAttribute("aria-sort");
      header.setAttribute("aria-sort", down ? "descending" : "ascending");
      const numbers = header.classList.contains("n");
      const key = (row) => {
        const text = row.cells[column].textContent;
        const number = parseFloat(text.replace(/[^0-9.\-]/g, ""));
        return numbers ? (Number.isNaN(number) ? -1 : number) : text;
      };
      const rows = [...body.rows].map((row) => [key(row), row]);
      const compare = (a, b) => (numbers ? a - b : a.localeCompare(b));
      rows.sort(([a], [b]) => (down ? compare(b, a) : compare(a, b)));
      body.append(...rows.map(([, row]) => row));
    });
  });
}

// Tells beside the map of the task under the pointer; a row of the table does the same.
const rows = [...document.querySelectorAll("tr[data-dot]")];

function tell(dot) {
  for (const article of document.querySelectorAll(".told")) article.hidden = article.id !== `told-${dot}`;
  for (const row of rows) row.classList.toggle("shown", row.dataset.dot === String(dot));
}

for (const event of ["plotly_hover", "plotly_click"]) {
  document.getElementById("map").on(event, ({ points }) => tell(points[0].customdata));
}
for (const row of rows) {
  for (const event of ["click", "focus"]) row.addEventListener(event, () => tell(row.dataset.dot));
}

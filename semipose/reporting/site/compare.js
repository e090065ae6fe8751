"use strict";
// Two runs side by side: every metric of either, and the parameters in which they differ.
{
  const records = JSON.parse(document.getElementById("records").textContent);
  const choices = ["a", "b"].map((name) => document.getElementById(`run-${name}`));
  const body = document.querySelector("#compared tbody");

  const shown = (score) => {
    if (!score || score[0] === null) return "–";
    const [value, low, high] = score.map((one) => (one === null ? null : one.toFixed(2)));
    return low === null || high === null ? value : `${value} [${low}, ${high}]`;
  };
  const line = (texts) => {
    const row = body.insertRow();
    texts.forEach((text, column) => {
      const cell = row.appendChild(document.createElement(column ? "td" : "th"));
      cell.textContent = text;
      if (!column) cell.className = "text";
    });
  };
  const compare = () => {
    const [one, other] = choices.map((choice) => records[choice.value]);
    body.replaceChildren();
    for (const name of Object.keys({ ...one.metrics, ...other.metrics })) {
      const [x, y] = [one.metrics[name], other.metrics[name]];
      const known = x && y && x[0] !== null && y[0] !== null;
      const difference = known ? y[0] - x[0] : null;
      line([name, shown(x), shown(y), known ? (difference < 0 ? "" : "+") + difference.toFixed(2) : "–"]);
    }
    for (const key of Object.keys({ ...one.parameters, ...other.parameters })) {
      const [x, y] = [one.parameters[key] ?? "–", other.parameters[key] ?? "–"];
      if (x !== y) line([key, x, y, ""]);
    }
  };

  if (body) {
    choices[1].selectedIndex = 1;
    for (const choice of choices) choice.addEventListener("change", compare);
    compare();
  }
}

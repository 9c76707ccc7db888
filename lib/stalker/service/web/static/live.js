"use strict";
// Adds what changes while a page is open; without it a page shows the moment it was loaded.

function refresh(part) {
  const again = async () => {
    try {
      const answer = await fetch(part.dataset.refresh, { headers: { accept: "text/html" } });
      if (answer.ok && !part.contains(document.activeElement)) {
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        part.replaceChildren(...fresh.body.childNodes);
      }
    } catch { /* the service is away for a moment */ }
    if (!document.hidden && part.dataset.refresh) setTimeout(again, 2000);
  };
  document.addEventListener("visibilitychange", () => { if (!document.hidden) again(); });
  setTimeout(again, 2000);
}

const colours = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];

function write(log, text) {
  const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 40;
  let names = [];
  for (const part of text.split(/(\x1b\[[0-9;]*m)/)) {
    const codes = /^\x1b\[([0-9;]*)m$/.exec(part);
    if (codes) {
      for (const code of codes[1].split(";").map(Number)) {
        if (code === 0) names = [];
        else if (code === 1) names.push("bold");
        else if (code >= 30 && code <= 37) names.push("c-" + colours[code - 30]);
        else if (code >= 90 && code <= 97) names.push("c-" + colours[code - 90]);
      }
    } else if (part) {
      const span = document.createElement("span");
      if (names.length) span.className = names.join(" ");
      span.textContent = part.replace(/\x1b\[[0-9;?]*[A-Za-z]/g, "");
      log.append(span);
    }
  }
  while (log.childNodes.length > 5000) log.firstChild.remove();
  if (atEnd) log.scrollTop = log.scrollHeight;
}

function follow(log) {
  log.scrollTop = log.scrollHeight;
  const source = new EventSource(log.dataset.events);
  const on = (name, text) => source.addEventListener(name, (event) => write(log, text(JSON.parse(event.data))));
  on("step_output", (one) => one.data);
  on("step_started", (one) => `=== ${one.step}\n`);
  on("step_finished", (one) => `=== ${one.step} ${one.state} after ${one.duration_s.toFixed(1)} s\n`);
  on("step_reused", (one) => `=== ${one.step} reused: ${one.reason}\n`);
  on("note", (one) => `=== ${one.level}: ${one.text}\n`);
  on("run_finished", (one) => `=== finished with exit code ${one.exit_code}\n`);
  source.addEventListener("end", () => { source.close(); location.reload(); });
}

document.querySelectorAll("[data-refresh]").forEach(refresh);
document.querySelectorAll("[data-events]").forEach(follow);

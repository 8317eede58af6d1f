// The upload of a package on the page of an app: by drag and drop, with progress, across a lost connection and a reload.
import { forget, keep, kept, prune } from "./files.js";
import { FileGone, Refusal, Transfer } from "./tus.js";

const WINDOW = 5000; // milliseconds over which the speed is averaged
const UNITS = ["B", "kB", "MB", "GB"];

const form = document.getElementById("upload-form");
const input = document.getElementById("upload-package");
const panel = document.getElementById("transfer");
const bar = document.getElementById("transfer-bar");
const figures = document.getElementById("transfer-figures");
const state = document.getElementById("transfer-state");
const pause = document.getElementById("pause");
const cancel = document.getElementById("cancel");
const app = form.dataset.app;
const page = `/console/apps/${app}`;
const slot = `mosis-upload:${app}`; // of this tab: another one must not send the same bytes

let transfer = null;
let samples = [];

function size(bytes) {
  let unit = 0;
  for (; bytes >= 999.5 && unit + 1 < UNITS.length; unit += 1) bytes /= 1000;
  return `${bytes.toFixed(unit && bytes < 99.95 ? 1 : 0)} ${UNITS[unit]}`;
}

function duration(seconds) {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

function progressed(sent) {
  const now = performance.now();
  const total = transfer.file.size;
  samples = [...samples.filter(([at]) => at > now - WINDOW), [now, sent]];
  const [[since, before]] = samples;
  const speed = now > since ? Math.max(0, (sent - before) / (now - since) * 1000) : 0;
  bar.value = sent / total;
  const parts = [`${size(sent)} of ${size(total)}`];
  if (speed > 0 && sent < total) parts.push(`${size(speed)}/s`, `${duration((total - sent) / speed)} left`);
  figures.textContent = parts.join(" · ");
}

function say(text, bad = false) {
  if (state.textContent !== text) state.textContent = text; // a screen reader reads it once
  state.classList.toggle("notice", bad);
  state.classList.toggle("bad", bad);
}

function remember(ticket) {
  sessionStorage.setItem(slot, JSON.stringify(ticket));
}

function show(uploading) {
  panel.hidden = !uploading;
  form.hidden = uploading;
}

async function done(id) {
  sessionStorage.removeItem(slot);
  await forget(id);
}

// What ended the upload, in words; a package that was refused is listed among the versions, with what to fix.
async function ended(error, ticket) {
  if (error instanceof FileGone) {
    await forget(ticket.id);
    show(false);
    say("The file was changed or moved. Choose it again.", true);
  } else if (error instanceof Refusal && error.status === 401) {
    location.assign(`/sign-in?next=${encodeURIComponent(page)}`); // the ticket stays: the upload continues afterwards
    return;
  } else if (ticket) {
    await done(ticket.id);
    if (error instanceof Refusal && error.problem?.code !== "NOT_FOUND") {
      location.assign(`${page}?refused=upload`);
      return;
    }
    show(false);
    say(`The upload ended: ${error.message}`, true);
  } else {
    show(false);
    say(error.message, true);
  }
  panel.hidden = false;
  panel.querySelectorAll("progress, .actions, #transfer-figures").forEach((part) => { part.hidden = true; });
  input.value = "";
  transfer = null;
}

async function start(file, known = null) {
  if (transfer) return;
  let id = known?.id;
  const noted = (ticket) => {
    remember(ticket);
    if (ticket.id !== id) keep(id = ticket.id, file);
  };
  transfer = new Transfer(app, file, known, { progress: progressed, state: say, ticket: noted });
  samples = [];
  panel.querySelectorAll("[hidden]").forEach((part) => { part.hidden = false; });
  document.querySelector("#transfer-name strong").textContent = file.name;
  pause.textContent = "Pause";
  say("Starting…");
  show(true);
  progressed(0);
  pause.focus();
  try {
    if (await transfer.run()) {
      await done(id);
      location.assign(`${page}?done=upload`);
    }
  } catch (error) {
    await ended(error, transfer.ticket);
  }
}

function chosen(file) {
  if (file.size > Number(form.dataset.max) || file.size === 0) {
    panel.hidden = false;
    panel.querySelectorAll("progress, .actions, #transfer-figures").forEach((part) => { part.hidden = true; });
    document.querySelector("#transfer-name strong").textContent = file.name;
    say(file.size ? `The file has ${size(file.size)}; a package may have ${size(Number(form.dataset.max))}.` : "The file is empty.", true);
    return;
  }
  const ticket = JSON.parse(sessionStorage.getItem(slot) ?? "null");
  start(file, ticket?.name === file.name && ticket?.size === file.size ? ticket : null);
}

pause.addEventListener("click", () => {
  if (!transfer) return;
  if (transfer.paused) transfer.resume();
  else transfer.pause();
  samples = [];
  pause.textContent = transfer.paused ? "Resume" : "Pause";
});

cancel.addEventListener("click", async () => {
  if (!transfer) return;
  await transfer.cancel();
  if (transfer.ticket) await done(transfer.ticket.id);
  location.assign(page);
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (input.files[0]) chosen(input.files[0]);
});

for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
  addEventListener(name, (event) => {
    event.preventDefault(); // a file that misses the form must not replace the page
    form.classList.toggle("over", name === "dragenter" || name === "dragover");
    const file = name === "drop" ? event.dataTransfer.files[0] : null;
    if (file) chosen(file);
  });
}

document.querySelectorAll(".js").forEach((part) => { part.hidden = false; });
await prune();
const ticket = JSON.parse(sessionStorage.getItem(slot) ?? "null");
if (ticket) {
  const file = await kept(ticket.id);
  if (file) start(file, ticket);
  else {
    document.querySelector("#transfer-name strong").textContent = ticket.name;
    panel.hidden = false;
    panel.querySelectorAll("progress, .actions, #transfer-figures").forEach((part) => { part.hidden = true; });
    say("This upload is unfinished. Choose the same file again to continue it.");
  }
}

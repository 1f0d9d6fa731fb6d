"use strict";
// A segment's sounds all play at once and one of them is heard, so that a switch loses no instant.
const TOLERANCE = 0.02; // seconds between sounds before one that becomes heard is set right
const NOTHING = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==";
const players = [];

class Player {
  constructor(article) {
    this.article = article;
    this.seconds = Number(article.dataset.seconds);
    this.tiles = [...article.querySelectorAll(".tile")];
    this.sounds = this.tiles.map((tile) => tile.querySelector("audio"));
    this.radios = [...article.querySelectorAll(".pick input")];
    this.button = article.querySelector(".play");
    this.seek = article.querySelector(".seek");
    this.time = article.querySelector(".time");
    this.loop = article.querySelector(".loop input");
    this.images = [...article.querySelectorAll(".axes img")];
    this.heard = this.sounds[0];
    this.playing = false;
    this.show();
    this.listen();
    this.choose(this.radios.find((radio) => radio.checked) ?? this.radios[0]);
  }

  show() {
    for (const sound of this.sounds) sound.removeAttribute("controls");
    for (const part of this.article.querySelectorAll("[hidden]")) part.hidden = false;
  }

  listen() {
    this.button.addEventListener("click", () => (this.playing ? this.pause() : this.play()));
    this.seek.addEventListener("input", () => this.go(Number(this.seek.value)));
    for (const radio of this.radios) {
      radio.addEventListener("change", () => this.choose(radio));
      radio.addEventListener("keydown", (event) => this.step(event, radio));
    }
    for (const sound of this.sounds) sound.addEventListener("ended", () => this.end(sound));
    for (const image of this.images) {
      image.parentElement.addEventListener("click", (event) => {
        const box = image.getBoundingClientRect();
        this.go(((event.clientX - box.left) / box.width) * this.seconds);
      });
    }
  }

  choose(radio) {
    radio.checked = true;
    const tile = document.getElementById(radio.value);
    const before = this.heard;
    this.heard = tile.querySelector("audio");
    const late = Math.abs(this.heard.currentTime - before.currentTime) > TOLERANCE;
    if (this.playing && late) this.heard.currentTime = before.currentTime;
    for (const sound of this.sounds) sound.muted = sound !== this.heard;
    for (const image of this.images) {
      const kind = image.id.endsWith("-mask") ? "mask" : "spectrogram";
      const source = tile.querySelector(`.${kind}`);
      image.closest(".view").classList.toggle("empty", !source);
      image.src = source ? source.src : NOTHING;
      image.alt = source ? source.alt : "No mask";
      const what = source ? tile.dataset.what : "none: this is not an estimate";
      document.getElementById(`${image.id}-what`).textContent = what;
    }
  }

  // Up and down stay in the column of an instrument; left and right are the browser's own.
  step(event, radio) {
    const direction = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!direction) return;
    event.preventDefault();
    const cell = radio.closest("td");
    const rows = [...cell.closest("tbody").rows].filter((row) => row.querySelector("input"));
    const place = rows.indexOf(cell.parentElement);
    const row = rows[(place + direction + rows.length) % rows.length];
    const inputs = row.querySelectorAll("input");
    const column = cell.parentElement.querySelectorAll("input").length > 1 ? cell.cellIndex - 1 : this.column ?? 0;
    this.column = column;
    const next = inputs[Math.min(column, inputs.length - 1)];
    next.focus();
    this.choose(next);
  }

  async play() {
    for (const other of players) if (other !== this) other.pause();
    this.playing = true;
    this.mark();
    this.button.setAttribute("aria-busy", "true");
    await Promise.all(this.sounds.map(ready));
    const start = this.heard.ended ? 0 : Number(this.seek.value) % this.seconds;
    await Promise.all(this.sounds.map((sound) => moved(sound, start)));
    this.button.removeAttribute("aria-busy");
    if (!this.playing) return;
    await Promise.allSettled(this.sounds.map((sound) => sound.play()));
    if (this.playing) this.follow();
  }

  pause() {
    this.playing = false;
    for (const sound of this.sounds) sound.pause();
    this.mark();
  }

  end(sound) {
    if (sound !== this.heard || !this.playing) return;
    this.pause();
    this.place(0);
    if (this.loop.checked) this.play();
  }

  go(time) {
    for (const sound of this.sounds) if (sound.readyState) sound.currentTime = time;
    this.place(time);
  }

  mark() {
    this.article.classList.toggle("playing", this.playing);
    this.button.setAttribute("aria-label", this.playing ? "Pause" : "Play");
  }

  follow() {
    this.place(this.heard.currentTime);
    if (this.playing) requestAnimationFrame(() => this.follow());
  }

  place(time) {
    this.seek.value = time;
    this.time.textContent = `${time.toFixed(1)} s`;
    this.seek.setAttribute("aria-valuetext", `${time.toFixed(1)} of ${this.seconds.toFixed(1)} seconds`);
    for (const image of this.images) {
      image.nextElementSibling.style.left = `${(100 * time) / this.seconds}%`;
    }
  }
}

function ready(sound) {
  if (sound.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA || sound.error) return null;
  return new Promise((done) => {
    sound.addEventListener("canplaythrough", done, { once: true });
    sound.addEventListener("error", done, { once: true });
    sound.preload = "auto";
    sound.load();
  });
}

function moved(sound, time) {
  if (Math.abs(sound.currentTime - time) < 0.001) return null;
  return new Promise((done) => {
    sound.addEventListener("seeked", done, { once: true });
    sound.addEventListener("error", done, { once: true });
    sound.currentTime = time;
  });
}

for (const article of document.querySelectorAll(".example")) players.push(new Player(article));

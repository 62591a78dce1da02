/* SPDX-License-Identifier: MIT
 *
 * Lets the reader zoom, move, hover and search in the recording in #data, which paint.js draws. Both
 * are one script in the page. Times are nanoseconds from the first record. `view` is the part of
 * them that is shown. */
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const [canvas, scroller, details] = ["canvas", "lanes", "details"].map(byId);
const draw = canvas.getContext("2d");
const LANE = 36, AXIS = 24, BAR_TOP = 4, BAR = 18, STRIP = 28.5, COLUMN = 2, LEAST = 1 / 3;
const KINDS = ["sleep", "handler", "ready", "handled"];
const DRAWN_AS = { handled: "handler" };
const ARROWS = 60, ARROWS_APART = 6, SHORTEST = 10;
const PAD = 7; // left and right of the plot, for marks
const FONT = getComputedStyle(document.body).fontFamily;

const view = { begin: 0, end: data.whole };
let width = 0, height = 0, colours = {};
let chosen = -1; // the lane
let item = null; // the bar or mark whose details are shown
let found = [], current = -1; // what the search has found

// ------------------------------------------------------------------ the data

/* A bar or mark: {lane, kind, begin, end, name}. Those of a kind in a lane are in order, and do not
 * overlap, so that both their begins and their ends can be searched. */
for (const [index, lane] of data.lanes.entries()) {
    lane.items = {};
    for (const kind of KINDS) {
        const flat = lane.spans[kind] || [], items = [];
        for (let i = 0; i < flat.length; i += 3)
            items.push({ lane: index, kind, begin: flat[i], end: flat[i] + flat[i + 1],
                         name: data.names[flat[i + 2]] });
        lane.items[kind] = items;
    }
    lane.items.mark = lane.marks.map(([at, kind, name]) =>
        ({ lane: index, kind, begin: at, end: at, name: data.names[name], mark: true }));
    lane.all = Object.values(lane.items).flat().sort((a, b) => a.begin - b.begin || b.end - a.end);
}
const shapes = Object.fromEntries(Object.entries(data.shapes).map(
    ([kind, [classes, path]]) => [kind, { classes, path: new Path2D(path) }]));
const arrows = data.arrows.map(([begin, source, end, target, kind]) =>
    ({ begin, source, end, target, kind })).sort((a, b) => a.end - b.end);
const causes = new Map(); // what ended a sleep, by its lane and end
for (const { source, end, target, kind } of arrows) {
    const key = `${target} ${end}`, { name } = data.lanes[source];
    causes.set(key, (causes.get(key) || new Set()).add(kind === "ready" ? name : `${kind}() in ${name}`));
}

/* The index of the first one whose `key` is larger than the value. */
function after(items, key, value) {
    let low = 0, high = items.length;
    while (low < high) {
        const middle = (low + high) >> 1;
        if (items[middle][key] > value) high = middle; else low = middle + 1;
    }
    return low;
}

// ------------------------------------------------------------------ words

const UNITS = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"]];

function duration(ns) {
    const [size, unit] = UNITS.find(([size]) => ns >= 0.9995 * size) || UNITS[3];
    return `${Number((ns / size).toPrecision(ns / size < 1000 ? 3 : 6))} ${unit}`;
}

/* A time from the beginning, as exact as a difference of `step` needs. */
function moment(ns, step) {
    const [size, unit] = UNITS.find(([size]) => view.end >= size) || UNITS[3];
    const digits = Math.max(0, Math.ceil(Math.log10(size / step) - 1e-9));
    return ns === 0 ? "0" : `${(ns / size).toFixed(digits)} ${unit}`;
}

function describe(one) {
    const lane = data.lanes[one.lane], time = duration(one.end - one.begin);
    const where = lane.more && lane.watch ? `${lane.name} (${lane.more})` : lane.name;
    const at = `at ${moment(one.begin, Math.max(1, (view.end - view.begin) / 1e4))}`;
    if (one.mark) return `${where}: ${one.name}, ${at}`;
    if (one.kind === "sleep") {
        const cause = causes.get(`${one.lane} ${one.end}`);
        const names = cause && [...cause];
        const more = names && names.length > 5 ? ` and ${names.length - 5} more` : "";
        const end = names ? `, until ${names.slice(0, 5).join(", ")}${more}` : "";
        return `${where}: asleep in the kernel for ${time}${end}, ${at}`;
    }
    if (one.kind === "ready") return `${where}: ${one.name}, ready for ${time} before it was taken, ${at}`;
    if (one.kind === "handler") return `${where}: the handler of ${one.name} ran for ${time}, ${at}`;
    return `${where}: ${one.name}, handled in ${time}, ${at}`;
}

// ------------------------------------------------------------------ the view

const scale = () => (width - 2 * PAD) / (view.end - view.begin);
const x = (at) => PAD + (at - view.begin) * scale();
const time = (x) => view.begin + (x - PAD) / scale();

function show(begin, end) {
    const length = Math.min(Math.max(end - begin, SHORTEST), data.whole);
    view.begin = Math.min(Math.max(begin + (end - begin - length) / 2, 0), data.whole - length);
    view.end = view.begin + length;
    update();
}

function zoom(factor, at = (view.begin + view.end) / 2) {
    show(at - (at - view.begin) * factor, at + (view.end - at) * factor);
}

function move(by) {
    const length = view.end - view.begin;
    const begin = Math.min(Math.max(view.begin + by, 0), data.whole - length);
    show(begin, begin + length);
}

let pending = false;
function update() {
    if (pending) return;
    pending = true;
    requestAnimationFrame(() => { pending = false; paint(); });
}

function choose(lane) {
    chosen = Math.min(Math.max(lane, 0), data.lanes.length - 1);
    for (const row of document.querySelectorAll(".lane.chosen")) row.classList.remove("chosen");
    const row = byId("names").children[chosen];
    if (!row) return;
    row.classList.add("chosen");
    const top = chosen * LANE;
    if (top < scroller.scrollTop) scroller.scrollTop = top;
    if (top + LANE + AXIS > scroller.scrollTop + scroller.clientHeight)
        scroller.scrollTop = top + LANE + AXIS - scroller.clientHeight;
}

/* Shows the details of a bar or mark, and moves the view to it if it is outside, or too narrow. */
function visit(one) {
    item = one;
    choose(one.lane);
    const length = view.end - view.begin;
    const narrow = one.end > one.begin && (one.end - one.begin) * scale() < COLUMN;
    if (narrow) show(one.begin - (one.end - one.begin) * 20, one.end + (one.end - one.begin) * 20);
    else if (one.begin < view.begin || one.begin > view.end)
        show(one.begin - length / 2, one.begin + length / 2);
    details.textContent = describe(one);
    update();
}

function step(by) {
    if (chosen < 0) choose(0);
    const all = data.lanes[chosen].all;
    if (!all.length) return;
    let index = item && item.lane === chosen ? all.indexOf(item) + by : -1;
    if (index === -1) index = after(all, "begin", view.begin - 1);
    visit(all[Math.min(Math.max(index, 0), all.length - 1)]);
}

// ------------------------------------------------------------------ search

function search(words) {
    const wanted = words.trim().toLowerCase();
    found = [];
    current = -1;
    const rows = byId("names").children;
    for (const [index, lane] of data.lanes.entries()) {
        const named = wanted !== "" && `${lane.name} (${lane.more})`.toLowerCase().includes(wanted);
        lane.found = named;
        for (const one of lane.all) {
            one.found = wanted !== "" && one.kind !== "sleep" && one.name.toLowerCase().includes(wanted);
            if (one.found) { found.push(one); lane.found = true; }
        }
        // A lane without such a bar is itself what was found.
        if (named && !lane.all.some((one) => one.found))
            found.push({ lane: index, begin: view.begin, end: view.begin, whole: true });
        rows[index].classList.toggle("found", lane.found);
    }
    document.body.classList.toggle("searching", found.length > 0);
    byId("found").textContent = wanted === "" ? "" : found.length ? `${found.length} found` : "not found";
    update();
}

function next(by) {
    if (!found.length) return;
    current = (current + by + found.length + (current < 0 && by < 0 ? 1 : 0)) % found.length;
    byId("found").textContent = `${current + 1} of ${found.length}`;
    const one = found[current];
    if (one.whole) { choose(one.lane); update(); } else visit(one);
}

// ------------------------------------------------------------------ mouse and keys

function at(event) {
    const box = canvas.getBoundingClientRect(), px = event.clientX - box.left;
    const y = event.clientY - box.top + scroller.scrollTop - AXIS, index = Math.floor(y / LANE);
    const lane = data.lanes[index];
    if (!lane || event.clientY - box.top < AXIS) return null;
    const near = (kind, reach) => lane.items[kind].length && closest(lane.items[kind], px, reach);
    return (y % LANE > BAR_TOP + BAR + 1 && near("mark", 7)) || near("handled", 3)
        || near("handler", 3) || near("ready", 3) || near("sleep", 0) || near("mark", 7) || null;
}

function closest(items, px, reach) {
    const index = after(items, "end", time(px));
    const gap = (one) => one ? Math.max(x(one.begin) - px, px - x(one.end), 0) : Infinity;
    const best = [items[index - 1], items[index]].sort((a, b) => gap(a) - gap(b))[0];
    return gap(best) <= reach ? best : null;
}

let drag = null;
canvas.onpointerdown = (event) => {
    if (event.button) return;
    canvas.setPointerCapture(event.pointerId);
    drag = { x: event.clientX, y: event.clientY, begin: view.begin, top: scroller.scrollTop,
             part: event.shiftKey, per: 1 / scale() };
    canvas.classList.add("moving");
};
canvas.onpointermove = (event) => {
    if (!drag) {
        const one = at(event);
        if (one && one !== item) { item = one; details.textContent = describe(one); update(); }
    } else if (drag.part) {
        paint();
        const left = canvas.getBoundingClientRect().left;
        draw.fillStyle = colours.chosen;
        draw.globalAlpha = 0.2;
        draw.fillRect(drag.x - left, 0, event.clientX - drag.x, height);
        draw.globalAlpha = 1;
    } else {
        scroller.scrollTop = drag.top - (event.clientY - drag.y);
        move(drag.begin - (event.clientX - drag.x) * drag.per - view.begin);
    }
};
canvas.onpointerup = canvas.onpointercancel = (event) => {
    const left = canvas.getBoundingClientRect().left;
    if (drag && drag.part && Math.abs(event.clientX - drag.x) > 3) {
        const [begin, end] = [drag.x, event.clientX].sort((a, b) => a - b);
        show(time(begin - left), time(end - left));
    }
    drag = null;
    canvas.classList.remove("moving");
};
canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaMode ? 16 : 1;
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY))
        return move((event.deltaX || event.deltaY) * lines / scale());
    zoom(1.002 ** (event.deltaY * lines), time(event.clientX - canvas.getBoundingClientRect().left));
}, { passive: false });

const KEYS = {
    "+": () => zoom(0.6), "=": () => zoom(0.6), "-": () => zoom(1 / 0.6),
    "0": () => show(0, data.whole), "Home": () => show(0, data.whole),
    "ArrowLeft": () => move((view.begin - view.end) / 5),
    "ArrowRight": () => move((view.end - view.begin) / 5),
    "ArrowUp": () => { choose(chosen - 1); update(); },
    "ArrowDown": () => { choose(chosen + 1); update(); },
    "n": () => step(1), "p": () => step(-1),
    "/": () => { byId("search").focus(); byId("search").select(); },
};
document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target === byId("search")) {
        if (event.key === "Enter") next(event.shiftKey ? -1 : 1);
        if (event.key === "Escape") { byId("search").value = ""; search(""); canvas.focus(); }
        return;
    }
    const action = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (action) { event.preventDefault(); action(); }
});
byId("search").oninput = (event) => search(event.target.value);
byId("before").onclick = () => next(-1);
byId("after").onclick = () => next(1);
byId("out").onclick = () => zoom(1 / 0.6);
byId("in").onclick = () => zoom(0.6);
byId("all").onclick = () => show(0, data.whole);
scroller.onscroll = update;
new ResizeObserver(update).observe(scroller);
matchMedia("(prefers-color-scheme: dark)").onchange = readColours;
fillNames();
readColours();

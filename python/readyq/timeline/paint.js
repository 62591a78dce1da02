/* SPDX-License-Identifier: MIT
 *
 * Draws the part of the recording that page.js shows, with the names of lanes and the legend. */

// ------------------------------------------------------------------ the canvas

function paint() {
    const ratio = window.devicePixelRatio || 1;
    width = canvas.clientWidth;
    height = scroller.clientHeight;
    canvas.style.height = `${height}px`;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    draw.setTransform(ratio, 0, 0, ratio, 0, 0);
    draw.font = `11px ${FONT}`;
    draw.clearRect(0, 0, width, height);
    const top = scroller.scrollTop;
    const first = Math.max(Math.floor(top / LANE), 0);
    const last = Math.min(Math.ceil((top + height) / LANE), data.lanes.length);
    const ticks = paintGrid();
    paintArrows(top);
    for (let index = first; index < last; index++) paintLane(index, index * LANE + AXIS - top);
    paintAxis(ticks);
}

function paintGrid() {
    let step = 10 ** Math.ceil(Math.log10((view.end - view.begin) * 90 / width));
    for (const part of [5, 2]) if (step / part * scale() >= 90) { step /= part; break; }
    step = Math.max(step, 1);
    const ticks = [];
    draw.fillStyle = colours.grid;
    for (let at = Math.ceil(view.begin / step) * step; at <= view.end; at += step) {
        ticks.push([x(at), moment(at, step)]);
        draw.fillRect(Math.round(x(at)), 0, 1, height);
    }
    return ticks;
}

function paintAxis(ticks) {
    draw.fillStyle = colours.ground;
    draw.fillRect(0, 0, width, AXIS - 2);
    draw.fillStyle = colours.quiet;
    let free = 0;
    for (const [at, words] of ticks) {
        const room = draw.measureText(words).width;
        const left = Math.min(Math.max(at - room / 2, 2), width - room - 2);
        if (left < free) continue;
        draw.fillText(words, left, 15);
        free = left + room + 8;
    }
}

function paintArrows(top) {
    const middle = (lane) => lane * LANE + AXIS - top + BAR_TOP + BAR / 2;
    const shown = arrows.slice(after(arrows, "end", view.begin - 1), after(arrows, "end", view.end))
        .filter(({ source, target }) => source !== target);
    const [ready, calls] = [true, false].map((is) =>
        shown.filter(({ kind }) => (kind === "ready") === is));
    const taken = new Map(); // the places of arrows to a lane
    for (const { begin, source, end, target, kind } of ready.length > ARROWS ? calls : [...calls, ...ready]) {
        const places = taken.get(target) || [];
        if (places.some((other) => Math.abs(other - x(end)) < ARROWS_APART)) continue;
        taken.set(target, [...places, x(end)]);
        const up = source > target ? 1 : -1, tip = middle(target) + up * BAR / 2;
        draw.strokeStyle = draw.fillStyle = kind === "ready" ? colours.quiet : colours.call;
        draw.lineWidth = 1.2;
        draw.beginPath();
        draw.moveTo(x(begin), middle(source));
        draw.lineTo(x(end), tip + up * 5);
        draw.stroke();
        draw.beginPath();
        draw.moveTo(x(end), tip);
        draw.lineTo(x(end) - 3.5, tip + up * 5);
        draw.lineTo(x(end) + 3.5, tip + up * 5);
        draw.fill();
    }
}

function paintLane(index, y) {
    const lane = data.lanes[index];
    if (index === chosen) {
        draw.fillStyle = colours.chosen;
        draw.globalAlpha = 0.08;
        draw.fillRect(0, y, width, LANE);
    }
    draw.globalAlpha = found.length && !lane.found ? 0.35 : 1;
    if (lane.line) {
        const [left, right] = lane.line.map((at) => Math.min(Math.max(x(at), 0), width));
        draw.fillStyle = colours.awake;
        if (lane.watch) draw.fillRect(left, y + STRIP - 1, right - left, 2);
        else draw.fillRect(left, y + BAR_TOP + BAR / 2 - 2, right - left, 4);
    }
    for (const kind of KINDS) paintBars(lane.items[kind], kind, y + BAR_TOP);
    for (const one of lane.items.mark) {
        if (x(one.begin) > -5 && x(one.begin) < width + 5)
            paintMark(draw, one.kind, x(one.begin), y + STRIP);
    }
    if (item && item.lane === index) outline(item, y, colours.chosen);
    draw.globalAlpha = 1;
}

function outline(one, y, colour) {
    draw.strokeStyle = colour;
    draw.lineWidth = 2;
    const left = x(one.begin) - 2, room = Math.max(x(one.end) - x(one.begin), one.mark ? 0 : COLUMN);
    if (one.mark) draw.strokeRect(left - 5, y + STRIP - 7, 14, 14);
    else draw.strokeRect(left, y + BAR_TOP - 2, room + 4, BAR + 4);
}

/* Narrow bars fill columns: one of them the whole column, several as much as their share of time. */
function paintBars(items, kind, y) {
    let column = -1, covered = 0, number = 0;
    const role = DRAWN_AS[kind] || kind;
    const flush = () => {
        if (!number) return;
        const share = number === 1 ? 1 : Math.min(Math.max(covered / COLUMN, LEAST), 1);
        draw.fillStyle = colours[role];
        draw.fillRect(column * COLUMN, y + (kind === "sleep" ? 0 : BAR * (1 - share)), COLUMN, BAR * share);
        covered = number = 0;
    };
    for (let i = after(items, "end", view.begin); i < items.length; i++) {
        const one = items[i];
        if (one.begin > view.end) break;
        const left = Math.max(x(one.begin), -10), right = Math.min(x(one.end), width + 10);
        if (right - left < COLUMN) {
            if (Math.floor(left / COLUMN) !== column) flush();
            column = Math.floor(left / COLUMN);
            covered += right - left;
            number++;
        } else {
            flush();
            draw.fillStyle = colours[role];
            draw.fillRect(left, y, right - left, BAR);
        }
        if (one.found) outline(one, y - BAR_TOP, colours.found);
        paintLabel(one, left, right, items[i + 1], y, role);
    }
    flush();
}

function paintLabel(one, left, right, next, y, role) {
    const inside = right - left > 24;
    const room = Math.min(next ? x(next.begin) : width, width) - right;
    if (!inside && (one.kind !== "handled" || room < 40)) return;
    const words = duration(one.end - one.begin);
    const name = one.name.split(" (")[0];
    const long = one.kind === "sleep" ? `asleep ${words}`
        : one.kind === "handler" ? `${name}: ${words}` : `${name} ${words}`;
    [left, right] = [Math.max(left, 0), Math.min(right, width)];
    for (const label of [long, words]) {
        const length = draw.measureText(label).width;
        if (length + 8 <= right - left) {
            draw.fillStyle = colours[`in-${role}`] || colours.text;
            draw.fillText(label, (left + right - length) / 2, y + 13);
            return;
        }
        if (one.kind === "handled" && length + 12 <= room) {
            draw.strokeStyle = colours.ground; // over an arrow that passes here
            draw.lineWidth = 3;
            draw.strokeText(label, right + 5, y + 13);
            draw.fillStyle = colours.quiet;
            draw.fillText(label, right + 5, y + 13);
            return;
        }
    }
}

function paintMark(draw, kind, x, y) {
    const { classes, path } = shapes[kind] || shapes.several;
    draw.save();
    draw.translate(x, y);
    draw.strokeStyle = colours.text;
    draw.lineWidth = 1.6;
    draw.fillStyle = classes.includes("call") ? colours.call
        : classes.includes("open") ? colours.ground : colours.text;
    draw.fill(path);
    if (classes.includes("open")) draw.stroke(path);
    draw.restore();
}

// ------------------------------------------------------------------ names, legend, colours

function fillNames() {
    const rows = data.lanes.map((lane, index) => {
        const row = document.createElement("div"), name = document.createElement("b");
        const more = document.createElement("i"), total = document.createElement("u");
        row.className = "lane";
        row.title = lane.more ? `${lane.name} (${lane.more})` : lane.name;
        name.textContent = lane.name;
        more.textContent = lane.more;
        total.textContent = lane.total;
        row.append(total, name, more);
        row.onclick = () => { choose(index); update(); };
        return row;
    });
    byId("names").append(...rows);
    byId("plot").style.height = `${data.lanes.length * LANE + AXIS}px`;
    if (!rows.length) details.textContent = "Nothing was recorded.";
}

function fillLegend() {
    const kinds = new Set(data.lanes.flatMap((lane) => [
        ...KINDS.filter((kind) => lane.items[kind].length).map((kind) => DRAWN_AS[kind] || kind),
        ...lane.items.mark.map((one) => one.kind), ...(lane.watch || !lane.line ? [] : ["awake"])]));
    if (arrows.length) kinds.add("arrow");
    const entries = data.legend.filter(([kind]) => kinds.has(kind) && kind !== "several");
    byId("legend").replaceChildren(...entries.map(([kind, words]) => {
        const entry = document.createElement("li"), swatch = document.createElement("canvas");
        swatch.width = swatch.height = 14;
        const draw = swatch.getContext("2d");
        draw.fillStyle = colours[kind] || colours.quiet;
        if (kind === "arrow") draw.fill(new Path2D("M7 1L10.5 6H7.6V14H6.4V6H3.5z"));
        else if (shapes[kind]) paintMark(draw, kind, 7, 7);
        else draw.fillRect(0, kind === "awake" ? 5 : 2, 14, kind === "awake" ? 4 : 10);
        entry.append(swatch, words);
        return entry;
    }));
}

function readColours() {
    const style = getComputedStyle(document.documentElement);
    for (const name of ["ground", "text", "quiet", "grid", "awake", "sleep", "in-sleep", "handler",
        "in-handler", "ready", "call", "found", "chosen"])
        colours[name] = style.getPropertyValue(`--${name}`);
    fillLegend();
    update();
}

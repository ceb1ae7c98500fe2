// A small line chart over the last minutes.

import { h, s } from "./dom.js";

const SPAN = 5 * 60_000;
const WIDTH = 300;
const HEIGHT = 72;

/**
 * A chart with its present values; pointing at it, or the arrow keys, show those of then.
 *
 * @param title what is drawn
 * @param series name, class and `value(sample)` of each line; null is a gap
 * @param options `format(value)`; `least`: the smallest full scale;
 *     `from`: where a logarithmic scale begins, for values of very different sizes
 */
export function chart(title, series, { format, least = 1, from = null }) {
    const readout = h("dl.readout");
    const top = h("span.top");
    const then = h("span.then");
    const drawing = s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
    const plot = h("div.plot", { tabindex: "0", role: "img" }, drawing, top);
    const element = h("figure.chart", { "data-own": "chart" },
        h("figcaption", null, title, then), readout, plot);
    let samples = [];
    let cursor = null;  // How many samples back; null for now.

    const draw = () => {
        const end = samples.at(-1)?.at ?? Date.now();
        const x = (sample) => WIDTH - ((end - sample.at) / SPAN) * WIDTH;
        const values = series.map((line) => samples.map(line.value));
        const full = niceScale(Math.max(least, ...values.flat().filter((value) => value !== null)));
        const part = (value) => (from === null ? value / full
            : Math.log(Math.max(value, from) / from) / Math.log(full / from));
        const y = (value) => HEIGHT - 1 - part(value) * (HEIGHT - 4);
        const lines = series.flatMap((line, index) => drawLine(line, samples, values[index], x, y, index === 0));
        const grid = [3, (HEIGHT + 2) / 2].map((height) => s("line", {
            class: "grid", x1: 0, x2: WIDTH, y1: height, y2: height }));
        const at = cursor === null ? null : samples.at(-1 - cursor);
        const mark = at ? [s("line", { class: "cursor", x1: x(at), x2: x(at), y1: 0, y2: HEIGHT })] : [];
        drawing.replaceChildren(...grid, ...lines, ...mark);
        top.textContent = format(full);
        tellValues(at ?? samples.at(-1), at);
    };

    const tellValues = (sample, isThen) => {
        const parts = series.map((line) => {
            const value = sample ? line.value(sample) : null;
            return [line, value === null ? "–" : format(value)];
        });
        readout.replaceChildren(...parts.map(([line, text]) => h("div", { class: line.class },
            h("dt", null, line.name), h("dd", null, text))));
        then.textContent = isThen
            ? new Date(sample.at).toLocaleTimeString("en-GB") : "";
        plot.setAttribute("aria-label", `${title}, last 5 minutes: ${
            parts.map(([line, text]) => `${line.name} ${text}`).join(", ")}`);
    };

    const move = (to) => {
        cursor = to === null || to < 0 ? null : Math.min(to, samples.length - 1);
        draw();
    };
    plot.addEventListener("pointermove", (event) => {
        const box = plot.getBoundingClientRect();
        const end = samples.at(-1)?.at ?? 0;
        const time = end - (1 - (event.clientX - box.left) / box.width) * SPAN;
        let nearest = 0;
        samples.forEach((sample, index) => {
            if (Math.abs(sample.at - time) < Math.abs(samples[nearest].at - time)) nearest = index;
        });
        move(samples.length - 1 - nearest);
    });
    plot.addEventListener("pointerleave", () => move(null));
    plot.addEventListener("blur", () => move(null));
    plot.addEventListener("keydown", (event) => {
        if (event.key === "ArrowLeft") move((cursor ?? 0) + 1);
        else if (event.key === "ArrowRight") move(cursor === null ? null : cursor - 1);
        else return;
        event.preventDefault();
    });

    return {
        element,
        update(next) {
            samples = next.filter((sample) => sample.at > (next.at(-1)?.at ?? 0) - SPAN);
            draw();
        },
    };
}

/** The line, and below the first one its area. */
function drawLine(line, samples, values, x, y, hasArea) {
    const runs = [];
    let run = [];
    values.forEach((value, index) => {
        if (value === null) {
            runs.push(run);
            run = [];
        } else {
            run.push(`${x(samples[index]).toFixed(1)},${y(value).toFixed(1)}`);
        }
    });
    runs.push(run);
    return runs.filter((each) => each.length).flatMap((each) => {
        const points = each.length === 1 ? [each[0], each[0]] : each;
        const path = `M${points.join("L")}`;
        const left = points[0].split(",")[0];
        const right = points.at(-1).split(",")[0];
        const area = s("path", { class: `area ${line.class}`, d: `${path}L${right},${HEIGHT}L${left},${HEIGHT}Z` });
        const stroke = s("path", { class: `line ${line.class}`, d: path });
        return hasArea ? [area, stroke] : [stroke];
    });
}

/** The next of 1, 2, 5, 10, … */
function niceScale(value) {
    const power = 10 ** Math.floor(Math.log10(value));
    return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value * 0.999);
}

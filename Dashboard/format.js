// Numbers, times and durations as a person reads them.

import { h } from "./dom.js";

const plain = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** 1,234,567 */
export function count(value) {
    return plain.format(value ?? 0);
}

/** 1.2M, for places where little room is. */
export function brief(value) {
    if (value === 0 || Math.abs(value) >= 100) return short.format(Math.round(value));
    return String(Number(value.toPrecision(2)));
}

/** 340 ms, 1.24 s, 3 min 20 s, 2 h 5 min, 3 d 4 h */
export function duration(seconds) {
    if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return "–";
    if (seconds < 0) seconds = 0;
    if (seconds < 0.0005) return "< 1 ms";
    if (seconds < 0.0995) return `${Number((seconds * 1000).toPrecision(2))} ms`;
    if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
    if (seconds < 9.995) return `${seconds.toFixed(2)} s`;
    if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
    const steps = [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]];
    for (const [unit, name, part, partName] of steps) {
        if (seconds < unit) continue;
        const rest = Math.floor((seconds % unit) / part);
        return `${Math.floor(seconds / unit)} ${name}${rest ? ` ${rest} ${partName}` : ""}`;
    }
    return "";
}

/** Seconds from one RFC 3339 time to another, which is now when it is not there. */
export function between(from, to) {
    if (!from) return null;
    return ((to ? Date.parse(to) : Date.now()) - Date.parse(from)) / 1000;
}

/** How long it has been since then, which goes on by itself while it is shown. */
export function since(from) {
    return h("span", { "data-since": from }, duration(between(from)));
}

/** Brings all of those up to date. */
export function tick() {
    for (const each of document.querySelectorAll("[data-since]")) {
        each.textContent = duration(Math.floor(between(each.dataset.since)));
    }
}

/** A moment: the time today, else the day too; all of it when pointed at. */
export function moment(text) {
    if (!text) return "–";
    const time = new Date(text);
    const isToday = time.toDateString() === new Date().toDateString();
    const day = isToday ? {} : { month: "short", day: "numeric" };
    const shown = time.toLocaleString("en-GB", {
        ...day, hour: "2-digit", minute: "2-digit", second: "2-digit" });
    return h("time", { datetime: text, title: `${time.toLocaleString()} (${text})` }, shown);
}

export function bytes(value) {
    if (value < 1000) return `${value} B`;
    const power = Math.min(3, Math.floor(Math.log10(value) / 3));
    return `${Number((value / 1000 ** power).toPrecision(3))} ${["B", "kB", "MB", "GB"][power]}`;
}

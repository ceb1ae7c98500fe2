// The items of a map as a grid that fills, a cell an item or, of many, a cell for some.

import { call, lines } from "./api.js";
import { h } from "./dom.js";
import { count } from "./format.js";
import { members, pretty } from "./json.js";
import { visible, whileVisible } from "./live.js";
import { empty, failure, hasEnded } from "./parts.js";

/** Items of which each is looked at; a map of more has its numbers and its failures. */
const MOST = 20_000;
const CELLS = 1_000;
const FAILURES = 50;
const [WAITS, DONE, FAILED] = [0, 1, 2];

export function itemGrid(path, signal) {
    const grid = h("div.grid", { role: "listbox", tabindex: "0", "aria-label": "Items" });
    const detail = h("div.detail", { "aria-live": "polite" });
    const failures = h("div.failures");
    const note = h("span.soft");
    const element = h("section.items", { "data-key": "items", "data-own": "items" },
        h("h2", null, "Items ", note), grid, detail, failures);
    let total = null;
    let states = null;
    let cells = [];
    let perCell = 1;
    let chosen = -1;
    let isReading = false;
    let read = null;  // The attempt whose items have all been read.

    const begin = (job) => {
        total = job.items;
        perCell = Math.max(1, Math.ceil(total / CELLS));
        states = new Uint8Array(total);
        cells = total > MOST ? [] : Array.from({ length: Math.ceil(total / perCell) },
            (_, index) => h("i", { role: "option", id: `item-${index}` }));
        grid.replaceChildren(...cells);
        grid.hidden = !cells.length;
        cells.forEach((_, index) => draw(index));
        note.textContent = cells.length ? (perCell > 1 ? `${perCell} to a cell` : "")
            : "too many to show each; the failed ones are named when it has ended";
    };

    /** Shows a cell as its items stand. */
    const draw = (index) => {
        const part = states.subarray(index * perCell, Math.min(total, (index + 1) * perCell));
        const done = part.filter((state) => state !== WAITS).length;
        const name = part.includes(FAILED) ? "failed" : done === part.length ? "succeeded"
            : done ? "part" : "";
        const cell = cells[index];
        if (cell.className !== name) cell.className = name;
        const items = perCell === 1 ? `Item ${index}` : `Items ${index * perCell} to ${
            Math.min(total, (index + 1) * perCell) - 1}`;
        cell.setAttribute("aria-label", `${items}: ${{ part: "partly done", "": "not done" }[name] ?? name}`);
    };

    /** Notes one line of the answer. */
    const take = (line, changed) => {
        const index = Number(/^\{"index":(\d+)/.exec(line)[1]);
        const hasFailed = line.startsWith(`{"index":${index},"error":`);
        states[index] = hasFailed ? FAILED : DONE;
        changed.add(Math.floor(index / perCell));
        if (hasFailed && failures.children.length < FAILURES) failures.append(failed(JSON.parse(line)));
    };

    const readAll = async (job) => {
        const onlyFailed = !cells.length;
        const address = onlyFailed ? `${path}/items?state=failed` : `${path}/items?order=completion`;
        await visible(signal);
        const stop = whileVisible(signal);
        const changed = new Set();
        let frame = 0;
        const flush = () => {
            frame = 0;
            if (cells.length) changed.forEach(draw);
            changed.clear();
        };
        try {
            const response = await call("GET", address, { signal: stop.signal });
            failures.replaceChildren();
            for await (const line of lines(response)) {
                take(line, changed);
                frame ||= requestAnimationFrame(flush);
                if (onlyFailed && failures.children.length >= FAILURES) break;
            }
            if (hasEnded(job.state)) read = job.attempt;
        } catch (problem) {
            if (problem.status === 410) {
                failures.replaceChildren(empty("The results were kept as long as was asked, and are gone."));
                read = job.attempt;
            }
            // Else it was cut, and the next look at the job begins anew.
        } finally {
            stop.abort();
        }
    };

    const choose = async (index) => {
        if (!cells[index]) return;
        cells[chosen]?.removeAttribute("aria-selected");
        chosen = index;
        cells[index].setAttribute("aria-selected", "true");
        grid.setAttribute("aria-activedescendant", cells[index].id);
        const label = cells[index].getAttribute("aria-label");
        const first = index * perCell;
        detail.replaceChildren(h("p", null, label));
        const wanted = perCell === 1 ? first
            : first + Math.max(0, states.subarray(first, first + perCell).findIndex((each) => each !== WAITS));
        if (states[wanted] === WAITS) return;
        try {
            const response = await call("GET", `${path}/items?from=${wanted}&wait=0.1`, { signal });
            for await (const line of lines(response)) {
                const { index: at, error, result } = members(line);
                if (chosen === index) {
                    detail.replaceChildren(h("p", null, label, perCell > 1 ? `; item ${at}:` : ""),
                        error ? failed(JSON.parse(line)) : pretty(result, 20_000));
                }
                break;
            }
        } catch (problem) {
            if (!signal.aborted) detail.append(failure(problem));
        }
    };
    grid.addEventListener("click", (event) => choose(cells.indexOf(event.target)));
    grid.addEventListener("keydown", (event) => {
        const wide = cells.findIndex((cell) => cell.offsetTop > cells[0].offsetTop);
        const columns = wide < 0 ? cells.length : wide;
        const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns };
        const to = event.key === "Home" ? 0 : event.key === "End" ? cells.length - 1
            : event.key in steps ? Math.max(0, Math.min(cells.length - 1, chosen + steps[event.key])) : null;
        if (to === null) return;
        event.preventDefault();
        choose(to);
        cells[to].scrollIntoView({ block: "nearest" });
    });

    return {
        element,
        /** Told at each look at the job. */
        async update(job) {
            if (total === null || (read !== null && read !== job.attempt)) {
                read = null;
                begin(job);
            }
            const isDue = cells.length ? true : hasEnded(job.state) && job.progress.failed > 0;
            if (isReading || read === job.attempt || !isDue) return;
            isReading = true;
            await readAll(job);
            isReading = false;
        },
    };
}

function failed({ index, error }) {
    return h("details", null,
        h("summary", null, h("b", null, `Item ${count(index)}`), " ",
            h("span.bad", null, `${error.type}: ${error.message}`)),
        h("pre", { tabindex: "0" }, error.traceback?.trimEnd() ?? error.reason));
}

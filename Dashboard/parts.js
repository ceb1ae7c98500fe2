// Pieces that several pages show.

import { h } from "./dom.js";
import { count } from "./format.js";

export const STATES = ["queued", "running", "cancelling", "succeeded", "failed", "cancelled"];

export function hasEnded(state) {
    return state === "succeeded" || state === "failed" || state === "cancelled";
}

/** A state, by colour and by word. */
export function badge(state) {
    return h("span.state", { class: state }, state);
}

/** Done, failed and under way of a map, with the numbers. */
export function progressBar({ total, done, failed = 0, running = 0 }, label = "Progress") {
    const bar = h("div.bar", {
        role: "progressbar", "aria-label": label, "aria-valuemin": "0", "aria-valuemax": String(total),
        "aria-valuenow": String(done), "aria-valuetext": `${done} of ${total}, ${failed} failed` });
    const part = (name, value) => {
        const piece = h("i", { class: name });
        piece.style.width = `${total ? (100 * value) / total : 0}%`;
        return piece;
    };
    bar.append(part("succeeded", done - failed), part("failed", failed),
        part("running", Math.min(running, total - done)));
    return bar;
}

/** Slots of a pool in use; a call given to a worker ahead of its turn has none yet. */
export function inUse({ running, slots }) {
    return Math.min(running, slots);
}

/** How much of something is in use. */
export function loadBar(used, size, label) {
    return progressBar({ total: size, done: 0, running: used }, label);
}

/** Something to read instead of what could not be shown. */
export function failure(problem) {
    return h("p.notice.bad", { role: "alert" }, problem.message);
}

export function empty(...text) {
    return h("p.empty", null, ...text);
}

/** A line at the foot of the page that goes away. */
export function tell(text, kind = "") {
    const line = h("p", { class: kind }, text);
    document.getElementById("notices").append(line);
    setTimeout(() => line.remove(), 6_000);
}

/** Does what a button says, and tells when that fails. */
export async function act(button, action) {
    button.disabled = true;
    try {
        await action();
    } catch (problem) {
        tell(problem.message, "bad");
    } finally {
        button.disabled = false;
    }
}

/** Asks in a dialog; resolves with whether the answer was yes. */
export function confirm(question, yes) {
    return new Promise((resolve) => {
        const dialog = h("dialog", { onclose: () => { dialog.remove(); resolve(dialog.returnValue === "yes"); } },
            h("form", { method: "dialog" },
                h("p", null, question),
                h("div.actions", null,
                    h("button", { value: "no" }, "Keep it"),
                    h("button.danger", { value: "yes" }, yes))));
        document.body.append(dialog);
        dialog.showModal();
    });
}

/** The field for the server's token; resolves with what was typed. */
export function askForToken(isWrong) {
    return new Promise((resolve) => {
        const field = h("input", {
            type: "password", id: "token", required: true, autocomplete: "current-password",
            spellcheck: "false" });
        const dialog = h("dialog.token", { oncancel: (event) => event.preventDefault() },
            h("form", { method: "dialog", onsubmit: () => { dialog.remove(); resolve(field.value.trim()); } },
                h("h2", null, "This server wants its token"),
                isWrong ? h("p.bad", { role: "alert" }, "That was not it.") : null,
                h("label", { for: "token" }, "Token"), field,
                h("p.soft", null, "It is kept until this tab is closed."),
                h("div.actions", null, h("button.main", null, "Go on"))));
        document.body.append(dialog);
        dialog.showModal();
    });
}

/** A table that becomes cards on a narrow screen. */
export function table(label, heads, rows, kind = "") {
    return h("div.scroll", { "data-key": label }, h("table", { "aria-label": label, class: kind },
        h("thead", null, h("tr", null, heads.map((head) => h("th", {
            scope: "col", class: head.startsWith("#") ? "number" : null }, head.replace("#", ""))))),
        h("tbody", null, rows)));
}

/** "3 jobs", "1 job" */
export function counted(number, one) {
    return `${count(number)} ${one}${number === 1 ? "" : "s"}`;
}

// What a job printed, and goes on printing.

import { call, pieces } from "./api.js";
import { h } from "./dom.js";
import { visible, whileVisible } from "./live.js";

/** Characters that stay on the page; the server keeps about as many. */
const MOST = 1_000_000;

/** A panel that is there once the job has printed something. */
export function logPanel(path, signal) {
    const text = h("pre.log", { tabindex: "0", role: "log", "aria-label": "Log" });
    const element = h("section", { "data-key": "log", "data-own": "log", hidden: true },
        h("h2", null, "Log"), text);
    let isFollowing = false;

    const add = (piece) => {
        const isAtEnd = text.scrollHeight - text.scrollTop - text.clientHeight < 24;
        element.hidden = false;
        text.append(piece);
        if (text.textContent.length > MOST) text.textContent = text.textContent.slice(-MOST / 2);
        if (isAtEnd) text.scrollTop = text.scrollHeight;
    };

    const follow = async () => {
        if (isFollowing) return;
        isFollowing = true;
        let isOver = false;
        while (!isOver && !signal.aborted) {
            await visible(signal);
            const stop = whileVisible(signal);
            try {
                const response = await call("GET", `${path}/logs?follow=1`, { signal: stop.signal });
                text.replaceChildren();
                for await (const piece of pieces(response)) add(piece);
                isOver = true;
            } catch {
                // Told from the beginning when the page is looked at again; else there is no log.
                isOver = !stop.signal.aborted;
            }
            stop.abort();
        }
        isFollowing = false;
    };
    return { element, follow };
}

// What the server counts, as it tells Prometheus.

const LINE = /^(\w+)(?:\{(.*)\})? (\S+)$/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

export class Metrics {
    #values = [];

    constructor(text) {
        for (const line of text.split("\n")) {
            const found = LINE.exec(line);
            if (!found) continue;
            const labels = Object.fromEntries([...(found[2] ?? "").matchAll(LABEL)].map(
                ([, name, value]) => [name, value]));
            this.#values.push({ name: found[1], labels, value: Number(found[3]) });
        }
    }

    /** All values of a name together, or of those with some labels; undefined ones do not count. */
    sum(name, wanted = {}) {
        const given = Object.entries(wanted).filter(([, value]) => value !== undefined);
        return this.#values.filter((each) => each.name === name
            && given.every(([label, value]) => each.labels[label] === value))
            .reduce((total, each) => total + each.value, 0);
    }

    /** Upper bound and count of each bucket of a histogram, over all its labels, in order. */
    buckets(name) {
        const counts = new Map();
        for (const each of this.#values) {
            if (each.name !== `${name}_bucket`) continue;
            const bound = each.labels.le === "+Inf" ? Infinity : Number(each.labels.le);
            counts.set(bound, (counts.get(bound) ?? 0) + each.value);
        }
        return [...counts].sort(([a], [b]) => a - b);
    }
}

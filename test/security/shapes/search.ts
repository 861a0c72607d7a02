/**
 * A search for the shapes that cost a server most. Every method on every face comes first. After that a bandit picks a
 * kind of cost, changes one of the worst shapes of that kind, and keeps the change where it costs more. Shapes with the
 * highest costs run for longer at the end.
 */
import { type Cost, faults, measureShape } from './measure.ts';
import { changed, described, ERAS, METHODS, type Random, randomShape, type Shape } from './shape.ts';

/** Fewer bytes on the wire are counted as so many: a ratio of nothing says nothing. */
const LEAST_WIRE = 100_000;
const wire = ({ sent }: Cost): number => Math.max(sent.bytes, LEAST_WIRE);

/** What a search tries to make large. */
const COSTS: Readonly<Record<string, (cost: Cost) => number>> = {
  'heap bytes': (cost) => cost.heapBytes,
  'heap bytes per byte on the wire': (cost) => cost.heapBytes / wire(cost),
  'heap bytes that no row has': (cost) => cost.heapBytes - cost.chargedBytes,
  'bytes held when the client has left': (cost) => cost.leftUncharged,
  'µs of CPU per byte on the wire': (cost) => cost.cpuUs / wire(cost),
  'ms of the longest block': (cost) => cost.blockMs,
  'ms that the other user waits': (cost) => cost.witness.p99Ms,
};
const NAMES = Object.keys(COSTS);

export interface Finding {
  readonly shape: Shape;
  readonly faults: readonly string[];
}

interface Found {
  readonly shape: Shape;
  readonly cost: Cost;
}

export interface SearchOptions {
  readonly random: Random;
  /** When the search ends, a time of `performance.now()`. */
  readonly until: number;
  readonly attackMs: number;
  readonly longMs: number;
  /** A bound of the other user's p99; `Infinity` where the machine may be busy. */
  readonly p99Ms: number;
  readonly out: (line: string) => void;
}

/** Parts of the time. */
const FIRST_ROUND = 0.35;
const LAST_ROUND = 0.2;
const KEPT = 3;
const FRESH = 0.15;

export class Search {
  readonly #options: SearchOptions;
  readonly #worst = new Map<string, Found[]>(NAMES.map((name) => [name, []]));
  readonly #tries = new Map<string, { tried: number; better: number }>();
  readonly #started = performance.now();
  readonly findings: Finding[] = [];
  measured = 0;

  constructor(options: SearchOptions) {
    this.#options = options;
  }

  async run(): Promise<void> {
    const { random, until } = this.#options;
    const whole = until - this.#started;
    const first = this.#started + whole * FIRST_ROUND;
    const last = until - whole * LAST_ROUND;
    for (const given of this.#everyMethod()) {
      if (performance.now() > first) break;
      await this.#try(randomShape(random, given));
    }
    while (performance.now() < last) await this.#climb();
    const longest = new Set([...this.#worst.values()].flatMap(([found]) => (found === undefined ? [] : [found.shape])));
    for (const shape of longest) {
      if (performance.now() < until) await this.#try(shape, this.#options.longMs);
    }
  }

  /** In an order that the seed decides. */
  #everyMethod(): Array<Partial<Shape>> {
    const { random } = this.#options;
    const all = ERAS.flatMap((era) =>
      METHODS[era].flatMap((method) => (['node', 'fetch'] as const).map((face) => ({ era, method, face }))),
    );
    return all
      .map((given) => ({ given, at: random() }))
      .toSorted((a, b) => a.at - b.at)
      .map(({ given }) => given);
  }

  async #climb(): Promise<void> {
    const { random } = this.#options;
    const name = this.#pick();
    const known = this.#worst.get(name) ?? [];
    const from = known[Math.floor(random() * known.length)];
    const fresh = from === undefined || random() < FRESH;
    const shape = fresh ? randomShape(random) : changed(from.shape, random).shape;
    const better = await this.#try(shape);
    const { tried, better: before } = this.#tries.get(name) ?? { tried: 0, better: 0 };
    this.#tries.set(name, { tried: tried + 1, better: before + (better ? 1 : 0) });
  }

  /** The kind of cost whose changes were worth most, or that was tried least (UCB1). */
  #pick(): string {
    const all = NAMES.map((name) => ({ name, ...(this.#tries.get(name) ?? { tried: 0, better: 0 }) }));
    const total = all.reduce((sum, { tried }) => sum + tried, 1);
    const worth = ({ tried, better }: { tried: number; better: number }): number =>
      tried === 0 ? Infinity : better / tried + Math.sqrt((2 * Math.log(total)) / tried);
    return all.reduce((best, one) => (worth(one) > worth(best) ? one : best)).name;
  }

  /** Whether it costs more than what was known, in any way. */
  async #try(shape: Shape, ms = this.#options.attackMs): Promise<boolean> {
    const cost = await measureShape(shape, ms);
    this.measured += 1;
    const found = faults(cost, this.#options.p99Ms);
    if (found.length > 0) await this.#confirm(shape, found, ms);
    let better = false;
    for (const [name, costOf] of Object.entries(COSTS)) {
      const known = this.#worst.get(name) ?? [];
      const worst = [...known, { shape, cost }].toSorted((a, b) => costOf(b.cost) - costOf(a.cost)).slice(0, KEPT);
      better ||= worst[0]?.shape === shape && worst[0].cost === cost;
      this.#worst.set(name, worst);
    }
    return better;
  }

  /** A machine that is busy with other things makes others wait, so a fault counts when it comes twice. */
  async #confirm(shape: Shape, first: readonly string[], ms: number): Promise<void> {
    const again = faults(await measureShape(shape, ms), this.#options.p99Ms);
    this.#options.out(
      `${described(shape)}\n  ${first.join('\n  ')}\n  a second time: ${again.join('; ') || 'nothing'}`,
    );
    if (again.length > 0) this.findings.push({ shape, faults: again });
  }

  /** The worst shape of each kind of cost. */
  get worst(): Array<{ readonly name: string; readonly value: number; readonly shape: Shape; readonly cost: Cost }> {
    return NAMES.flatMap((name) =>
      (this.#worst.get(name) ?? [])
        .slice(0, 1)
        .map((found) => ({ name, value: COSTS[name]?.(found.cost) ?? 0, ...found })),
    );
  }
}

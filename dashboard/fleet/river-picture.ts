/**
 * The picture over the lanes: where the sessions are, in the last minute. One px of height is the same number of
 * sessions in every lane and in the store. A process that stops cuts its band; what it had falls to the store, and then
 * rises, a line a second, to where requests arrive.
 */
import { clock, count } from '../format.ts';
import { type Bin, type LaneBin, WINDOW_MS } from '../state/minute.ts';
import { endWord } from './words.ts';
import type { Lane } from '../state/lanes.ts';
import { along, area, d, Picture, type Shape } from './shapes.ts';

/** A cell of the table that is drawn over, in px from the corner of the picture. */
export interface Cell {
  readonly x: number;
  readonly y: number;
  readonly wide: number;
  readonly tall: number;
}

export interface RiverData {
  /** One for each lane, then that of the store. */
  readonly cells: readonly Cell[];
  readonly narrow: boolean;
  readonly lanes: readonly Lane[];
  readonly bins: readonly Bin[];
  readonly now: number;
  /** A time that is pointed at. */
  readonly cursor: number | undefined;
}

export interface Field {
  readonly x0: number;
  readonly width: number;
  readonly top: number;
  readonly bottom: number;
}

export function fieldOf(cells: readonly Cell[]): Field | undefined {
  const [first, last] = [cells[0], cells.at(-1)];
  if (first === undefined || last === undefined) return undefined;
  return { x0: first.x + 8, width: first.wide - 20, top: first.y, bottom: last.y + last.tall };
}

const stored = (bin: Bin): number => (bin.hibernated ?? 0) + (bin.left ?? 0);

class River {
  readonly #data: RiverData;
  readonly #picture = new Picture();
  /** Where words are. */
  readonly #words: { readonly y: number; readonly from: number; readonly to: number }[] = [];
  readonly #field: Field;
  readonly #store: Cell;
  readonly #usable: number;
  readonly #scale: number;
  readonly #topRate: number;

  constructor(data: RiverData, field: Field) {
    this.#data = data;
    this.#field = field;
    const { cells, bins, lanes, narrow } = data;
    this.#store = cells.at(-1) as Cell;
    this.#usable = (cells[0] as Cell).tall - (narrow ? 12 : 18);
    const all = bins.flatMap((bin) => [...bin.lanes.values()]);
    const most = Math.max(1, ...all.map(({ sessions = 0 }) => sessions));
    const mean = Math.max(1, ...bins.map((bin) => this.#live(bin))) / Math.max(1, lanes.length);
    const lanesScale = this.#usable / Math.max(most * 1.06, mean * 1.45);
    const left = Math.max(0, ...bins.map(stored));
    // A store with very many hibernated sessions must not make every lane a hairline: its band ends at its row.
    this.#scale = Math.max(Math.min(lanesScale, (this.#store.tall - 10) / Math.max(1, left)), lanesScale / 4);
    this.#topRate = Math.max(1, ...all.map(({ calls }) => calls));
  }

  #live(bin: Bin): number {
    return [...bin.lanes.values()].reduce((sum, { sessions = 0 }) => sum + sessions, 0);
  }

  #x(at: number): number {
    return this.#field.x0 + this.#field.width * (1 - (this.#data.now - at) / WINDOW_MS);
  }

  #cell(k: number): Cell {
    return this.#data.cells[k] as Cell;
  }

  #mid(k: number): number {
    return this.#cell(k).y + this.#usable / 2 + (this.#data.narrow ? 1 : 3);
  }

  #storeHalf(bin: Bin): number {
    return Math.min((stored(bin) * this.#scale) / 2, this.#store.tall / 2 - 4);
  }

  #storeTop(bin: Bin): number {
    return this.#store.y + this.#store.tall / 2 - this.#storeHalf(bin);
  }

  draw(): Shape[] {
    this.#grid();
    this.#falls();
    this.#rises();
    this.#data.lanes.forEach((lane, k) => this.#lane(lane, k));
    this.#storeBand();
    this.#data.lanes.forEach((lane, k) => this.#marks(lane, k));
    this.#cursor();
    return this.#picture.shapes;
  }

  #grid(): void {
    const { now } = this.#data;
    const { top, bottom } = this.#field;
    for (let seconds = 0; seconds <= 60; seconds += 15) {
      const x = this.#x(now - seconds * 1000);
      this.#picture.path('grid', d`M${x} ${top}V${bottom}`);
      const anchor = seconds === 0 ? 'end' : seconds === 60 ? 'start' : 'middle';
      const text = seconds === 0 ? 'now' : `${seconds} s${seconds === 60 ? ' ago' : ''}`;
      this.#picture.write(x, bottom + 16, text, '', anchor);
    }
  }

  /** A stopped instance leaves its sessions in the store. */
  #falls(): void {
    const { bins, lanes, narrow } = this.#data;
    lanes.forEach(({ name }, k) => {
      for (const bin of bins) {
        const fallen = bin.lanes.get(name)?.fallen ?? 0;
        if (fallen === 0) continue;
        const thick = Math.max(1, Math.min(fallen * this.#scale, this.#usable));
        const low = bins.find(({ at, left = 0 }) => at >= bin.at && left > 0) ?? bin;
        const [xa, xb] = [this.#x(bin.at), this.#x(bin.at) + (narrow ? 18 : 46)];
        const [ya, yb, xm] = [this.#mid(k) - thick / 2, this.#storeTop(low), (xa + xb) / 2];
        const end = Math.min(thick, Math.max(1, this.#storeHalf(low) * 2));
        this.#picture.path(
          'fall',
          d`M${xa} ${ya}C${xm} ${ya} ${xm} ${yb} ${xb} ${yb}V${yb + end}C${xm} ${yb + end} ${xm} ${ya + thick} ${xa} ${ya + thick}Z`,
        );
      }
    });
  }

  /** A session continues where its next request arrives. */
  #rises(): void {
    const { bins, lanes, narrow } = this.#data;
    for (let b = 1; b < bins.length; b += 2) {
      const [before, bin] = [bins[b - 1] as Bin, bins[b] as Bin];
      lanes.forEach(({ name }, k) => {
        const lane = bin.lanes.get(name);
        const moves = (lane?.moves ?? 0) + (before.lanes.get(name)?.moves ?? 0);
        if (moves === 0 || lane === undefined) return;
        const [xa, xb] = [this.#x(bin.at), this.#x(bin.at) + (narrow ? 12 : 34)];
        const [ya, yb, xm] = [this.#storeTop(bin), this.#mid(k) + this.#half(lane), (xa + xb) / 2];
        this.#picture.path(
          'rise',
          d`M${xa} ${ya}C${xm} ${ya} ${xm} ${yb} ${xb} ${yb}`,
          Math.max(0.8, moves * this.#scale),
        );
      });
    }
  }

  #half({ sessions = 0 }: LaneBin): number {
    return Math.max(0.75, (sessions * this.#scale) / 2);
  }

  /** One band for each process that had the lane. */
  #bands(name: string): Bin[][] {
    const bands: Bin[][] = [];
    let id: string | undefined;
    for (const bin of this.#data.bins) {
      const lane = bin.lanes.get(name);
      // A process that has not said its sessions yet has no band.
      const isKnown = lane !== undefined && lane.state !== 'gone' && lane.sessions !== undefined;
      const next = isKnown ? lane.id : undefined;
      if (next !== undefined) {
        if (next !== id) bands.push([]);
        bands.at(-1)?.push(bin);
      }
      id = next;
    }
    return bands;
  }

  #lane({ name }: Lane, k: number): void {
    const [y, cell, picture] = [this.#mid(k), this.#cell(k), this.#picture];
    const floor = cell.y + cell.tall - 4;
    const laneOf = (bin: Bin): LaneBin => bin.lanes.get(name) as LaneBin;
    for (const band of this.#bands(name)) {
      const last = band.at(-1) as Bin;
      const end = last === this.#data.bins.at(-1) ? this.#field.x0 + this.#field.width : this.#x(last.at + 500);
      const points = [...band.map((bin) => [this.#x(bin.at), bin] as const), [end, last] as const];
      const above = (bin: Bin): number => y - this.#half(laneOf(bin));
      const below = (bin: Bin): number => y + this.#half(laneOf(bin));
      const border = (bin: Bin): number => Math.max(above(bin), below(bin) - laneOf(bin).moved * this.#scale);
      picture.path('own', area(points.map(([x, bin]) => [x, above(bin), border(bin)])));
      if (band.some((bin) => laneOf(bin).moved > 0))
        picture.path('got', area(points.map(([x, bin]) => [x, border(bin), below(bin)])));
      const quiet = points.filter(([, bin]) => laneOf(bin).state === 'silent');
      if (quiet.length > 1) picture.path('q', area(quiet.map(([x, bin]) => [x, above(bin), below(bin)])));
      picture.path('edge', `M${along(points.map(([x, bin]) => [x, above(bin)]))}`);
      picture.path('edge', `M${along(points.map(([x, bin]) => [x, below(bin)]))}`);
      this.#calls(points, laneOf, floor);
    }
    const waits = this.#data.bins.flatMap((bin) => {
      const waiting = bin.lanes.get(name)?.waiting ?? 0;
      return waiting === 0 ? [] : d`M${this.#x(bin.at) + 2} ${floor}v${-Math.min(13, 4 + Math.sqrt(waiting))}`;
    });
    if (waits.length > 0) picture.path('waits', waits.join(''));
  }

  /** Calls a second as a low area; calls that wait stand on it. */
  #calls(points: readonly (readonly [number, Bin])[], laneOf: (bin: Bin) => LaneBin, floor: number): void {
    if (this.#data.narrow || points.length < 2) return;
    const load = points.map(([x, bin], n) => {
      const before = points[n - 1]?.[1] ?? bin;
      const mean = (laneOf(bin).calls + laneOf(before).calls) / 2;
      return [x, floor - Math.min(12, (mean / this.#topRate) * 12), floor] as const;
    });
    this.#picture.path('calls', area(load));
    this.#picture.path('edge', `M${along(load.map(([x, top]) => [x, top]))}`);
  }

  #storeBand(): void {
    const { bins } = this.#data;
    const known = bins.filter(({ hibernated }) => hibernated !== undefined);
    const last = known.at(-1);
    if (last !== undefined) {
      const end = this.#field.x0 + this.#field.width;
      const points = [...known.map((bin) => [this.#x(bin.at), bin] as const), [end, last] as const];
      const floor = (bin: Bin): number => this.#storeTop(bin) + this.#storeHalf(bin) * 2;
      const border = (bin: Bin): number => Math.min(floor(bin), this.#storeTop(bin) + (bin.left ?? 0) * this.#scale);
      this.#picture.path('rest', area(points.map(([x, bin]) => [x, border(bin), floor(bin)])));
      if (known.some(({ left = 0 }) => left > 0))
        this.#picture.path('got', area(points.map(([x, bin]) => [x, this.#storeTop(bin), border(bin)])));
      this.#picture.path('edge', `M${along(points.map(([x, bin]) => [x, this.#storeTop(bin)]))}`);
      this.#picture.path('edge', `M${along(points.map(([x, bin]) => [x, floor(bin)]))}`);
    }
    const off = bins.filter(({ away }) => away);
    const [first, end] = [off[0], off.at(-1)];
    if (first === undefined || end === undefined) return;
    const { y, tall } = this.#store;
    const wide = this.#x(end.at) - this.#x(first.at) + 4;
    this.#picture.path('gap', d`M${this.#x(first.at)} ${y + 6}h${wide}v${tall - 12}h${-wide}z`);
  }

  /** Where a process ended or began. */
  #marks({ name, instance, goneAt }: Lane, k: number): void {
    const { bins } = this.#data;
    // The newest first: an older word gives way.
    for (const [b, bin] of [...bins.entries()].toReversed()) {
      const [own, before] = [bin.lanes.get(name), bins[b - 1]?.lanes.get(name)];
      const wasUp = before !== undefined && before.state !== 'gone';
      const isUp = own !== undefined && own.state !== 'gone';
      const hasEnded = wasUp && (!isUp || own.id !== before.id);
      if (hasEnded) {
        const isLast = own === undefined || own.id === before.id;
        // The word may come after the end, and before the next process of this name.
        const ends = bins.slice(b).flatMap(({ lanes }) => lanes.get(name) ?? []);
        const itsEnd = ends.findLast(({ id, end }) => id === before.id && end !== undefined)?.end;
        // The same process under another id: its lease had lapsed.
        const next = bins
          .slice(b)
          .find(({ lanes }) => (lanes.get(name)?.id ?? before.id) !== before.id)
          ?.lanes.get(name);
        const hasLapsed = next?.pid !== undefined && next.pid === before.pid;
        const known = itsEnd ?? (instance.id === before.id ? instance.end : undefined);
        const word = endWord(hasLapsed ? 'lapsed' : known);
        this.#ended(isLast ? (goneAt ?? bin.at) : bin.at, k, word, before.sessions ?? 0);
      }
      if (isUp && b > 0 && (!wasUp || own.id !== before.id))
        this.#tell(bin.at, k, this.#usable > 40 ? -20 : 4, `joined ${clock(bin.at)}`, 't2');
    }
  }

  #ended(at: number, k: number, word: string, sessions: number): void {
    const [x, y] = [this.#x(at), this.#mid(k)];
    this.#picture.path(
      'x',
      d`M${x} ${y - this.#usable / 2}V${y + this.#usable / 2}M${x - 5} ${y - 5}l10 10m0 -10l-10 10`,
    );
    const both = sessions > 0 && this.#usable > 40;
    this.#tell(at, k, both ? -3 : 4, `${word} ${clock(at)}`, 'tb');
    if (both) this.#tell(at, k, 13, `${count(sessions)} to the store`, 'tm');
  }

  #tell(at: number, k: number, dy: number, words: string, name: string): void {
    const { narrow } = this.#data;
    const [x, end] = [this.#x(at), this.#field.x0 + this.#field.width];
    const isLate = end - x < (narrow ? 96 : 140);
    const wide = words.length * 6.5;
    const from = isLate ? x - 10 - wide : x + 11;
    const y = this.#mid(k) + dy;
    if (this.#words.some((word) => Math.abs(word.y - y) < 12 && from < word.to && word.from < from + wide)) return;
    this.#words.push({ y, from, to: from + wide });
    this.#picture.write(isLate ? x - 10 : x + 11, y, words, name, isLate ? 'end' : 'start');
  }

  #cursor(): void {
    const { cursor } = this.#data;
    if (cursor === undefined) return;
    const { top, bottom } = this.#field;
    this.#picture.path('cursor', d`M${this.#x(cursor)} ${top}V${bottom}`);
    this.#picture.write(this.#x(cursor), bottom + 16, clock(cursor), 't', 'middle');
  }
}

export function riverShapes(data: RiverData): readonly Shape[] {
  const field = fieldOf(data.cells);
  // The table was measured before a lane came or went: the next measurement draws.
  if (field === undefined || data.cells.length !== data.lanes.length + 1) return [];
  return new River(data, field).draw();
}

/**
 * The deployment, as the pages that are open see it.
 *
 *     quiet ──the first page opens──▶ watched ──the last one closes, and 10 s──▶ quiet
 *
 * While it is watched, this instance reads the leases every second, asks every other instance once to report, and joins
 * the reports twice a second into what all pages get. While it is quiet nothing is asked, and what others said is
 * forgotten; each instance keeps what it collects about itself (`collector.ts`).
 */
import type { ChangedRow } from '../wire-pages.ts';
import type { FleetSnapshot, FleetEvent, FleetStore, HourBin, StoppedInstance, StopDropped } from '../wire.ts';
import type { ChangedRows } from './changed-rows.ts';
import type { NotedEvent } from './fleet-events.ts';
import { BINS, fleetBins } from './hour.ts';
import { joinedStops } from './joined-stops.ts';
import type { KnownInstances } from './known-instances.ts';
import { Latencies } from './latencies.ts';
import type { DashboardParts } from './parts-of-endpoint.ts';
import type { HearsReports, Peers } from './peers.ts';
import { nothingGot, type Report, type Reports } from './report.ts';
import type { SessionRows } from './session-rows.ts';
import { StoredCounts } from './stored-counts.ts';
import { newStop, type StopPart } from './stops.ts';
import { ToldEvents } from './told-events.ts';

const TICK_MS = 500;
const LEASES_MS = 1_000;
/** A page that is loaded again finds what was known. */
const LINGER_MS = 10_000;
const HOUR_MS = 3_600_000;
/** Those of 16 interruptions at 64 instances. */
const STOP_PARTS = 1_024;

/** What pages get. */
export interface FleetReader {
  fleet(json: string): void;
  event(event: FleetEvent): void;
  stop(stop: StoppedInstance): void;
  /** It is a part of another one. */
  stopDropped(stop: StopDropped): void;
  hour(bin: HourBin): void;
  rows(rows: readonly ChangedRow[]): void;
  readonly wantsRows: boolean;
  /** Its client has not left. */
  readonly isOpen: boolean;
}

/** In place of an instance: this one saw that a lease is gone. No call may have been touched by it. */
const SEEN = '';

export class Fleet implements HearsReports {
  readonly #parts: DashboardParts;
  readonly #reports: Reports;
  readonly #peers: Peers;
  readonly #rows: SessionRows;
  readonly #changed: ChangedRows;
  readonly #instances: KnownInstances;
  readonly #readers = new Set<FleetReader>();
  readonly #events: ToldEvents;
  /** What each instance knows of each stop. */
  readonly #stops = new Map<string, StopPart>();
  readonly #told = new Map<string, string>();
  readonly #bins = new Map<string, readonly HourBin[]>();
  readonly #counts: StoredCounts;
  #own = nothingGot();
  #ownRows = 0;
  #toldBin = 0;
  #leasesAt = -Infinity;
  #storeAwaySince: number | undefined;
  #quietAt: number | undefined;
  #timer: unknown;

  constructor(
    parts: DashboardParts,
    instances: KnownInstances,
    reports: Reports,
    peers: Peers,
    rows: SessionRows,
    changed: ChangedRows,
  ) {
    this.#parts = parts;
    this.#reports = reports;
    this.#peers = peers;
    this.#rows = rows;
    this.#changed = changed;
    this.#instances = instances;
    this.#events = new ToldEvents(instances);
    this.#counts = new StoredCounts(parts, rows);
  }

  get others(): readonly string[] {
    return this.#instances.others;
  }

  nameOf(id: string): string | undefined {
    return this.#instances.nameOf(id);
  }

  /** A page is open. It gets what is known of the last hour, and then all that is new. */
  async add(reader: FleetReader): Promise<void> {
    this.#quietAt = undefined;
    if (this.#timer === undefined) await this.#begin();
    if (!reader.isOpen) return this.delete(reader);
    this.#readers.add(reader);
    if (reader.wantsRows) return this.#peers.wantAll();
    this.#catchUp(reader);
    reader.fleet(JSON.stringify(this.#now()));
  }

  delete(reader: FleetReader): void {
    this.#readers.delete(reader);
    if (this.#readers.size === 0) this.#quietAt = this.#time.monotonic() + LINGER_MS;
  }

  /** Makes what the others say known, for a request that comes without a stream. */
  async look(): Promise<void> {
    if (this.#timer === undefined) await this.#begin();
    if (this.#readers.size === 0) this.#quietAt = this.#time.monotonic() + LINGER_MS;
  }

  stop(): void {
    this.#time.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#readers.clear();
  }

  // ——— HearsReports ———

  reported(from: string, report: Report): void {
    this.#instances.reported(from, report, this.#time.now());
    this.#take(from, report);
    this.#tellStops();
    // Its first report has its last hour, which changes the bins that pages have.
    if (report.bins.length > 1)
      for (const bin of fleetBins([...this.#bins.values()])) this.#each((reader) => reader.hour(bin));
  }

  left(from: string): void {
    this.#instances.ended(from, 'left');
  }

  rowsChanged(rows: readonly ChangedRow[]): void {
    for (const reader of this.#readers) if (reader.wantsRows) reader.rows(rows);
  }

  /** Readers of the fleet, not of rows. */
  #each(tell: (reader: FleetReader) => void): void {
    for (const reader of this.#readers) if (!reader.wantsRows) tell(reader);
  }

  get #time() {
    return this.#parts.options.timeProvider;
  }

  async #begin(): Promise<void> {
    this.#peers.read(this);
    this.#changed.use();
    this.#ownRows = this.#changed.now;
    await this.#readLeases();
    this.#tick();
  }

  #tick(): void {
    this.#time.clearTimeout(this.#timer);
    this.#timer = this.#time.setTimeout(() => this.#tick(), TICK_MS);
    const now = this.#time.monotonic();
    if (this.#quietAt !== undefined && now >= this.#quietAt) return this.#rest();
    if (now - this.#leasesAt >= LEASES_MS) void this.#readLeases();
    const self = this.#parts.instance.lease.id;
    const report = this.#reports.report(this.#own);
    this.#instances.reported(self, report, this.#time.now());
    this.#take(self, report);
    this.#tellStops();
    this.#tellBins();
    this.#counts.look(this.#instances.liveSessions);
    this.#tellRows();
    if (this.#readers.size === 0) return;
    const json = JSON.stringify(this.#now());
    this.#each((reader) => reader.fleet(json));
  }

  #rest(): void {
    this.#time.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#quietAt = undefined;
    this.#peers.read(undefined);
    if (!this.#peers.isWatched) {
      this.#reports.stop();
      this.#changed.rest();
    }
    this.#rows.clear();
    for (const map of [this.#events, this.#stops, this.#told, this.#bins]) map.clear();
    this.#instances.clear();
    this.#own = nothingGot();
    this.#counts.clear();
    [this.#leasesAt, this.#toldBin] = [-Infinity, 0];
  }

  async #readLeases(): Promise<void> {
    this.#leasesAt = this.#time.monotonic();
    try {
      this.#leasesChanged(this.#instances.update(await this.#parts.instance.leases(), this.#time.now()));
    } catch (err) {
      this.#parts.options.logger.debug({ err }, 'The dashboard cannot read which instances there are');
    }
    for (const event of this.#events.named()) this.#each((reader) => reader.event(event));
    const wantsRows = [...this.#readers].some((reader) => reader.wantsRows);
    if (this.#quietAt === undefined) this.#peers.watch(this.others, wantsRows, this.#instances.known);
  }

  #leasesChanged({ joined, gone }: ReturnType<KnownInstances['update']>): void {
    const now = this.#time.now();
    const by = this.#parts.instance.lease.id;
    for (const { id, at } of joined) {
      if (now - at < HOUR_MS) this.#takeEvent({ id: `joined.${id}`, at, kind: 'joined', instance: id, by, change: 0 });
    }
    for (const { id, end } of gone) {
      // The instance itself tells its drain.
      if (end === 'drained') continue;
      const kind = end === 'lapsed' ? 'lapsed' : end === 'left' ? 'other' : 'gone';
      this.#takeEvent({ id: `gone.${id}`, at: now, kind, instance: id, by, change: 0 });
      if (end !== 'left') this.#takeStop({ ...newStop(SEEN, 'gone', id, now), end });
    }
  }

  #take(from: string, { events, stops, bins }: Report): void {
    for (const noted of events) this.#takeEvent(noted);
    for (const part of stops) this.#takeStop(part);
    if (bins.length > 0) this.#bins.set(from, [...(this.#bins.get(from) ?? []), ...bins].slice(-BINS));
  }

  #takeStop(part: StopPart): void {
    this.#stops.set(`${part.by} ${part.kind} ${part.instance ?? ''} ${part.at}`, part);
    for (const [oldest] of this.#stops) if (this.#stops.size > STOP_PARTS) this.#stops.delete(oldest);
    const { end, instance } = part;
    if (instance !== undefined && (end === 'killed' || end === 'crashed')) this.#instances.ended(instance, end);
  }

  #takeEvent(noted: NotedEvent): void {
    const { kind, instance } = noted;
    if (kind === 'drained' && instance !== undefined) this.#instances.ended(instance, 'drained');
    const event = this.#events.take(noted);
    if (event !== undefined) this.#each((reader) => reader.event(event));
  }

  #joinedStops(): StoppedInstance[] {
    const parts = [...this.#stops.values()];
    return joinedStops(
      parts,
      (id) => this.nameOf(id),
      (id) => this.#instances.sessionsOf(id),
    );
  }

  #tellStops(): void {
    const stops = this.#joinedStops();
    for (const id of this.#told.keys()) {
      if (stops.some((stop) => stop.id === id)) continue;
      this.#told.delete(id);
      this.#each((reader) => reader.stopDropped({ id }));
    }
    for (const stop of stops) {
      const json = JSON.stringify(stop);
      if (this.#told.get(stop.id) === json) continue;
      this.#told.set(stop.id, json);
      this.#each((reader) => reader.stop(stop));
    }
  }

  /** Pages get each bin once. */
  #tellBins(): void {
    const all = [...this.#bins.values()];
    const newest = Math.max(0, ...all.map((bins) => bins.at(-1)?.at ?? 0));
    if (newest <= this.#toldBin) return;
    // The first page got them when it came.
    const told = this.#toldBin === 0 ? newest : this.#toldBin;
    this.#toldBin = newest;
    for (const bin of fleetBins(all)) if (bin.at > told) this.#each((reader) => reader.hour(bin));
  }

  #tellRows(): void {
    const changed = this.#changed.since(this.#ownRows);
    this.#ownRows = changed.now;
    if (changed.rows.length > 0) this.rowsChanged(changed.rows);
  }

  #catchUp(reader: FleetReader): void {
    for (const event of this.#events.all) reader.event(event);
    for (const stop of this.#joinedStops()) reader.stop(stop);
    for (const bin of fleetBins([...this.#bins.values()])) reader.hour(bin);
  }

  #now(): FleetSnapshot {
    const at = this.#time.now();
    const reports = this.#instances.reports;
    const latencies = joined(reports.map((report) => report.latencies));
    const { tasks } = this.#counts;
    const refused = reports.reduce((sum, report) => sum + report.refused.times, 0);
    return {
      at,
      instances: this.#instances.shown(at, this.#parts.health().store === 'away'),
      store: this.#store(reports, at),
      ...latencies,
      refused,
      reasons: new Set(reports.flatMap((report) => report.refused.reasons)).size,
      // A client may be known to several.
      clients: Math.max(0, ...reports.map((report) => report.clients)),
      ...(tasks !== undefined && { tasks }),
    };
  }

  #store(reports: readonly Report[], at: number): FleetStore {
    const { counts } = this.#counts;
    const isAway = this.#parts.health().store === 'away';
    this.#storeAwaySince = isAway ? (this.#storeAwaySince ?? at) : undefined;
    return {
      state: isAway ? 'away' : 'answers',
      ...(this.#storeAwaySince !== undefined && { since: this.#storeAwaySince }),
      ...joined(reports.map((report) => report.storeLatencies)),
      ...(counts !== undefined && { counts }),
    };
  }
}

function joined(all: readonly (readonly number[])[]): { readonly p50Ms?: number; readonly p99Ms?: number } {
  const latencies = new Latencies();
  for (const sparse of all) latencies.addAll(sparse);
  const [p50Ms, p99Ms] = [latencies.quantile(0.5), latencies.quantile(0.99)];
  return { ...(p50Ms !== undefined && { p50Ms }), ...(p99Ms !== undefined && { p99Ms }) };
}

/** The instances of the deployment, as a page is shown them: what their leases say, and what they report. */
import { BoundedMap } from '../../base/bounded-map.ts';
import type { InstanceLease } from '../../stores/store.ts';
import type { FleetInstance } from '../wire.ts';
import type { Report } from './report.ts';

/** A lease that is no longer there is shown for this long. */
const GONE_MS = 60_000;
/** An instance that reports twice a second and is quiet for so long does not answer. Most leases last longer. */
const SILENT_MS = 1_500;
/** Names stay known for the events of the last hour. */
const NAMES = 500;

interface Known {
  lease: InstanceLease;
  since: number;
  report: Report | undefined;
  heardAt: number;
  goneAt: number | undefined;
  end: FleetInstance['end'];
}

/** An id, how it is called, and its live sessions. */
export type KnownName = readonly [id: string, name: string, sessions: number | null];

interface Changes {
  readonly joined: { readonly id: string; readonly at: number }[];
  readonly gone: { readonly id: string; readonly end: FleetInstance['end'] }[];
}

export class KnownInstances {
  readonly #self: { readonly id: string };
  readonly #known = new Map<string, Known>();
  /** Since then reports can arrive. */
  #hearsAt = -Infinity;
  readonly #names = new Map<string, string>();
  /** Live sessions of others, as instances that died have told. */
  readonly #sessions = new BoundedMap<string, number>(NAMES);

  constructor(self: { readonly id: string }) {
    this.#self = self;
  }

  clear(): void {
    this.#known.clear();
  }

  /** Those with a lease, but not this one. */
  get others(): string[] {
    return [...this.#known].flatMap(([id, { goneAt }]) => (goneAt === undefined && id !== this.#self.id ? [id] : []));
  }

  get reports(): Report[] {
    return [...this.#known.values()].flatMap(({ report, goneAt }) =>
      report !== undefined && goneAt === undefined ? [report] : [],
    );
  }

  /** The sum over all that have a lease; `undefined`: one of them does not say. */
  get liveSessions(): number | undefined {
    let live = 0;
    for (const { report, goneAt } of this.#known.values()) {
      if (goneAt !== undefined) continue;
      if (report === undefined) return undefined;
      live += report.figures.sessions ?? 0;
    }
    return live;
  }

  reported(id: string, report: Report, now: number): void {
    const known = this.#known.get(id);
    if (known === undefined) return;
    known.report = report;
    known.heardAt = now;
  }

  /** The leases were read. Returns who is new, and who has left. */
  update(leases: readonly InstanceLease[], now: number): Changes {
    const changes: Changes = { joined: [], gone: [] };
    const listed = new Set(leases.map(({ id }) => id));
    for (const lease of leases) {
      const known = this.#known.get(lease.id);
      if (known === undefined) {
        changes.joined.push({ id: lease.id, at: lease.process?.startedAt ?? now });
        this.#known.set(lease.id, {
          lease,
          since: now,
          report: undefined,
          heardAt: now,
          goneAt: undefined,
          end: undefined,
        });
      } else {
        if (known.lease.state !== lease.state) known.since = now;
        known.lease = lease;
      }
    }
    for (const [id, known] of this.#known) {
      if (listed.has(id)) continue;
      if (known.goneAt !== undefined && now - known.goneAt > GONE_MS) this.#known.delete(id);
      if (known.goneAt !== undefined) continue;
      known.goneAt = now;
      known.since = now;
      known.end ??= this.#endOf(id, known, now);
      changes.gone.push({ id, end: known.end });
    }
    this.#name();
    return changes;
  }

  /** For other instances: how each is called, and how many sessions it has live. */
  get known(): readonly KnownName[] {
    return [...this.#known.keys()].map((id) => [id, this.nameOf(id) ?? id, this.sessionsOf(id) ?? null] as const);
  }

  /** What another instance knows. */
  learn(known: unknown): void {
    for (const [id, name, sessions] of (Array.isArray(known) ? known : []) as unknown[][]) {
      if (typeof id !== 'string' || typeof name !== 'string') continue;
      if (!this.#names.has(id)) this.#names.set(id, name);
      if (typeof sessions === 'number') this.#sessions.set(id, sessions);
    }
  }

  /** Another instance saw how it ended. */
  ended(id: string, end: FleetInstance['end']): void {
    const known = this.#known.get(id);
    if (known !== undefined && known.end !== 'drained') known.end = end;
  }

  nameOf(id: string): string | undefined {
    return this.#names.get(id);
  }

  /** Live sessions when it was last heard. */
  sessionsOf(id: string): number | undefined {
    return this.#known.get(id)?.report?.figures.sessions ?? this.#sessions.get(id);
  }

  /** `isStoreAway`: then no report arrives, which says nothing about who sends it. */
  shown(now: number, isStoreAway: boolean): FleetInstance[] {
    if (isStoreAway) this.#hearsAt = now;
    return [...this.#known]
      .toSorted(([, one], [, other]) => joinedAt(one) - joinedAt(other))
      .map(([id, known]) => this.#shown(id, known, now));
  }

  #shown(id: string, known: Known, now: number): FleetInstance {
    const { lease, report, since, heardAt, goneAt, end } = known;
    const isSilent = this.#reports(id, known) && now - Math.max(heardAt, this.#hearsAt) > SILENT_MS;
    const { host, pid, startedAt, runtime } = lease.process ?? {};
    const state = goneAt !== undefined ? 'gone' : isSilent ? 'silent' : lease.state;
    return {
      id,
      name: this.nameOf(id) ?? id,
      state,
      ...(state === 'gone' && end !== undefined && { end }),
      since: state === 'silent' ? heardAt : since,
      version: lease.version,
      ...(host !== undefined && { host }),
      ...(pid !== undefined && { pid }),
      ...(startedAt !== undefined && { startedAt }),
      ...(runtime !== undefined && { runtime }),
      ...(state === 'serving' || state === 'draining' ? report?.figures : {}),
    };
  }

  /** It has a dashboard: it has reported, here or to the instance that had the page before. */
  #reports(id: string, { report }: Known): boolean {
    return report !== undefined || this.#sessions.has(id);
  }

  /**
   * It answered until just now, so its lease had time left: another instance found it dead and removed the lease. An
   * instance that did not answer while its lease lasted was frozen or cut off, and the lease ran out.
   */
  #endOf(id: string, known: Known, now: number): FleetInstance['end'] {
    if (known.lease.state === 'draining') return 'drained';
    if (!this.#reports(id, known)) return undefined;
    return now - known.heardAt > SILENT_MS ? 'lapsed' : 'removed';
  }

  /** Its host, with its process id where several run there. A name stays: a reader knows the instance by it. */
  #name(): void {
    for (const [id, { lease }] of this.#known) {
      if (this.#names.has(id)) continue;
      const { host, pid } = lease.process ?? {};
      const present = [...this.#known].filter(([, { goneAt }]) => goneAt === undefined);
      const isAlone = present.filter(([, other]) => other.lease.process?.host === host).length === 1;
      const name = host === undefined ? id : isAlone ? host : `${host} ${pid}`;
      // One process may have several endpoints. A process that follows another one on its host has its name.
      const isTaken = present.some(([other]) => other !== id && this.#names.get(other) === name);
      this.#names.set(id, isTaken ? `${host} ${pid} ${id.slice(0, 4)}` : name);
    }
    for (const [id] of this.#names) {
      if (this.#names.size <= NAMES) break;
      if (!this.#known.has(id)) this.#names.delete(id);
    }
  }
}

const joinedAt = ({ lease, since }: Known): number => lease.process?.startedAt ?? since;

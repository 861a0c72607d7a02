/**
 * What the dashboard's page gets from its server, and asks of it. Types only: both sides import them. This file has
 * what a stream carries, `wire-pages.ts` what is asked for.
 *
 *     GET  api/stream                    `text/event-stream`: `hello`, then `event`, `stop`, `hour` of the last hour,
 *                                        then `fleet` twice a second, and the other three as they happen
 *     GET  api/stream?rows               only `rows`, twice a second: sessions that changed since the last one
 *     GET  api/sessions?cursor=          `SessionPage`: one part of a scan of the store
 *     GET  api/sessions/<hash>           `SessionDetail`; 404: unknown to the store
 *     GET  api/clients                   `SessionlessClients`
 *     GET  api/refusals                  `Refusals`
 *     GET  api/tasks?cursor=             `TaskPage`: one part of a scan of the store
 *     GET  api/running                   `RunningTasks`: what the owners of tasks know
 *     GET  api/tasks/<hash>              `TaskDetail`; 404: unknown to the store
 *     POST api/sessions/<hash>/end       `Done`
 *     POST api/sessions/<hash>/payloads  `PayloadsOn`
 *     POST api/instances/<id>/drain      `Done`
 *     POST api/tasks/<hash>/cancel       `Done`
 *
 * Addresses are relative to the page, which is served at `<prefix>/`, with the slash at its end. Each event of a stream
 * has its type as `event:` and one line of JSON as `data:`. A stream needs no position: what was missed is in the
 * `event`, `stop` and `hour` that each stream begins with, and the page knows them by `id` or `at`.
 *
 * The token is sent as `Authorization: Bearer`. A POST has the header `Sojourn-Dashboard: 1` and a body of JSON (`{}`).
 * 401: a token is missing or wrong; every failure has the body `Failure`.
 *
 * A member that is absent has no source here: the page shows `–`. Times (`at`, `…At`) are ms since 1970 by the clock of
 * the server that answers. `hash` is the 12-digit hash of the id of a session or a task, as in log lines. Raw ids are
 * never sent. `instance`, `owner`, `from`, `to`: ids of instances; `fleet` has what they are called.
 */

/** `event: hello`. Who answers, and what the page may do. */
export interface Hello {
  /** The instance that answers. */
  readonly instance: string;
  readonly version: string;
  /** The clock of the server: the page shows ages by it. */
  readonly at: number;
  /** The token that was sent allows actions. `false`: the page asks for one before the first action. */
  readonly mayAct: boolean;
  /** Where clients connect, such as `http://127.0.0.1:3000/mcp`, where that is known. */
  readonly endpoint?: string;
  /** `sojourn serve`: the empty page then shows commands. */
  readonly served?: true;
  /** What the store is: `memory`, `sqlite`, `redis`, `postgres`, or another word. */
  readonly store: string;
  /** ms that a call waits at most (`waitMs`). */
  readonly waitMs?: number;
  /** ms that a lease lasts without a renewal. */
  readonly leaseMs?: number;
  /** ms that running calls have when an instance drains. */
  readonly drainMs?: number;
  /** `false`: payloads cannot be shown. `keys`: keys, types and lengths. `values`: also values, redacted. */
  readonly payloads?: false | 'keys' | 'values';
  /** The option `tasks` is set there. */
  readonly tasks?: true;
}

/** `event: fleet`. The deployment now. */
export interface FleetSnapshot {
  readonly at: number;
  /** Those with a lease, in the order in which they joined; and those that left in the last minute. */
  readonly instances: readonly FleetInstance[];
  readonly store: FleetStore;
  /** Requests of the last minute at all instances: ms from arrival to the end of the answer. */
  readonly p50Ms?: number;
  readonly p99Ms?: number;
  /** Requests that were refused in the last hour, at all instances, and for how many reasons. */
  readonly refused?: number;
  readonly reasons?: number;
  /** Clients without a session that were seen in the last 15 minutes. */
  readonly clients?: number;
  /** Tasks that have not ended. */
  readonly tasks?: number;
}

export interface FleetInstance {
  readonly id: string;
  /** How it is called: its host, with its pid where two have one host. One name for one process. */
  readonly name: string;
  /** `silent`: its lease lasts and it does not answer. `gone`: it has no lease. */
  readonly state: 'joining' | 'serving' | 'draining' | 'silent' | 'gone';
  /**
   * How it ended. `left`: it gave its lease back without a drain that was seen. `lapsed`: the lease expired. `removed`:
   * another instance removed it. `killed`, `crashed`: what started the process said so.
   */
  readonly end?: 'drained' | 'left' | 'lapsed' | 'removed' | 'killed' | 'crashed';
  /** When it came into this state. */
  readonly since?: number;
  readonly version?: string;
  readonly host?: string;
  readonly pid?: number;
  readonly startedAt?: number;
  /** `Node.js 22.12.0`. */
  readonly runtime?: string;
  /** ms until its lease ends. */
  readonly leaseMs?: number;
  /** Live sessions, and how many it may have (`limits.sessions`). */
  readonly sessions?: number;
  readonly sessionsLimit?: number;
  /** Requests that wait now: for an owner, the store, the lease or a place. */
  readonly waiting?: number;
  /** Requests in work now, in sessions and without. */
  readonly running?: number;
  /** Bytes of the memory budget that are in use, and the budget (`limits.memoryBytes`). */
  readonly memoryBytes?: number;
  readonly memoryLimit?: number;
  /** Delay of its event loop, p99 of the last seconds, in ms. */
  readonly loopMs?: number;
  /** Open GET streams. */
  readonly getStreams?: number;
  /** Counters since a fixed moment of this process: the page shows differences. */
  readonly count?: InstanceCounters;
}

export interface InstanceCounters {
  /** Requests whose answer is complete, at the instance that has the client. */
  readonly requests: number;
  /** Those of them without a session. */
  readonly sessionless?: number;
  /** Calls that were passed to another instance. */
  readonly relayed?: number;
  /** Sessions of instances that stopped, which continued here: `takeover`, or after `released`. */
  readonly moved?: number;
  /** Sessions that this instance released to the store. */
  readonly released?: number;
}

export interface FleetStore {
  readonly state: 'answers' | 'away';
  /** When it went away. */
  readonly since?: number;
  /** Calls of all instances to it in the last minute, in ms. */
  readonly p50Ms?: number;
  readonly p99Ms?: number;
  /** Sessions in the store that no instance has live: counted at `at`, followed since by what instances say. */
  readonly counts?: StoreCounts;
}

export interface StoreCounts {
  /** When the three below were counted; where they are absent, `stored`. */
  readonly at: number;
  /** All of them. */
  readonly stored: number;
  /** These three are absent where there are too many to tell apart. */
  readonly hibernated?: number;
  /** Their instance drained. */
  readonly released?: number;
  /** Their instance died. */
  readonly orphaned?: number;
}

/** `event: event`. What happened to an instance or the store. At most 200 of the last hour. */
export interface FleetEvent {
  readonly id: string;
  readonly at: number;
  readonly kind: 'joined' | 'draining' | 'drained' | 'gone' | 'lapsed' | 'storeAway' | 'storeBack' | 'moved' | 'other';
  /** The sentence, from the table that the log has too. */
  readonly text: string;
  readonly instance?: string;
}

/** `event: stop`. An interruption, and the calls that it touched; sent again when it changes. At most 16 of an hour. */
export interface StoppedInstance {
  readonly id: string;
  readonly at: number;
  /** `gone`: an instance without a drain. `silent`: it does not answer. */
  readonly kind: 'gone' | 'silent' | 'drain' | 'store';
  /** What the instance was called. */
  readonly name?: string;
  readonly instance?: string;
  readonly end?: FleetInstance['end'];
  /** When it was over: the store answered, the drain was done. Absent while it lasts. */
  readonly overAt?: number;
  /** Sessions that the instance had live at that moment, and, except in a drain, how many have continued elsewhere. */
  readonly sessions?: number;
  readonly moved?: number;
  /** Calls that waited and went on; those that wait now; the longest wait so far, in ms. */
  readonly waited: number;
  readonly waiting?: number;
  readonly longestMs: number;
  /** Calls that ended with `owner_lost`: their client was told that they may have run. */
  readonly lost: number;
  /** Calls that ended with another error. */
  readonly failed?: number;
  /** Streams whose client came back and got what it had missed. */
  readonly resumed?: number;
  /** At most 24: the longest, those that ended, an even sample of the others. */
  readonly calls: readonly StopCall[];
}

/** `event: stopDropped`. What looked like an interruption is a part of another one. */
export type StopDropped = Pick<StoppedInstance, 'id'>;

/** One call in ms from `Stop.at`. `start` is negative where it ran before. */
export interface StopCall {
  /** A JSON-RPC method, and its tool or prompt where the server has one of that name. */
  readonly method?: string;
  readonly target?: string;
  /** The name of its client. */
  readonly client?: string;
  readonly start: number;
  /** When its run or its connection was cut, or it began to wait. */
  readonly cut: number;
  /** How long it waited from `cut` on. While it waits: until now. */
  readonly wait: number;
  /** How long it then ran. Absent: it waits or runs. */
  readonly run?: number;
  /**
   * `again`: it ran again elsewhere. `kept`: its answer was stored. `went on`: it was not cut. `lost`: its client was
   * told that it may have run. `failed`: with another error. `left`: its client gave up. `waits`: no end yet.
   */
  readonly outcome: 'again' | 'kept' | 'went on' | 'lost' | 'failed' | 'left' | 'waits';
  /** Where it ran then. */
  readonly to?: string;
}

/** `event: hour`. One bin of 30 s over all instances. A stream begins with those of the last hour, oldest first. */
export interface HourBin {
  /** Its begin. */
  readonly at: number;
  readonly sessions?: number;
  /** Requests a second. */
  readonly requests?: number;
  readonly p50Ms?: number;
  /** Most requests that waited at one time. */
  readonly waiting?: number;
  readonly refused?: number;
  readonly storeP50Ms?: number;
}

/**
 * What the dashboard's page gets from its server, and asks of it. Types only: both sides import them.
 *
 *     GET  api/fleet                     `FleetPage`
 *     GET  api/sessions?q=&cursor=       `RecordPage<SessionRow>`
 *     GET  api/sessions/<hash>           `SessionDetail`; 404: unknown to the store
 *     GET  api/tasks?q=&cursor=          `RecordPage<TaskRow>`
 *     GET  api/tasks/<hash>              `TaskDetail`; 404: unknown to the store
 *     POST api/sessions/<hash>/end       `Done`
 *     POST api/instances/<id>/drain      `Done`
 *     POST api/tasks/<hash>/cancel       `Done`
 *
 * Addresses are relative to the page, which is served at `<prefix>/`. The token is sent as `Authorization: Bearer`. A
 * POST has the header `Sojourn-Dashboard: 1`. `q` can be the header `Sojourn-Search`, percent-encoded: logs have none.
 * Each GET has an `ETag`. Every failure has the body `ApiFailure`.
 *
 * A member that is absent has no source here: the page shows `–`. Times (`at`, `since`, `…At`) are ms since 1970 by the
 * clock of the server that answers. `hash` is the 12-digit hash of an id, as in log lines: raw ids are never sent.
 */

export interface FleetPage {
  readonly at: number;
  /** The instance that answers. */
  readonly instance: string;
  /** The token that was sent allows actions. `false`: an action asks for it. */
  readonly mayAct: boolean;
  /** Where clients connect, and how long running calls have in a drain: known to `sojourn serve`. */
  readonly endpoint?: string;
  readonly drainMs?: number;
  /** `memory`, `sqlite`, `redis`, `postgres`, or another word. */
  readonly store: string;
  /** The option `tasks` is set there. */
  readonly tasks?: true;
  /** Options of that instance that may allow what was refused. A limit of `null` is none. */
  readonly options: {
    readonly allowedHosts: readonly string[];
    readonly allowedOrigins: readonly string[];
    readonly limits: Readonly<Record<string, unknown>>;
  };
  /** Since when the store does not answer the instance that answers. */
  readonly awaySince?: number;
  /** When the leases were read. While the store is away, all but that instance are shown as they were then. */
  readonly readAt: number;
  /** Those with a lease, and those that left in the last two minutes, in the order in which they joined. */
  readonly instances: readonly InstanceRow[];
}

/**
 * `silent`: it has a lease, and does not renew it or take messages. `left`: it gave its lease back. `killed`: it did
 * not, and has none.
 */
export type InstanceState = 'serving' | 'draining' | 'silent' | 'left' | 'killed';

export interface InstanceRow {
  readonly id: string;
  /** Its host, with its pid where two have one host. */
  readonly name: string;
  readonly state: InstanceState;
  /** When it came into this state. */
  readonly since: number;
  readonly joinedAt: number;
  readonly drainingAt?: number;
  readonly version: string;
  readonly host?: string;
  readonly pid?: number;
  readonly startedAt?: number;
  readonly runtime?: string;
  /** Absent: it has no dashboard. */
  readonly figures?: Figures;
  /** When they were seen first. */
  readonly figuresAt?: number;
}

/** What an instance says of itself, in its lease. */
export interface Figures {
  /** Its first id: after its lease lapsed it has another one. */
  readonly key: string;
  readonly sessions: number;
  /** Requests in work, and requests that wait for an owner, the store, the lease or a place. */
  readonly running: number;
  readonly waiting: number;
  /** Requests that ended in each 2 s of the last minute, oldest first. */
  readonly calls: readonly number[];
  /** Requests of the last 10 s that failed or were refused. */
  readonly errors: number;
  /** The percentiles of the last minute, in ms. */
  readonly p50?: number;
  readonly p99?: number;
  /** How long the store took for the last renewal of the lease, in ms. */
  readonly storeMs: number;
  /** Requests that waited and have ended since, in the last one to two minutes. */
  readonly waited?: { readonly calls: number; readonly longestMs: number; readonly refused: number };
  /** Calls whose owner died, in the same time: they ran again, or their client was told that they may have run. */
  readonly rerun?: number;
  readonly lost?: number;
  /** The last time without the store, in the last two minutes. */
  readonly away?: { readonly since: number; readonly ms: number };
  /** Those with the most calls. */
  readonly tools: readonly ToolFigures[];
  readonly refusals: readonly RefusalFigures[];
}

/** Calls of one tool in the last 30 to 60 minutes; times in ms. `_OTHER`: names that the server has not listed. */
export interface ToolFigures {
  readonly name: string;
  readonly calls: number;
  readonly errors: number;
  readonly p50: number;
  readonly p99: number;
  readonly slowest: number;
}

/** Requests that were refused for one reason, in the last 30 to 60 minutes. */
export interface RefusalFigures {
  readonly status: number;
  /** The word that the log and the metrics have. */
  readonly reason: string;
  readonly times: number;
  readonly lastAt: number;
  /** What the last caller read. */
  readonly why: string;
  /** Those that were refused most. */
  readonly callers: readonly RefusedCaller[];
}

/** What a caller says of itself: cut, and never more than text. */
export interface RefusedCaller {
  readonly origin?: string;
  readonly host?: string;
  readonly client?: string;
  readonly user?: string;
  readonly times: number;
}

/** 100 records, or those of the part that was searched. */
export interface RecordPage<Row> {
  readonly rows: readonly Row[];
  /** Records that were looked at for them. */
  readonly scanned: number;
  /** Absent: there are no more. */
  readonly nextCursor?: string;
}

export interface SessionRow {
  readonly hash: string;
  readonly status: 'live' | 'hibernated' | 'released' | 'orphaned';
  readonly owner?: string;
  readonly userName?: string;
  readonly clientInfo: { readonly name: string; readonly version: string };
  readonly protocolVersion: string;
  readonly createdAt: number;
  readonly activeAt: number;
}

export interface LiveSession extends SessionRow {
  readonly ended?: undefined;
  readonly capabilities: readonly string[];
  /** How many resources; their URIs are not sent. */
  readonly subscriptions: number;
  /** `null`: never. */
  readonly expiresAt: number | null;
  /** The size of its record, and that of each value of `session.state`. */
  readonly bytes: number;
  readonly state: Readonly<Record<string, number>>;
  /** Requests that run, where it is live at the instance that answers. */
  readonly running?: number;
}

export type SessionDetail = LiveSession | { readonly hash: string; readonly ended: { reason: string; at: number } };

export interface TaskRow {
  readonly hash: string;
  /** Absent: another build has made it. */
  readonly tool?: string;
  readonly status: 'working' | 'input_required' | 'queued' | 'detached' | 'orphaned';
  readonly owner?: string;
  readonly userName?: string;
  readonly attempt?: number;
  readonly maxAttempts?: number;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly expiresAt: number | null;
  /** What its client shows, cut. */
  readonly message?: string;
}

export interface LiveTask extends TaskRow {
  readonly ended?: undefined;
  /** Whether it may run again after a crash; absent: as the hints of its tool say. */
  readonly resume?: boolean;
  /** By name; never texts or answers. */
  readonly questions: readonly { readonly name: string; readonly answered: boolean }[];
  /** Steps and values that its runs have recorded. */
  readonly steps: number;
  readonly bytes: number;
}

export interface EndedTask extends Partial<Pick<TaskRow, 'tool' | 'message' | 'createdAt'>> {
  readonly hash: string;
  readonly ended: {
    /** `expired`: its time was over. `unreadable`: another build has ended it. */
    readonly status: 'completed' | 'failed' | 'cancelled' | 'expired' | 'unreadable';
    readonly at: number;
    /** A JSON-RPC code, and the reason that this package gives. */
    readonly errorCode?: number;
    readonly reason?: string;
  };
}

export type TaskDetail = LiveTask | EndedTask;

/** An action was carried out, or its order was sent. */
export interface Done {
  readonly done: true;
}

/** The body of each answer of 400 or more. */
export interface ApiFailure {
  /** `token`, `unknown`, `store_away`, or another word. */
  readonly error: string;
  /** A sentence for the page. */
  readonly message: string;
}

/** What the dashboard's page asks for, and the answers to its actions. `wire.ts` says how. */

/** `event: rows` of `api/stream?rows`: sessions that were opened or changed. At most 1,000 in one. */
export interface Rows {
  readonly at: number;
  readonly rows: readonly ChangedRow[];
}

export type ChangedRow = SessionRow | LeftRow;

/** It is no longer live at the instance that says so: its next request may have woken it at another one since. */
export interface LeftRow {
  readonly hash: string;
  readonly status: 'hibernated' | 'released' | 'ended';
  readonly leftAt: number;
}

/** The fields of `sojourn sessions --json`, then what only the owner knows. */
export interface SessionRow {
  readonly hash: string;
  /** `hibernated`: it was idle. `released`: its instance drained. `orphaned`: its instance died. `ended`: in `rows`. */
  readonly status: 'live' | 'hibernated' | 'released' | 'orphaned' | 'ended';
  readonly owner?: string;
  readonly userName?: string;
  readonly clientInfo: { readonly name: string; readonly version: string };
  readonly protocolVersion: string;
  readonly createdAt: number;
  /** Its last request. Where `exact` is absent, the time may be a tenth of the idle time too early. */
  readonly activeAt: number;
  readonly exact?: true;
  /** POSTs with requests since it became live at its owner. */
  readonly calls?: number;
  /** Its GET stream is open; how many answers are open. */
  readonly getStream?: boolean;
  readonly posts?: number;
  /** Bytes of its record. */
  readonly bytes?: number;
}

/** One part of a scan, at most 1,000 records. The page asks for the next part until it has 20,000. */
export interface SessionPage {
  readonly at: number;
  readonly sessions: readonly SessionRow[];
  /** Absent: the scan is complete. */
  readonly nextCursor?: string;
}

/** One session. With `ended`, all but `hash` may be absent. */
export interface SessionDetail extends Partial<Omit<SessionRow, 'hash'>> {
  readonly hash: string;
  readonly at: number;
  readonly ended?: { readonly reason: string; readonly at: number };
  readonly epoch?: number;
  readonly initialized?: boolean;
  readonly capabilities?: readonly string[];
  readonly logLevel?: string;
  /** How many resources it is subscribed to; their URIs are not sent. */
  readonly subscriptions?: number;
  /** ms since 1970; `null`: never. */
  readonly expiresAt?: number | null;
  /** Keys of `session.state` with the bytes of each value. */
  readonly state?: Readonly<Record<string, number>>;
  /** What is kept of its GET stream. */
  readonly getStreamKept?: { readonly messages: number; readonly bytes: number };
  /** Where the trace of its last call can be seen (`traceUrl`). */
  readonly traceUrl?: string;
  /** Until when its payloads are kept. */
  readonly payloadsUntil?: number;
  /** Newest first, at most 500. */
  readonly timeline: readonly TimelineRow[];
  /** What came before the oldest row is not known: a ring was full, or its process ended with it. */
  readonly cut?: 'ring' | 'process';
}

export type TimelineRow = MessageRow | EventRow;

/** A request with its messages is one row; a notification or a request of the server is another. */
export interface MessageRow {
  readonly kind: 'message';
  readonly at: number;
  /** `in`: the client sent it. */
  readonly direction: 'in' | 'out';
  readonly method: string;
  /** The tool or prompt, where the server has one of that name. Never a URI. */
  readonly target?: string;
  readonly stream?: 'POST' | 'GET' | 'listen';
  /** Where it ran. */
  readonly instance?: string;
  /** The instance that had the client, where another one ran it. */
  readonly via?: string;
  /** From its arrival to its answer, in ms. Absent: it runs, or has no answer. */
  readonly ms?: number;
  readonly waitedMs?: number;
  /** What it waited for. */
  readonly waitedFor?: 'owner' | 'store' | 'lease' | 'place';
  readonly outcome?: 'again' | 'kept' | 'resumed' | 'lost' | 'failed' | 'left' | 'runs';
  /** A code of an error, or `isError`. */
  readonly error?: string;
  readonly payload?: readonly PayloadLine[];
}

/** What happened to the session itself. */
export interface EventRow {
  readonly kind: 'event';
  readonly at: number;
  readonly what:
    | 'opened'
    | 'hibernated'
    | 'woken'
    | 'takenOver'
    | 'migrated'
    | 'reclaimed'
    | 'released'
    | 'fenced'
    | 'resumed'
    | 'waited'
    | 'ended';
  /** The sentence. */
  readonly text: string;
  /** Where: its owner from now on (`opened`, `woken`, `takenOver`, …), or until now (`hibernated`, `released`). */
  readonly instance?: string;
  /** The owner before. */
  readonly from?: string;
}

/** One key of a payload. `path`: `params.arguments.query`. */
export interface PayloadLine {
  readonly path: string;
  readonly type: 'string' | 'number' | 'boolean' | 'null' | 'object' | 'array';
  /** Characters of a string, members of an object or array. */
  readonly length?: number;
  /** Only with `payloads: 'values'`, redacted and cut. */
  readonly value?: string;
}

/** Clients of 2026-07-28 have no session: requests of the last 15 minutes by user, name and version. */
export interface SessionlessClients {
  readonly at: number;
  readonly clients: readonly SessionlessClient[];
}

export interface SessionlessClient {
  readonly clientInfo: { readonly name: string; readonly version: string };
  readonly userName?: string;
  readonly protocolVersion: string;
  readonly activeAt: number;
  /** The last tool, where the server has one of that name. */
  readonly tool?: string;
  readonly perMinute?: number;
}

/** Who was refused in the last hour, by reason, most first. */
export interface Refusals {
  readonly at: number;
  readonly reasons: readonly RefusalReason[];
}

export interface RefusalReason {
  readonly status: number;
  /** The word of the log and the metrics: `origin`, `host`, `user_limit`. */
  readonly reason: string;
  /** What the last caller was told. */
  readonly why: string;
  readonly times: number;
  readonly firstAt: number;
  readonly lastAt: number;
  /** Refusals of each of the last 60 minutes, oldest first. */
  readonly minutes?: readonly number[];
  /** What allows it, ready to copy. Absent: no option helps. */
  readonly allow?: { readonly flag?: string; readonly variable?: string; readonly module?: string };
  /** What to do, or what to consider before it is allowed. */
  readonly advice?: string;
  /** Most first. */
  readonly callers: readonly RefusedCaller[];
  /** Refusals of callers that have no row of their own. */
  readonly others?: number;
}

export interface RefusedCaller {
  readonly origin?: string;
  readonly host?: string;
  /** Name and version, or the product of its `User-Agent`. */
  readonly client?: string;
  readonly userName?: string;
  readonly address?: string;
  /** The last cause, where one reason has several. */
  readonly why?: string;
  readonly times: number;
  readonly lastAt: number;
}

/** One part of a scan, at most 100 tasks that have not ended. The page asks for the next part until it has 2,000. */
export interface TaskPage {
  readonly at: number;
  readonly tasks: readonly TaskRow[];
  /** Absent: the scan is complete. */
  readonly nextCursor?: string;
}

/** Some fields of `sojourn tasks ls --json`, and how the task runs. */
export interface TaskRow {
  readonly hash: string;
  /** Absent: another build has made it. */
  readonly tool?: string;
  /** `orphaned`: its owner died. An instance takes a queued or orphaned task soon, or ends it. */
  readonly status: 'working' | 'input_required' | 'queued' | 'detached' | 'orphaned';
  /** Only with `running` an instance holds it. */
  readonly state?: 'running' | 'parked' | 'queued' | 'detached';
  readonly owner?: string;
  readonly userName?: string;
  readonly attempt?: number;
  readonly maxAttempts?: number;
  readonly createdAt: number;
  readonly updatedAt: number;
  /** ms since 1970; `null`: never. */
  readonly expiresAt: number | null;
  /** What its client shows, cut. */
  readonly message?: string;
  /** Where no instance holds it: how many steps are recorded. */
  readonly steps?: number;
  /** Names of questions without an answer, at most 3. */
  readonly asks?: readonly string[];
}

/** At most 1,000 of an instance. */
export interface RunningTasks {
  readonly at: number;
  readonly tasks: readonly RunningTaskRow[];
}

export interface RunningTaskRow {
  readonly hash: string;
  /** How many steps are recorded. */
  readonly steps: number;
  /** Steps that have not ended, at most 8. */
  readonly now: readonly { readonly name: string; readonly begin: number }[];
}

/** One task. With `ended`, only `tool`, `message` and `createdAt` may be there besides. */
export interface TaskDetail extends Partial<Omit<TaskRow, 'hash' | 'asks'>> {
  readonly hash: string;
  readonly at: number;
  readonly ended?: {
    /** `expired`: its time was over. `unreadable`: another build has ended it. */
    readonly status: 'completed' | 'failed' | 'cancelled' | 'expired' | 'unreadable';
    readonly at: number;
    /** A JSON-RPC code, and the reason that this package gives. */
    readonly errorCode?: number;
    readonly reason?: string;
  };
  readonly round?: number;
  /** Whether it may run again after a crash; absent: as the hints of its tool say. */
  readonly resume?: boolean;
  /** Names and methods; never texts or answers. */
  readonly questions?: readonly { readonly name: string; readonly method?: string; readonly answered: boolean }[];
  /** Bytes of its record, and of what its runs have recorded. */
  readonly bytes?: number;
  readonly stepBytes?: number;
  /** The latest 16 runs of its handler, oldest first. A run without an end was cut, or is not over. */
  readonly runs?: readonly TaskRunSpan[];
  /** How many steps are recorded, and the latest 200, oldest first. */
  readonly steps?: number;
  readonly bars?: readonly TaskBar[];
}

export interface TaskRunSpan {
  readonly run: number;
  readonly attempt: number;
  readonly round: number;
  readonly owner?: string;
  readonly begin: number;
  readonly end?: number;
}

export interface TaskBar {
  readonly name: string;
  readonly run: number;
  readonly begin: number;
  /** Absent: it is not recorded yet. */
  readonly ms?: number;
}

/** An action was carried out, or its order was sent. */
export interface Done {
  readonly done: true;
}

export interface PayloadsOn {
  /** ms since 1970: five minutes from now. */
  readonly until: number;
}

/** The body of each answer of 400 or more. */
export interface ApiFailure {
  /** `token`, `unknown`, `store_away`, or another word. */
  readonly error: string;
  /** A sentence for the page. */
  readonly message: string;
}

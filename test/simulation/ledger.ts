/** What servers did, and what clients saw: all that a run is judged by. */
/** A handler started. */
export interface Ran {
  readonly at: number;
  readonly tool: string;
  readonly session: string;
  readonly nonce: string;
  readonly instance: string;
  /** Which server object of the world ran it: each copy of a session has its own. */
  readonly copy: number;
  /** When its handler ended, or was cancelled. */
  endedAt: number | undefined;
}

export type Ending =
  /** Answered with a result. */
  | {
      readonly kind: 'result';
      readonly at: number;
      readonly value?: unknown;
      readonly run?: string;
    }
  /** Answered with a JSON-RPC error. */
  | {
      readonly kind: 'error';
      readonly at: number;
      readonly message: string | undefined;
      readonly reason: string | undefined;
      readonly mayHaveRun: unknown;
    }
  /** No instance accepted it before the client gave up. */
  | { readonly kind: 'given-up'; readonly at: number }
  /** The client closed the connection: no head came in time. */
  | { readonly kind: 'timed-out'; readonly at: number }
  /** Its connection was cut before anything that can be resumed had come. */
  | { readonly kind: 'cut'; readonly at: number }
  /** The server said that its stream cannot be resumed (400), or has nothing more (204). */
  | {
      readonly kind: 'no-stream';
      readonly at: number;
      readonly status: number;
      readonly body: string;
    }
  /** The client cancelled it. */
  | { readonly kind: 'cancelled'; readonly at: number }
  /** The client left, and cannot come back; or its SDK may have lost it with its connection. */
  | { readonly kind: 'left'; readonly at: number }
  /** What an official client threw, and no error of the server explains. */
  | { readonly kind: 'threw'; readonly at: number; readonly text: string }
  /** A clean end without an answer, on a stream that cannot be resumed. */
  | { readonly kind: 'silent'; readonly at: number }
  /** 404 */
  | { readonly kind: 'not-found'; readonly at: number; readonly mayHaveRun: unknown }
  /** Another HTTP status, or 200 with the header `Sojourn-Refused`. `slot`: of the instance that said so. */
  | {
      readonly kind: 'refused';
      readonly at: number;
      readonly status: number;
      readonly body: string;
      readonly slot: number;
    };

/** One call of a client, with all of its attempts. */
export interface Call {
  readonly client: string;
  /** `''` in stateless serving. */
  readonly session: string;
  readonly method: string;
  readonly tool: string | undefined;
  readonly nonce: string;
  readonly id: number;
  readonly sentAt: number;
  /** ms that the tool takes. */
  readonly ms: number;
  /** When the last attempt reached an instance. */
  arrivedAt: number | undefined;
  /** That instance had no lease. */
  held: boolean;
  /** When the last attempt began: 503 before it means that nothing ran. */
  attemptAt: number;
  /** When an instance answered 200. */
  acceptedAt: number | undefined;
  ending: Ending | undefined;
}

/** An event that came over a stream of a session. */
export interface Received {
  readonly at: number;
  /** The same by the store's clock. */
  readonly storeNow: number;
  readonly session: string;
  /** Who reads: the client's loop for its GET stream, or a call. Each comes back with its own last event id. */
  readonly reader: string;
  readonly id: string | undefined;
  readonly data: string;
}

export interface SessionStory {
  readonly id: string;
  readonly client: string;
  readonly version: string;
  /** When the client last sent something that was accepted. */
  activeAt: number;
  /** Its GET streams that are open, as the client sees it. */
  readers: number;
  /** What its payloads begin with. */
  readonly prefix: string;
  deleteSentAt: number | undefined;
  /** When a DELETE was answered with 200. */
  deletedAt: number | undefined;
  /** When a request was answered with 404. */
  notFoundAt: number | undefined;
}

/** What the scenario lets the users of its clients see. */
export interface Patience {
  /** How long a request may wait. */
  readonly maxWaitMs: number;
  /** Only the store is away, for less than `maxWaitMs`, and no instance crashes or stops: nothing is refused. */
  readonly calm: boolean;
  /** Only the store is away, for longer than `maxWaitMs` maybe. */
  readonly storeOnly: boolean;
  /** One instance only: between two, what a client does may arrive after the outage. */
  readonly alone: boolean;
  /**
   * Outages outlast leases, no mailbox is lost, and calls are logged: each owner returns to what it owns. A relayed call
   * without a log is lost with the ids of both instances.
   */
  readonly ownersStay: boolean;
  /** Clients that wait as long as the official ones: for them nothing times out. */
  readonly patientMs: number;
}

export interface Lost {
  /** The store forgot what was written from `from` to `until`. */
  readonly from: number;
  readonly until: number;
  readonly sessions: ReadonlySet<string>;
}

/** A resume of a GET stream that was refused: what followed the event is declared to be missing. */
export interface Gap {
  readonly session: string;
  readonly at: number;
  readonly from: string;
}

export class Ledger {
  readonly ran: Ran[] = [];
  readonly calls: Call[] = [];
  readonly received: Received[] = [];
  readonly sessions = new Map<string, SessionStory>();
  readonly lost: Lost[] = [];
  /** Sessions whose record, markers and log the store lost at once. */
  readonly vanished = new Set<string>();
  readonly gaps: Gap[] = [];
  /** Server objects that were made. */
  copies = 0;
  /** Streams of sessions are logged. */
  logged = true;
  /** Instances that were drained, and since when. */
  readonly retired: Array<{ readonly slot: number; readonly from: number }> = [];
  /** Processes of which a message to another instance was lost. */
  readonly unheard = new Set<string>();
  /** Requests for the sessions of others that were answered. */
  trespasses = 0;
  /** Requests that were answered with 503. */
  readonly refusals: Array<{ readonly at: number; readonly slot: number; readonly body: string }> =
    [];
  patience: Patience | undefined = undefined;
  /** A test has the factory fail: its restores are refused. */
  factoryFails = false;
  /** What was seen to be wrong at once. */
  readonly violations: string[] = [];
}

/** A list by what its members have in common. */
export function grouped<T>(list: readonly T[], keyOf: (one: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const one of list) {
    const key = keyOf(one);
    const of = groups.get(key) ?? [];
    of.push(one);
    groups.set(key, of);
  }
  return groups;
}

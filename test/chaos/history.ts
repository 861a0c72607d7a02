/**
 * What clients sent and saw, and what was seen to be wrong at once: all that a run is judged by, with the effects file.
 */
import { SessionStreams } from './session-streams.ts';

/** ms since 1970, never going back; the servers' lines in the effects file have the same. */
export const now = (): number => performance.timeOrigin + performance.now();

/** What must not happen; each is counted, and must be 0. */
export const VIOLATIONS = {
  lost: 'sessions lost',
  hung: 'requests without an end',
  silent: 'requests whose stream ended without an answer',
  unresumable: 'streams that could not be resumed',
  double: 'double runs of tools that are not idempotent',
  untrue: 'calls that ran though the client was told that they did not, or have a result and never ran',
  wrong: "answers that were another call's",
  lostWrite: 'acknowledged state writes lost',
  staleWrite: 'writes accepted from a frozen owner',
  twice: 'messages twice',
  missing: 'messages missing',
  unordered: 'messages out of order',
  foreign: "messages of another session's",
  letIn: 'let in',
  served: 'served after its end',
  broken: 'connections that broke without a reason',
  unexplained: 'client exceptions without an explanation',
  crashed: 'servers that ended by themselves',
  status: 'answers that must not be given',
  failed: 'failed requests where none may fail',
  noisy: 'log lines that come with every request',
} as const;

export type Violation = keyof typeof VIOLATIONS;

/** How a call ended, as its client saw it. */
export type Ending =
  | { readonly kind: 'result'; readonly value: unknown; readonly by: string; readonly run: string }
  /** The tool threw. */
  | { readonly kind: 'tool-error'; readonly text: string }
  /** A JSON-RPC error. */
  | {
      readonly kind: 'error';
      readonly code: number;
      readonly message: string;
      readonly reason: string | undefined;
      readonly mayHaveRun: unknown;
    }
  /** Never accepted: 503 until the client gave up, or another status. */
  | { readonly kind: 'refused'; readonly status: number; readonly text: string }
  /** Its connection broke before anything that it could be resumed by; `instance` had it. */
  | { readonly kind: 'cut'; readonly instance: string }
  /** The stream ended cleanly and nothing is to come, without an answer. */
  | { readonly kind: 'silent'; readonly instance: string }
  /** Its stream is not known any more. */
  | { readonly kind: 'unresumable'; readonly status: number; readonly text: string }
  /** Its client did not wait for it, or may have lost it with its connection. */
  | { readonly kind: 'left' }
  /** What an official client threw, and no error of the server explains. */
  | { readonly kind: 'exception'; readonly text: string };

export interface Progress {
  readonly run: string;
  readonly n: number;
  /** It came on the stream of its call; else on the session's GET stream, as what is sent behind the answer does. */
  readonly own: boolean;
}

/** One call of a tool, with all its attempts. */
export interface Call {
  readonly nonce: string;
  readonly client: string;
  readonly tool: string;
  /** Messages of its progress that are looked for. */
  readonly steps: number;
  /** How long its tool takes. */
  readonly ms: number;
  /** Undefined in stateless serving. */
  readonly story: Story | undefined;
  readonly sentAt: number;
  /** When the last attempt began: what was refused before never ran. */
  attemptAt: number;
  /** Its client was sent a question by it. */
  asked: boolean;
  readonly progress: Progress[];
  /** A stream of it was resumed so often. */
  resumes: number;
  ending: Ending | undefined;
  endedAt: number;
}

/** A message on the GET stream, as the server numbered it. */
export interface Pushed {
  readonly nonce: string;
  /** The server object that sent it. */
  readonly server: string;
  readonly n: number;
}

/** A session, as its client knows it. */
export interface Story {
  readonly id: string;
  readonly client: string;
  readonly user: string;
  readonly version: string;
  /** What the nonces of its calls begin with. */
  readonly prefix: string;
  readonly openedAt: number;
  readonly streams: SessionStreams;
  /** When its GET stream had its first event. */
  listensFrom: number;
  readonly pushed: Pushed[];
  /** The start that served it last. */
  owner: string;
  deleteSentAt: number | undefined;
  /** A DELETE was answered with 200. */
  deletedAt: number | undefined;
  notFoundAt: number | undefined;
}

export interface Found {
  readonly violation: Violation;
  readonly at: number;
  readonly what: string;
}

/** An HTTP answer of the deployment. */
export interface Answered {
  readonly at: number;
  readonly status: number;
  readonly text: string;
  readonly retryAfter: boolean;
  readonly what: string;
  readonly instance: string;
}

/** Texts of a run that goes wrong are many; the first of each kind tell enough. */
const KEPT = 25;

export class History {
  readonly calls = new Map<string, Call>();
  readonly stories: Story[] = [];
  /** Every answer that is no 2xx. */
  readonly refusals: Answered[] = [];
  /** Connections that broke with a request on its way, or under a stream. */
  readonly broken: Array<{ readonly at: number; readonly what: string; readonly instance: string }> = [];
  readonly found: Found[] = [];
  /** What happened to the deployment, for a reader who looks for the cause. */
  readonly events: Array<{ readonly at: number; readonly what: string }> = [];
  readonly counts = new Map<string, number>();
  readonly #violations = new Map<Violation, number>();

  violation(violation: Violation, what: string): void {
    const count = (this.#violations.get(violation) ?? 0) + 1;
    this.#violations.set(violation, count);
    if (count <= KEPT) this.found.push({ violation, at: now(), what });
  }

  happened(what: string): void {
    this.events.push({ at: now(), what });
  }

  violations(violation: Violation): number {
    return this.#violations.get(violation) ?? 0;
  }

  count(what: string, by = 1): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + by);
  }

  open(session: Pick<Story, 'id' | 'client' | 'user' | 'version' | 'prefix' | 'owner'>): Story {
    const story: Story = {
      ...session,
      openedAt: now(),
      streams: new SessionStreams(session.id, (violation, what) => this.violation(violation, what)),
      listensFrom: Infinity,
      pushed: [],
      deleteSentAt: undefined,
      deletedAt: undefined,
      notFoundAt: undefined,
    };
    this.stories.push(story);
    return story;
  }

  call(given: Pick<Call, 'client' | 'tool' | 'nonce' | 'steps' | 'ms' | 'story'>): Call {
    const at = now();
    const call: Call = {
      ...given,
      progress: [],
      sentAt: at,
      attemptAt: at,
      asked: false,
      resumes: 0,
      ending: undefined,
      endedAt: Infinity,
    };
    this.calls.set(call.nonce, call);
    return call;
  }

  end(call: Call, ending: Ending): void {
    if (call.ending !== undefined) return;
    call.ending = ending;
    call.endedAt = now();
    const { story } = call;
    if (ending.kind === 'result' && story !== undefined) story.owner = ending.by;
  }

  /** Takes note of an HTTP answer; `what`: the request. */
  answered(answer: Omit<Answered, 'at'>): void {
    this.count('requests');
    if (answer.status >= 300) this.refusals.push({ ...answer, at: now() });
  }

  /** A connection to `instance` broke. */
  broke(what: string, instance: string): void {
    this.broken.push({ at: now(), what, instance });
  }

  /** 404 for a session that no client has ended. */
  notFound(story: Story, what: string): void {
    const first = story.notFoundAt === undefined;
    story.notFoundAt ??= now();
    if (first && story.deleteSentAt === undefined)
      this.violation('lost', `session ${story.id} of ${story.client}: 404 to ${what}`);
  }
}

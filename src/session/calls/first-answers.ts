/**
 * What a server asks before its first call, as `listRoots()` in `oninitialized`: that of a restored session, or a program
 * on stdio. The copy of the owner before, or the child before, had the answers, so the first requests wait for them:
 *
 *     asking ──all are answered or refused, and have been used: the handler that asked has returned──▶ over
 *        ├──the same, but they are used for longer than RETURN_MS──▶ over
 *        ├──WAIT_MS after the first request began to wait──▶ over
 *        ╰──the session leaves──▶ over
 *
 * Until then a question outside of any request counts too: the handler may ask several, one after the other. The
 * streams of these requests carry the questions while the client has no GET stream open.
 */
import { afterTurn } from '../../base/system.ts';
import type { TimeProvider } from '../../base/types.ts';
import type { Stream } from '../streams/stream.ts';

/** A client answers in a moment where no person decides. A client that never answers delays each restore by this. */
export const WAIT_MS = 4_000;
/** What a handler does with its answers: `server-filesystem` looks for each folder on its disk. */
const RETURN_MS = 1_000;

interface FirstAnswersOptions {
  readonly hookTimeoutMs: number;
  readonly timeProvider: TimeProvider;
}

export class FirstAnswers {
  readonly #options: FirstAnswersOptions;
  /** Questions without an answer, or the ids that the server has given to them. */
  readonly #pending: Set<unknown>;
  readonly #used: () => Promise<void>;
  readonly #returnMs: number;
  #streams: Stream[] = [];
  /** How often no question was without an answer. */
  #times = 0;
  #returning: unknown = undefined;
  #late: unknown = undefined;
  #tell!: () => void;
  readonly #over = new Promise<void>((resolve) => (this.#tell = resolve));
  isOver = false;

  /** `used`: called when all are answered; resolves when the answers have been used. */
  constructor(
    options: FirstAnswersOptions,
    asked: Iterable<unknown>,
    used: () => Promise<void>,
    returnMs = RETURN_MS,
  ) {
    this.#options = options;
    this.#pending = new Set(asked);
    this.#used = used;
    this.#returnMs = returnMs;
  }

  asked(id: unknown): void {
    this.#pending.add(id);
  }

  /** The question is answered, cancelled or refused. */
  ended(id: unknown): void {
    // Its server may ask another one in this turn.
    if (this.#pending.delete(id)) afterTurn(() => this.#settled());
  }

  #settled(): void {
    if (this.isOver || this.#pending.size > 0) return;
    const time = (this.#times += 1);
    void this.#used().then(() => {
      if (this.#pending.size === 0 && this.#times === time) this.end();
    });
    this.#returning ??= this.#options.timeProvider.setTimeout(() => {
      this.#returning = undefined;
      if (this.#pending.size === 0) this.end();
    }, this.#returnMs);
  }

  /** The stream of a request, from when its client reads it. */
  take(stream: Stream): void {
    this.#streams = [...this.#streams.filter(({ isComplete }) => !isComplete), stream];
  }

  /** A stream that can carry a question now. */
  get carrier(): Stream | undefined {
    return this.#streams.find(
      (stream) => !stream.isComplete && stream.hasOpenSink && stream.carriesAll,
    );
  }

  /** Resolves when this is over. */
  wait(): Promise<void> {
    const { hookTimeoutMs, timeProvider } = this.#options;
    const mostMs = Math.min(WAIT_MS, hookTimeoutMs);
    if (!this.isOver) this.#late ??= timeProvider.setTimeout(() => this.end(), mostMs);
    return this.#over;
  }

  end(): void {
    const { timeProvider } = this.#options;
    this.isOver = true;
    this.#streams = [];
    timeProvider.clearTimeout(this.#returning);
    timeProvider.clearTimeout(this.#late);
    this.#tell();
  }
}

/**
 * What the server of a restored session asks before its first call, as `listRoots()` in `oninitialized`. The copy of
 * the owner before had the answers, so the first requests wait for them:
 *
 *     asking ──all are answered or refused, and the handler that asked has returned──▶ over
 *        ├──the same, but the handler runs RETURN_MS longer──▶ over
 *        ├──WAIT_MS after the first request began to wait──▶ over
 *        ╰──the session leaves──▶ over
 *
 * Until then a question outside of any request counts too: the handler may ask several, one after the other. The
 * streams of these requests carry the questions while the client has no GET stream open.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import { afterTurn } from '../../base/system.ts';
import type { ResolvedOptions } from '../../base/options/endpoint-options.ts';
import type { Stream } from '../streams/stream.ts';

/** A client answers in a moment where no person decides. A client that never answers delays each restore by this. */
const WAIT_MS = 4_000;
/** What a handler does with its answers: `server-filesystem` looks for each folder on its disk. */
const RETURN_MS = 1_000;

type FirstAnswersOptions = Pick<ResolvedOptions, 'hookTimeoutMs' | 'timeProvider'>;

export class FirstAnswers {
  readonly #options: FirstAnswersOptions;
  /** The ids that the server has given to its questions. */
  readonly #pending: Set<RequestId>;
  #streams: Stream[] = [];
  #hasReturned = false;
  #returning: unknown = undefined;
  #waiting:
    | { readonly over: Promise<void>; readonly tell: () => void; readonly timer: unknown }
    | undefined = undefined;
  isOver = false;

  /** `returned`: resolves when the handler of `notifications/initialized` has. */
  constructor(options: FirstAnswersOptions, asked: Iterable<RequestId>, returned: Promise<void>) {
    this.#options = options;
    this.#pending = new Set(asked);
    void returned.then(() => {
      this.#hasReturned = true;
      this.#settled();
    });
  }

  asked(id: RequestId): void {
    this.#pending.add(id);
  }

  /** The question is answered, cancelled or refused. */
  ended(id: RequestId): void {
    // Its server may ask another one in this turn.
    if (this.#pending.delete(id)) afterTurn(() => this.#settled());
  }

  #settled(): void {
    if (this.isOver || this.#pending.size > 0) return;
    if (this.#hasReturned) return this.end();
    const { timeProvider } = this.#options;
    this.#returning ??= timeProvider.setTimeout(() => {
      this.#returning = undefined;
      if (this.#pending.size === 0) this.end();
    }, RETURN_MS);
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
    if (this.isOver) return Promise.resolve();
    if (this.#waiting !== undefined) return this.#waiting.over;
    const { hookTimeoutMs, timeProvider } = this.#options;
    let tell = (): void => {};
    const over = new Promise<void>((resolve) => (tell = resolve));
    const timer = timeProvider.setTimeout(() => this.end(), Math.min(WAIT_MS, hookTimeoutMs));
    this.#waiting = { over, tell, timer };
    return over;
  }

  end(): void {
    const { timeProvider } = this.#options;
    this.isOver = true;
    this.#streams = [];
    timeProvider.clearTimeout(this.#returning);
    timeProvider.clearTimeout(this.#waiting?.timer);
    this.#waiting?.tell();
  }
}

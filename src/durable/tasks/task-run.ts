/**
 * One run of a tool's handler whose call may become a task: the sink of its answer.
 *
 *     direct ──start()──▶ creating ──stored──▶ running ──its handler settles──▶ over
 *       │  ◀──refused────────╯                    ├──it asks its client, and parks──▶ over
 *       ╰──answer──▶ over                         ├──cancelled, or its time is over──▶ over
 *                                                 ╰──another instance owns it──▶ over
 *
 * While it is direct, the call is ordinary: everything passes through to the response of its client. The client
 * hears of the task when its record is stored, and nothing more after that. A run that begins with a stored task is
 * running from the start, and has no client.
 */
import { internal, rpcError, type SojournError } from '../../base/errors.ts';
import { guarded } from '../../http/exchange.ts';
import { shareKey } from '../../base/budget.ts';
import { isObject, type RpcRequest, type RpcResponse } from '../../base/protocol/jsonrpc.ts';
import { type RequestLife, SentRequest } from '../../cluster/relay/sent-request.ts';
import type { OwnedTask, OwnedTaskHost } from './owned-task.ts';
import type { RunRoom } from './run-room.ts';
import { WatchedHandler } from './watched-handler.ts';
import { type FirstClient, type RunRequest, RunSink } from './run-sink.ts';
import type { GivenSettings, TaskEnd } from './task-record.ts';
import type { TaskKey } from './task-store.ts';
import { createdTask, type DetailedTask } from './wire-shapes.ts';

/** A run that is `creating` is `direct` again where its task is refused. */
type TaskRunState = 'direct' | 'creating' | 'running' | 'over';

/** A run that did not begin is tried again: where the instance had no room, and where it may not run here. */
const BUSY_MS = 5_000;
export const REFUSED_MS = 30_000;

const aborted = (why: string): DOMException => new DOMException(why, 'AbortError');

/** Calls the handler of a run that no request of a client has brought. */
export interface TaskRunner {
  serveUnattended(run: TaskRun): void;
}

/** The tasks of the instance, as a run sees them. */
interface TaskRunHost extends Pick<OwnedTaskHost, 'options'> {
  roomFor(share: string): RunRoom;
  create(run: TaskRun, settings: GivenSettings, key?: TaskKey): Promise<OwnedTask | DetailedTask>;
  end(id: string, end: TaskEnd): Promise<unknown>;
}

export class TaskRun extends RunSink implements RequestLife {
  readonly caller: SentRequest;
  readonly request: RpcRequest;
  readonly version: string;
  readonly room: RunRoom;
  readonly launched: RunRequest['launched'];
  readonly handler = new WatchedHandler();
  readonly #tasks: TaskRunHost;
  readonly #abort = new AbortController();
  #state: TaskRunState = 'direct';
  #task: OwnedTask | undefined = undefined;
  #starting: Promise<void> | undefined = undefined;
  #onClose: Array<() => unknown> = [];
  #isDraining = false;
  #isParked = false;
  /** Called when the call has become a task, and its handler has not settled. */
  onStart: (() => void) | undefined = undefined;

  /** A client has sent the call, or this instance has claimed its task. */
  constructor(
    { fields, authInfo, request, version, launched }: RunRequest,
    tasks: TaskRunHost,
    from: FirstClient | ((run: TaskRun) => OwnedTask),
    room = tasks.roomFor(shareKey(fields.user, fields.address)),
  ) {
    super(typeof from === 'function' ? undefined : from);
    this.caller = new SentRequest(fields, authInfo, this);
    this.request = request;
    this.version = version;
    this.launched = launched;
    this.#tasks = tasks;
    this.room = room;
    if (typeof from !== 'function') return;
    this.#task = from(this);
    this.#state = 'running';
  }

  get task(): OwnedTask | undefined {
    return this.#task;
  }

  /** The task, while this run may write it. */
  get running(): OwnedTask | undefined {
    return this.#state === 'running' ? this.#task : undefined;
  }

  get isOver(): boolean {
    return this.#state === 'over';
  }

  /** Aborts when the run must end. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** How often the task runs. */
  get attempt(): number {
    return this.#task?.head.attempt ?? 1;
  }

  // ——— the call becomes a task ———

  /** Resolves when its client has heard of the task. Rejects with the error that the call is refused with. */
  start(settings: GivenSettings, key?: TaskKey): Promise<void> {
    return (this.#starting ??= this.#start(settings, key));
  }

  async #start(settings: GivenSettings, key: TaskKey | undefined): Promise<void> {
    if (this.#state !== 'direct') return;
    this.#state = 'creating';
    let task: OwnedTask | DetailedTask;
    try {
      task = await this.#tasks.create(this, settings, key);
    } catch (cause) {
      this.#state = 'direct';
      this.#starting = undefined;
      throw cause;
    }
    if ('taskId' in task) return this.attach(task);
    const { client } = this;
    this.#task = task;
    const isHeard = client?.exchange.closed === false;
    if (!isHeard && key === undefined) {
      // Its client never learns the id, and would call again.
      this.#leave('The client left before it heard of the task');
      return task.end({ status: 'cancelled' });
    }
    this.#state = 'running';
    this.#tell(task.created);
    if (this.handler.isActive) this.onStart?.();
  }

  /** Another call has the task of this one: its client hears of that, and this run is over. */
  attach(task: DetailedTask): void {
    this.#tell(task);
    this.#leave('The call has the task of an earlier one');
  }

  #tell(task: DetailedTask): void {
    const { response } = this.client ?? {};
    if (response === undefined) return;
    // The end of its response is no end of the run.
    response.listener = undefined;
    response.answer(createdTask(task, this.request.id));
  }

  // ——— what the server sends ———

  protected get isDirect(): boolean {
    return this.#state === 'direct';
  }

  protected shows(text: string): void {
    this.running?.shows(text);
  }

  protected route(direct: (client: FirstClient) => void, asTask: () => void): void {
    const again = (): void => this.route(direct, asTask);
    if (this.#state === 'creating') void this.#starting?.then(again, again);
    else if (this.#state === 'running') asTask();
    else if (this.#state === 'direct' && this.client !== undefined) {
      // The call hears that it is over when the response of its client is.
      this.client.response.listener = this.listener;
      this.#state = 'over';
      direct(this.client);
    }
  }

  protected ended({ result, error }: RpcResponse): void {
    const value = isObject(result) ? result : {};
    if (error === undefined && value['resultType'] === 'input_required')
      return this.#over('The task waits for its client', (task) => task.parks(value));
    // A build that lacks the tool, or a right that was taken back: the task waits for another instance, or its time.
    if (!this.handler.hasBegun && (error !== undefined || value['isError'] === true))
      return this.postpone(REFUSED_MS);
    if (this.#isDraining && this.handler.thrown !== undefined) return this.postpone(0);
    // What the SDK answers with is right for the revision.
    const failure = error ?? this.handler.error;
    if (failure !== undefined) this.#finish({ status: 'failed', error: failure });
    else this.#finish({ status: 'completed', resultJson: JSON.stringify(result) });
  }

  protected failed(error: SojournError): void {
    // Its instance stopped while the task was being stored: `Tasks.close` knew nothing of it.
    if (error.code === 'DRAINING' || error.code === 'ENDPOINT_CLOSED') this.close(rpcError(error));
    else if (!this.handler.hasBegun && error.retryable) this.postpone(BUSY_MS);
    else this.#finish({ status: 'failed', error: rpcError(error) });
  }

  #finish(end: TaskEnd): void {
    this.#over(`The task is ${end.status}`, (task) => task.end(end));
  }

  /** Another run continues the task, after so many ms. */
  postpone(inMs: number): void {
    this.#over('Another run continues the task', (task) => void task.release('queued', { inMs }));
  }

  #over(why: string, then: (task: OwnedTask) => void): void {
    const task = this.running;
    if (task === undefined) return;
    this.#leave(why);
    then(task);
  }

  /** The run is over, and what its handler still does is not stored. */
  #leave(why: string): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#abort.abort(aborted(why));
    for (const fn of this.#onClose.splice(0)) guarded(this, fn);
    const { listener } = this;
    this.listener = undefined;
    listener?.sinkClosed(this);
    this.#giveBack();
  }

  /** The task was cancelled, or claimed by another instance. */
  stop(reason: string): void {
    this.#over(`The run of a task was stopped: ${reason}`, (task) => task.lost());
  }

  expire(): void {
    this.#over('The run of a task was stopped: its time is over', (task) => task.expire());
  }

  /** Its instance drains: the handler may save what it has, and throw. Then another instance continues the task. */
  drain(): void {
    if (this.#state !== 'running' && this.#state !== 'creating') return;
    this.#isDraining = true;
    this.#abort.abort(aborted('The instance drains'));
  }

  /** Another run continues the task if its handler throws. */
  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** Whether another run may take its place. */
  get resumes(): boolean {
    return this.#isDraining || this.#task?.kept.afterCrash === 'run';
  }

  /** Its instance stops. */
  close(error: NonNullable<TaskEnd['error']>): void {
    if (this.resumes) this.postpone(0);
    else this.#finish({ status: 'failed', error });
  }

  /** Its handler waits for an answer: it holds nothing until that comes, and its promise never settles. */
  park(): void {
    this.#isParked = true;
    this.#over('The task is parked', (task) => void task.release('parked'));
  }

  /** The rest of the work is done elsewhere. Resolves when that is stored. `false`: the task is no longer here. */
  async detach(): Promise<boolean> {
    let stored: Promise<boolean> | undefined;
    this.#isParked = true;
    this.#over('The task is detached', (own) => void (stored = own.release('detached')));
    return (await stored) === true;
  }

  /** Nothing elsewhere has the work of a detached task. */
  async failDetached(id: string, cause: unknown): Promise<void> {
    const target = String(this.request.params?.['name']);
    const { notices } = this.#tasks.options;
    notices.emit({
      kind: 'handlerThrew',
      method: 'tools/call',
      target,
      sessionId: undefined,
      error: cause,
    });
    const message = cause instanceof Error ? cause.message : String(cause);
    await this.#tasks.end(id, {
      status: 'failed',
      error: { ...rpcError(internal(cause)), message },
    });
  }

  get isParked(): boolean {
    return this.#isParked;
  }

  // ——— its handler ———

  /** Calls `fn` after so many ms. Returns what stops that. */
  after(ms: number, fn: () => void): () => void {
    const { timeProvider: time } = this.#tasks.options;
    const timer = time.setTimeout(fn, ms);
    return () => time.clearTimeout(timer);
  }

  handlerSettled(): void {
    this.handler.settles();
    this.#giveBack();
  }

  /** A handler that ignores its signal keeps its place. A parked handler never settles. */
  #giveBack(): void {
    const isActive = this.handler.isActive && !this.#isParked;
    if (this.#state === 'over' && !isActive) this.room.leave();
  }

  get taskId(): string | undefined {
    return this.#task?.id;
  }

  get isOpen(): boolean {
    return this.isDirect ? this.client?.exchange.closed === false : this.#state !== 'over';
  }

  /** Its client left. While the task is being stored this is no end: the record shows it. */
  sinkClosed(): void {
    if (this.isDirect) this.#leave('The client of the call left');
  }

  // ——— its request ———

  onClose(fn: () => unknown): void {
    if (this.#state === 'over') return guarded(this, fn);
    this.#onClose.push(fn);
  }

  fail(cause: unknown): void {
    if (this.isDirect && this.client !== undefined) return this.client.exchange.fail(cause);
    this.#finish({ status: 'failed', error: rpcError(internal(cause)) });
  }
}

/** A program on stdio: its options, what it is, and a call in one of its children. */
import { beforeItRan, childEnded, optionInvalid, rpcError, SojournError } from '../base/errors.ts';
import { shareKey } from '../base/budget.ts';
import { methodOf } from '../base/protocol/methods.ts';
import { nothingDone } from '../durable/once/index.ts';
import { AnswerError, CallRefusal } from '../base/errors/answer-error.ts';
import { currentRequest } from '../session/calls/current-call.ts';
import { SessionView } from '../session/session-view.ts';
import type { Logger, McpEndpointContext } from '../base/types.ts';
import { type Asked, cancelled, ChildEnded, type RpcParams, type Result } from './child.ts';
import {
  type ChildCaller,
  callerOf,
  checkUserEnv,
  inheritedEnvironment,
  userVariables,
} from './command.ts';
import type { Place, Tenant, Watcher } from './place.ts';
import type { Pool } from './pool.ts';
import { type Described, probe, takesHandshake } from './probe.ts';
import { StartPauses } from './start-pauses.ts';
import type { StdioOptions } from './stdio-options.ts';
import { ToolRules } from './tool-rules.ts';
import { type ChildHandshake, ownHandshake } from './wire.ts';

export type StdioLogger = Pick<Logger, 'info' | 'warn' | 'debug'>;

const UNLISTED =
  'A program did not list its tools: until it does, no call of a tool runs again when its child ends';

export class Program {
  readonly options: StdioOptions;
  readonly pool: Pool;
  readonly logger: StdioLogger;
  readonly rules: ToolRules;
  /** Its entry in a file of programs. */
  readonly #name: string | undefined;
  readonly #pauses: StartPauses;
  readonly #environment: Readonly<Record<string, string>>;
  readonly #userEnv: Readonly<Record<string, string>>;
  #described: Promise<Described> | undefined = undefined;
  #takesHandshake: Promise<boolean> | undefined = undefined;
  #shared: Place | undefined = undefined;

  constructor(options: StdioOptions, pool: Pool, logger: StdioLogger, name?: string) {
    this.options = options;
    this.pool = pool;
    this.#name = name;
    this.#pauses = new StartPauses(pool.options.time);
    this.logger = logger;
    this.rules = new ToolRules(options);
    this.#userEnv = checkUserEnv('userEnv', options.userEnv ?? {});
    const [variable] = Object.keys(this.#userEnv);
    if (options.oneChild === true && variable !== undefined)
      throw optionInvalid('range', 'userEnv', variable, 'variables of callers who share no child');
    this.#environment = { ...inheritedEnvironment(options.inheritEnv ?? []), ...options.env };
  }

  /** Asks a child what the program is, once. After a failure the next caller asks again. */
  described(): Promise<Described> {
    return (this.#described ??= this.#probe().catch((cause: unknown) => {
      this.#described = undefined;
      throw cause;
    }));
  }

  async #probe(): Promise<Described> {
    const probed = await probe(this.pool, this.#tenant(), this.options.era);
    for (const list of probed.lists) this.rules.listed(list);
    const { described, unlisted: why } = probed;
    if (why !== undefined) this.logger.warn({ program: described.serverInfo.name, why }, UNLISTED);
    return described;
  }

  /** Whether sessions of 2025 have children that take `initialize`. The first session asks one. */
  async takesHandshake({ era }: Described): Promise<boolean> {
    if (era === 'legacy') return true;
    if (this.options.oneChild === true) return false;
    return (this.#takesHandshake ??= takesHandshake(this.pool, this.#tenant()).catch(() => {
      // The child of the session tells why it does not start.
      this.#takesHandshake = undefined;
      return true;
    }));
  }

  // ——— places for children ———

  /** A child for no caller: the first, and the child that all share. */
  #tenant(): Tenant {
    return { ...this.#of('program'), isAll: true, command: () => this.#command() };
  }

  #of(owner: string) {
    return { owner, program: this.#name, pauses: this.#pauses };
  }

  #command(variables: Readonly<Record<string, string>> = {}) {
    const { command, args = [], cwd } = this.options;
    return { command, args, cwd, env: { ...this.#environment, ...variables } };
  }

  /** Headers are those of the call that needs the child, where they still have what `userEnv` reads. */
  tenantOf(ctx: McpEndpointContext): Tenant {
    const own = this.callerOf(ctx);
    return {
      ...this.#of(shareKey(own.userKey, ctx.requestInfo?.clientAddress)),
      command: () => {
        const now = currentRequest();
        const caller = {
          ...own,
          header: (name: string) => now?.headers.get(name) ?? own.header(name),
        };
        return this.#command(userVariables(this.#userEnv, caller));
      },
      unseenMs: () => (ctx.session instanceof SessionView ? ctx.session.idleMs : 0),
      wentCold: () => {
        if (ctx.session instanceof SessionView) ctx.session.hibernate();
      },
    };
  }

  callerOf({ requestInfo, authInfo, session }: McpEndpointContext): ChildCaller {
    return callerOf(requestInfo, authInfo?.extra, session);
  }

  /** What tells the children of a user apart: the variables that `userEnv` gives them. */
  variablesOf(ctx: McpEndpointContext): Readonly<Record<string, string>> {
    return userVariables(this.#userEnv, this.callerOf(ctx));
  }

  /** The child of all callers. `undefined`: each caller has its own. */
  shared({ era }: Described): Place | undefined {
    if (this.options.oneChild !== true) return undefined;
    return (this.#shared ??= this.pool.place(
      this.#tenant(),
      era === 'legacy' ? ownHandshake() : undefined,
      true,
    ));
  }

  place(
    ctx: McpEndpointContext,
    handshake: ChildHandshake | undefined,
    isInitialized: boolean,
  ): Place {
    return this.pool.place(this.tenantOf(ctx), handshake, isInitialized);
  }

  /** The session of a place is over. */
  leave(place: Place, watcher: Watcher): void {
    if (place.tenant.isAll === true) place.unwatch(watcher);
    else void this.pool.remove(place);
  }

  /** For events of the child, which `signal` ends: no call needs it yet. */
  start(place: Place, signal: AbortSignal): void {
    place.ready(signal).catch((cause: unknown) => signal.aborted || this.#refused(cause, false));
  }

  // ——— a call, and what happens when its child ends ———

  /** A call that may run twice runs again when its child ends, once. `begins`: it begins in a child. */
  async forward(
    place: Place,
    method: string,
    params: RpcParams,
    asked: Asked,
    begins = (): void => {},
  ): Promise<Result> {
    const release = place.lease();
    // Programs that hold their clients to it end at a request before it. Clients may send both at once.
    place.initialized();
    try {
      for (let isAgain = false; ; isAgain = true) {
        const child = await place.ready(asked.signal).catch((cause: unknown) => {
          if (asked.signal?.aborted === true) throw cancelled();
          return this.#notStarted(cause, isAgain);
        });
        try {
          begins();
          return await child.request(method, params, asked);
        } catch (cause) {
          if (!(cause instanceof ChildEnded)) throw cause;
          const isOver = isAgain || asked.signal?.aborted === true || place.isAbandoned;
          if (isOver || !this.mayRunAgain(method, params))
            throw new CallRefusal(childEnded(cause.message, true));
          this.logger.info({ method, why: cause.message }, 'A call runs again: its child ended');
        }
      }
    } finally {
      release();
    }
  }

  /** Whether a call may run again in another child. */
  mayRunAgain(method: string, params: RpcParams): boolean {
    const { repeats } = methodOf(method);
    return repeats === 'asListed'
      ? this.rules.mayRunAgain(String(params?.['name']))
      : repeats === 'always';
  }

  /** Throws what a call is answered with whose child does not start. `mayHaveRun`: in another child. */
  #notStarted(cause: unknown, mayHaveRun: boolean): never {
    const error = this.#refused(cause, mayHaveRun);
    if (error === undefined) throw cause;
    throw mayHaveRun ? new CallRefusal(error) : nothingDone(new CallRefusal(error));
  }

  /** The error for clients. `undefined`: the child says so itself, or it is a fault here. */
  #refused(cause: unknown, mayHaveRun: boolean): SojournError | undefined {
    if (!(cause instanceof ChildEnded || cause instanceof SojournError)) return undefined;
    const text = cause instanceof ChildEnded ? this.#textFor(cause) : cause.message;
    const wrote = cause instanceof ChildEnded ? cause.stderr.split('\n').at(-1) : '';
    const told = { program: this.#name, why: cause.message, ...(wrote !== '' && { wrote }) };
    this.logger.warn(told, 'A child did not start');
    const isOwn = cause instanceof SojournError && !mayHaveRun;
    return isOwn ? beforeItRan(cause) : childEnded(text, mayHaveRun);
  }

  /** What the error for clients says of a child that did not start. */
  #textFor({ message, stderr }: ChildEnded): string {
    const isShown = this.options.stderrToClients === true && stderr !== '';
    return isShown ? `${message}; it wrote: ${stderr.slice(-1_000)}` : message;
  }

  /** The error that answers an `initialize` whose child does not start. */
  refusalOf(cause: unknown): AnswerError | undefined {
    if (cause instanceof AnswerError) return cause;
    const error = this.#refused(cause, false);
    return error && new AnswerError(rpcError(error));
  }
}

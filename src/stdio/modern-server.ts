/**
 * The server of one request of a 2026-07-28 client. A program of 2026-07-28 gets the request with
 * its envelope. In front of a program of 2025, a call that asks is a run of several rounds (`run.ts`).
 */
import type { Server, ServerContext } from '@modelcontextprotocol/server';
import { childEnded } from '../base/errors.ts';
import { isObject } from '../base/protocol/jsonrpc.ts';
import { roleOf } from '../base/protocol/methods.ts';
import { AnswerError, CallRefusal } from '../base/errors/answer-error.ts';
import { noteUnhandled } from '../session/calls/handler-seam.ts';
import { noteAsking } from '../session/calls/listed-tool.ts';
import type { McpEndpointContext, McpListen } from '../base/types.ts';
import type { Notified, RpcParams, Result } from './child.ts';
import type { CallerChildren, TakenPlace } from './caller-children.ts';
import type { Place } from './place.ts';
import type { Described } from './probe.ts';
import type { Program } from './program.ts';
import { type RoundOutcome, type InputRequests, Run } from './run.ts';
import { answersIn, type Runs, type RunState } from './runs.ts';
import { modernParams, newServer, notifying, registerAsking } from './new-server.ts';
import { type Forwards, ToolCalls } from './tool-calls.ts';
import { ASKING_METHODS, clientIn } from './wire.ts';

const NO_METHOD = -32_601;
/** 2025-11-25: the client must send its user to a page first. */
const URL_NEEDED = -32_042;

/** What this library adds to the state of a program of 2026-07-28: it belongs to a user and a call. */
interface ProgramState {
  readonly of: string;
}

const envelopeIn = ({ mcpReq }: ServerContext): RpcParams => mcpReq.envelope;

/** What the servers of all requests share. */
export interface CallsInChildren {
  readonly program: Program;
  readonly children: CallerChildren;
  readonly runs: Runs;
}

export function modernServer(
  calls: CallsInChildren,
  ctx: McpEndpointContext,
  described: Described,
): Server {
  return new ModernServer(calls, ctx, described).server;
}

class ModernServer implements Forwards {
  readonly #program: Program;
  readonly #children: CallerChildren;
  readonly #runs: Runs;
  readonly #ctx: McpEndpointContext;
  readonly #described: Described;
  readonly server: Server;

  constructor(
    { program, children, runs }: CallsInChildren,
    ctx: McpEndpointContext,
    described: Described,
  ) {
    this.#program = program;
    this.#children = children;
    this.#runs = runs;
    this.#ctx = ctx;
    this.#described = described;
    const { verify } = ctx.requestState;
    const mayWatch = ctx.listen === undefined ? this.#hasChild : this.#watch(ctx.listen);
    const promised = { ...described, capabilities: promisedOf(described, mayWatch) };
    this.server = newServer(ctx, promised, { requestState: { verify } });
    registerAsking(this.server, described, new ToolCalls(program.rules, this));
    noteAsking(this.server, program.rules.asksForHeaders);
  }

  async forward(method: string, params: RpcParams, extra: ServerContext): Promise<Result> {
    try {
      if (this.#described.era === 'modern') return await this.#passed(method, params, extra);
      return await (Object.hasOwn(ASKING_METHODS, method)
        ? this.#inRounds(method, params, extra)
        : this.#once(method, params, extra));
    } catch (cause) {
      if (cause instanceof AnswerError && cause.code === NO_METHOD) noteUnhandled();
      throw cause;
    }
  }

  /** All callers have one child, whose handshake says that no client can be asked. */
  get #isShared(): boolean {
    return this.#program.options.oneChild === true;
  }

  /** A child outlives the calls of this caller, so its resources may be watched there. */
  get #hasChild(): boolean {
    return this.#isShared || this.#program.callerOf(this.#ctx).userKey !== undefined;
  }

  /** `false`: of lists alone. */
  #watch(listen: McpListen): boolean {
    const { resources } = this.#described.capabilities;
    const maySubscribe = isObject(resources) && resources['subscribe'] === true;
    const uris = maySubscribe && this.#hasChild ? listen.resources : [];
    const watched = { ctx: this.#ctx, described: this.#described, listen, uris };
    return this.#children.watch(watched) && this.#hasChild;
  }

  #take(method: string, extra: ServerContext, alone: boolean): TakenPlace {
    return this.#children.take({
      ctx: this.#ctx,
      described: this.#described,
      envelope: envelopeIn(extra),
      method,
      alone,
    });
  }

  // ——— a program of 2025 ———

  /** A request that asks its client nothing. */
  async #once(method: string, params: RpcParams, extra: ServerContext): Promise<Result> {
    const taken = this.#take(method, extra, false);
    try {
      this.#tellLevel(taken.place, extra);
      return await this.#inChild(taken.place, method, params, extra);
    } finally {
      taken.giveBack();
    }
  }

  #inChild(place: Place, method: string, params: RpcParams, extra: ServerContext): Promise<Result> {
    const { signal } = extra.mcpReq;
    return this.#program.forward(place, method, params, { signal, notified: roundOf(extra) });
  }

  /** Says to a child of 2025 which messages of its log are wanted. */
  #tellLevel(place: Place, extra: ServerContext): void {
    const { level } = clientIn(envelopeIn(extra));
    const hasLog = 'logging' in this.#described.capabilities && !this.#isShared;
    if (level === undefined || !hasLog) return;
    if (place.setLevel(level)) place.child?.request('logging/setLevel', { level }).catch(() => {});
  }

  async #inRounds(method: string, params: RpcParams, extra: ServerContext): Promise<Result> {
    const state = extra.mcpReq.requestState<RunState | undefined>();
    const { capabilities } = clientIn(envelopeIn(extra));
    const asksNothing = state === undefined && Object.keys(capabilities).length === 0;
    if (asksNothing || this.#isShared) return this.#once(method, params, extra);
    const runs = this.#runs;
    const resumed = runs.resume(state?.run);
    resumed?.take(extra.mcpReq.inputResponses);
    const run = resumed ?? this.#newRun(method, params, extra, state);
    try {
      const outcome = await run.next(roundOf(extra), extra.mcpReq.signal);
      return await this.#answer(run, outcome, extra);
    } catch (cause) {
      runs.delete(run);
      const urls = urlsOf(cause);
      if (urls === undefined) throw cause;
      // The call is over in the child. The client comes back when its user has been there.
      return this.#asks(urls, runs.state(run, undefined), extra);
    }
  }

  #newRun(
    method: string,
    params: RpcParams,
    extra: ServerContext,
    state: RunState | undefined,
  ): Run {
    const { pool } = this.#program;
    const responses = extra.mcpReq.inputResponses;
    const answers = state === undefined ? [] : answersIn(state, responses);
    const isLost = state?.run !== undefined && !this.#program.mayRunAgain(method, params);
    if (answers === undefined || isLost)
      throw new CallRefusal(
        childEnded('The child of this call was stopped before its answers came', true),
      );
    const { place, giveBack } = this.#take(method, extra, true);
    this.#tellLevel(place, extra);
    const run = new Run(place, pool.options.time, answers, {
      run: (asked, begins) => this.#program.forward(place, method, params, asked, begins),
      over: giveBack,
    });
    this.#runs.add(run);
    return run;
  }

  async #answer(run: Run, outcome: RoundOutcome, extra: ServerContext): Promise<Result> {
    const runs = this.#runs;
    if (outcome.kind === 'asks') return this.#asks(outcome.inputRequests, runs.asks(run), extra);
    runs.delete(run);
    return outcome.result;
  }

  async #asks(
    inputRequests: InputRequests,
    state: RunState,
    extra: ServerContext,
  ): Promise<Result> {
    const requestState = await this.#ctx.requestState.mint(state, extra);
    return { resultType: 'input_required', inputRequests, requestState };
  }

  // ——— a program of 2026-07-28 ———

  async #passed(method: string, params: RpcParams, extra: ServerContext): Promise<Result> {
    const state = extra.mcpReq.requestState<ProgramState | undefined>();
    const sent = modernParams(params, envelopeIn(extra), extra, state?.of);
    const taken = this.#take(method, extra, false);
    try {
      const result = await this.#inChild(taken.place, method, sent, extra);
      const own = result['requestState'];
      if (typeof own !== 'string') return result;
      const requestState = await this.#ctx.requestState.mint(
        { of: own } satisfies ProgramState,
        extra,
      );
      return { ...result, requestState };
    } finally {
      taken.giveBack();
    }
  }
}

function promisedOf({ capabilities }: Described, maySubscribe: boolean): Described['capabilities'] {
  const { resources } = capabilities;
  if (maySubscribe || !isObject(resources)) return capabilities;
  const { subscribe: _, ...kept } = resources;
  return { ...capabilities, resources: kept };
}

/** Log messages pass as the request asks for them: without a level none does. */
function roundOf(extra: ServerContext): Notified {
  const { level } = clientIn(envelopeIn(extra));
  const notify = notifying(extra, level);
  return (method, params) => {
    if (level !== undefined || roleOf(method) !== 'log') notify(method, params);
  };
}

/** An error of 2025-11-25 that sends the user to pages, as questions of 2026-07-28. */
function urlsOf(cause: unknown): InputRequests | undefined {
  const { code, data } = Object(cause) as { readonly code?: unknown; readonly data?: unknown };
  const urls = isObject(data) ? data['elicitations'] : undefined;
  if (code !== URL_NEEDED || !Array.isArray(urls)) return undefined;
  const questions = urls.filter(isObject).map((params, n) => {
    return [`u${n + 1}`, { method: 'elicitation/create', params }] as const;
  });
  return Object.fromEntries(questions);
}

/**
 * Which server a client gets, by what it speaks and what the program speaks:
 *
 *     client  program  server
 *     2025    2025     a child for the session, messages as they are (`session-server.ts`)
 *     2025    2026     the same where the program takes 2025 too, else `session-on-modern.ts`
 *     2026    either   `modern-server.ts`, with the children of `caller-children.ts`
 */
import type { Server } from '@modelcontextprotocol/server';
import type { McpEndpointContext } from '../base/types.ts';
import { CallerChildren } from './caller-children.ts';
import { type CallsInChildren, modernServer } from './modern-server.ts';
import type { Described } from './probe.ts';
import type { Program } from './program.ts';
import { Runs } from './runs.ts';
import { sessionOnModern } from './session-on-modern.ts';
import { sessionServer } from './session-server.ts';

/** The servers of one program. */
export class ProgramServers {
  readonly program: Program;
  readonly #calls: CallsInChildren;
  /** Whether a program of 2026-07-28 takes `initialize` too. `undefined`: no session was opened. */
  #takesLegacy: boolean | undefined = undefined;
  /** The first session finds out. It never rejects. */
  #findingOut: Promise<unknown> | undefined = undefined;

  constructor(program: Program) {
    this.program = program;
    const { time } = program.pool.options;
    this.#calls = { program, children: new CallerChildren(program), runs: new Runs(time) };
  }

  async serverFor(ctx: McpEndpointContext): Promise<Server> {
    const { program } = this;
    const described = await program.described();
    if (ctx.era === 'modern') return modernServer(this.#calls, ctx, described);
    return (await this.#sessionServer(ctx, described)) ?? sessionOnModern(program, ctx, described);
  }

  /** `undefined`: the program, or the child that all share, takes no handshake. */
  async #sessionServer(ctx: McpEndpointContext, described: Described): Promise<Server | undefined> {
    const { program } = this;
    if (described.era === 'legacy') return sessionServer(program, ctx, described, ctx.restored);
    // Many are restored at once when a worker has died. They do not need a child each to find out.
    if (ctx.restored) await this.#findingOut;
    if (program.options.oneChild === true || this.#takesLegacy === false) return undefined;
    const mayStartLater = ctx.restored && this.#takesLegacy === true;
    const making = sessionServer(program, ctx, described, mayStartLater);
    const found = making.then((server) => (this.#takesLegacy = server !== undefined));
    this.#findingOut ??= found.catch(() => (this.#findingOut = undefined));
    return making;
  }

  close(): void {
    this.#calls.children.stop();
    this.#calls.runs.close();
  }
}

/**
 * Which server a client gets, by what it speaks and what the program speaks:
 *
 *     client  program  server
 *     2025    2025     a child for the session, messages as they are (`session-server.ts`)
 *     2025    2026     the same where the program takes 2025 too, else `session-on-modern.ts`
 *     2026    either   `modern-server.ts`, with the children of `caller-children.ts`
 */
import type { Server } from '@modelcontextprotocol/server';
import { AnswerError } from '../base/errors/answer-error.ts';
import type { McpEndpointContext } from '../base/types.ts';
import { CallerChildren } from './caller-children.ts';
import { type CallsInChildren, modernServer } from './modern-server.ts';
import type { Program } from './program.ts';
import { Runs } from './runs.ts';
import { sessionOnModern } from './session-on-modern.ts';
import { refusingServer } from './new-server.ts';
import { sessionServer } from './session-server.ts';

/** The servers of one program. */
export class ProgramServers {
  readonly program: Program;
  readonly #calls: CallsInChildren;

  constructor(program: Program) {
    this.program = program;
    const { time } = program.pool.options;
    this.#calls = { program, children: new CallerChildren(program), runs: new Runs(time) };
  }

  async serverFor(ctx: McpEndpointContext): Promise<Server> {
    const { program } = this;
    const described = await program.described().catch((cause: unknown) => {
      const refusal = program.refusalOf(cause);
      // A session that is restored gets no other server later.
      if (refusal === undefined || ctx.restored) throw cause;
      return refusal;
    });
    if (described instanceof AnswerError) return refusingServer(described);
    if (ctx.era === 'modern') return modernServer(this.#calls, ctx, described);
    const make = (await program.takesHandshake(described)) ? sessionServer : sessionOnModern;
    return make(program, ctx, described);
  }

  close(): void {
    this.#calls.children.stop();
    this.#calls.runs.close();
  }
}

/**
 * Programs behind one endpoint, and the pool of their children. Several programs have a path each,
 * and ids of their sessions begin with the name of the program: a session that moves to another
 * instance is of the same program there, and no other path takes it.
 */
import type { Server } from '@modelcontextprotocol/server';
import { base64url, keepingProcess, systemRandom, systemTime } from '../base/system.ts';
import type { McpEndpointContext, McpHttpRequest } from '../base/types.ts';
import { Pool } from './pool.ts';
import type { Described } from './probe.ts';
import { Program, type StdioLogger } from './program.ts';
import { sweepDeadGateways } from './remains.ts';
import { ProgramServers } from './program-servers.ts';
import { STDIO_DEFAULTS, type StdioOptions } from './stdio-options.ts';

const ID_BYTES = 24;
const BETWEEN = '~';
/** Its supervisor may be process 1 instead: descendants of a child become children of that one. */
const isProcessOne = (): boolean => process.pid === 1 || (process.ppid === 1 && process.connected);
const PROCESS_ONE =
  'Process 1 of this container is Node.js, which leaves ended processes of programs behind as zombies: start tini as process 1';

/** The path of a program of several. */
export const pathOf = (name: string): string => `/${name}/mcp`;

export class Gateway {
  readonly #pool: Pool;
  readonly #programs: ReadonlyMap<string, ProgramServers>;

  /** `programs`: options by name. One program may have any name. */
  constructor(programs: ReadonlyMap<string, StdioOptions>, logger: StdioLogger) {
    const [options = { command: '' }] = programs.values();
    const swept = sweepDeadGateways();
    if (swept > 0) logger.warn({ processes: swept }, 'Processes of a gateway that died are killed');
    if (isProcessOne()) logger.warn({}, PROCESS_ONE);
    this.#pool = new Pool({
      maxChildren: options.maxChildren,
      childIdleTimeoutMs: options.childIdleTimeoutMs ?? STDIO_DEFAULTS.childIdleTimeoutMs,
      startMs: options.childStartMs ?? STDIO_DEFAULTS.childStartMs,
      maxWaitMs: STDIO_DEFAULTS.maxWaitMs,
      startWaitMs: STDIO_DEFAULTS.startWaitMs,
      childMemoryBytes: options.childMemoryBytes,
      time: systemTime,
      logger,
    });
    this.#programs = new Map(
      [...programs].map(([name, one]) => [
        name,
        new ProgramServers(new Program(one, this.#pool, logger, name || undefined)),
      ]),
    );
  }

  get figures(): Pool['figures'] {
    return this.#pool.figures;
  }

  async server(ctx: McpEndpointContext): Promise<Server> {
    return this.#programOf(ctx).serverFor(ctx);
  }

  #programOf({ session, requestInfo }: McpEndpointContext): ProgramServers {
    const [only, ...others] = this.#programs.values();
    const name = session === undefined ? nameIn(requestInfo) : session.id.split(BETWEEN)[0];
    const program = others.length === 0 ? only : this.#programs.get(name ?? '');
    // A session of another deployment, or of a program that the file has no more.
    if (program === undefined) throw new Error('No program has this session or path');
    return program;
  }

  /** For several programs: the option `sessionIdGenerator`. */
  readonly sessionIdGenerator = Object.assign(
    ({ request }: { readonly request: McpHttpRequest }): string =>
      `${nameIn(request)}${BETWEEN}${base64url(systemRandom(ID_BYTES))}`,
    {
      accepts: (sessionId: string, request: McpHttpRequest): boolean =>
        sessionId.split(BETWEEN, 1)[0] === nameIn(request),
    },
  );

  /** Asks each program what it is. An error says why one does not start: its next call asks again. */
  probe(): ReadonlyMap<string, Promise<Described | Error>> {
    const found = ({ program }: ProgramServers) =>
      keepingProcess(() => program.described().catch((cause: Error) => cause));
    return new Map([...this.#programs].map(([name, servers]) => [name, found(servers)]));
  }

  close(): Promise<void> {
    for (const program of this.#programs.values()) program.close();
    return this.#pool.close();
  }
}

/** The name in the path of a request. */
function nameIn(request: McpHttpRequest | undefined): string {
  const [, name = ''] = new URL(request?.url ?? 'http://localhost/').pathname.split('/');
  return decodeURIComponent(name);
}

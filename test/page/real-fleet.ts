/**
 * A real deployment: processes of `sojourn serve --dashboard` on one SQLite file, and clients that send each request to
 * any of them, as a balancer would.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from '../kit/free-port.ts';
import { envelope, mirrored } from '../kit/modern.ts';

const PROGRAM = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const MODULE = fileURLToPath(new URL('processes/tools.mjs', import.meta.url));
const START_MS = 20_000;
const TRIES = 60;

export const TOKEN = 'a-token-of-this-test';

interface RunningInstance {
  readonly name: string;
  readonly port: number;
  readonly child: ChildProcess;
  readonly output: { text: string };
}

export interface RealFleetOptions {
  readonly names: readonly string[];
  /** Each process has its name as the name of its host: for pictures. Needs Linux and root. */
  readonly hostnames?: boolean;
  /** Clients name their users. */
  readonly users?: boolean;
  readonly flags?: readonly string[];
  /** A URL. Default: an SQLite file. */
  readonly store?: string;
}

const hasUnshare = (): boolean => spawnSync('unshare', ['--uts', 'true']).status === 0;

export class RealFleet {
  readonly folder = mkdtempSync(join(tmpdir(), 'sojourn-page-'));
  readonly instances = new Map<string, RunningInstance>();
  readonly #options: RealFleetOptions;
  readonly #hostnames: boolean;

  constructor(options: RealFleetOptions) {
    this.#options = options;
    this.#hostnames = options.hostnames === true && hasUnshare();
  }

  async start(): Promise<void> {
    for (const name of this.#options.names) await this.startInstance(name);
  }

  /** `port`: that of an earlier instance of this name, so that its page finds it again. */
  async startInstance(name: string, port?: number): Promise<RunningInstance> {
    const free = port ?? (await freePort());
    const store = this.#options.store ?? `sqlite:${join(this.folder, 'sessions.db')}`;
    const flags = ['--port', String(free), '--store', store, '--dashboard', ...(this.#options.flags ?? [])];
    const command = [process.execPath, PROGRAM, 'serve', MODULE, ...flags];
    const [file = '', ...args] = this.#hostnames
      ? ['unshare', '--uts', 'sh', '-c', 'hostname "$0" && exec "$@"', name, ...command]
      : command;
    const output = { text: '' };
    const child = spawn(file, args, {
      env: {
        ...process.env,
        SOJOURN_WORKERS: '0',
        SOJOURN_DASHBOARD_TOKEN: TOKEN,
        ...(this.#options.users === true && { TOOLS_USERS: '1' }),
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => (output.text += text));
    const instance = { name, port: free, child, output };
    this.instances.set(name, instance);
    const deadline = performance.now() + START_MS;
    while (!output.text.includes('Stop with Ctrl+C')) {
      if (child.exitCode !== null || performance.now() > deadline) throw new Error(`${name}: ${output.text}`);
      await delay(20);
    }
    return instance;
  }

  #instance(name: string): RunningInstance {
    const instance = this.instances.get(name);
    if (instance === undefined) throw new Error(`${name} does not run`);
    return instance;
  }

  dashboard(name: string): string {
    return `http://127.0.0.1:${this.#instance(name).port}/dashboard/`;
  }

  pid(name: string): number | undefined {
    return this.#instance(name).child.pid;
  }

  async signal(name: string, signal: NodeJS.Signals): Promise<void> {
    const { child } = this.#instance(name);
    const closed = once(child, 'close');
    child.kill(signal);
    if (signal === 'SIGSTOP' || signal === 'SIGCONT') return;
    await closed;
  }

  kill(name: string): Promise<void> {
    return this.signal(name, 'SIGKILL');
  }

  get ports(): number[] {
    return [...this.instances.values()]
      .filter(({ child }) => child.exitCode === null && child.signalCode === null)
      .map(({ port }) => port);
  }

  async close(): Promise<void> {
    for (const { child } of this.instances.values()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGKILL');
      await once(child, 'close');
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** One address for all instances, as a balancer without checks gives: the first one that accepts gets a connection. */
export async function balanced(fleet: RealFleet): Promise<{ readonly port: number; close(): void }> {
  const server = createServer((client) => {
    client.on('error', () => {});
    const pass = ([port, ...others]: readonly number[]): void => {
      if (port === undefined) return void client.destroy();
      const target = connect(port, '127.0.0.1');
      target.once('connect', () => {
        target.on('close', () => client.destroy());
        client.on('close', () => target.destroy());
        client.pipe(target).pipe(client);
      });
      target.on('error', () => (target.connecting || target.pending ? pass(others) : client.destroy()));
    };
    pass(fleet.ports);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { port: (server.address() as AddressInfo).port, close: () => void server.close() };
}

export interface ClientKind {
  readonly name: string;
  readonly version: string;
  /** A revision of 2025, or 2026-07-28. */
  readonly protocolVersion: string;
  readonly user?: string;
}

/** One client. A request that finds no instance goes to another one, as behind a balancer. */
export class FleetClient {
  readonly #fleet: Pick<RealFleet, 'ports'>;
  readonly kind: ClientKind;
  sessionId: string | undefined;
  /** What the client was told instead of an answer. */
  readonly errors: string[] = [];
  #id = 0;
  #pinned: number | undefined;
  readonly #abort = new AbortController();

  constructor(fleet: Pick<RealFleet, 'ports'>, kind: ClientKind) {
    this.#fleet = fleet;
    this.kind = kind;
  }

  get #isModern(): boolean {
    return this.kind.protocolVersion >= '2026';
  }

  async open(): Promise<void> {
    if (this.#isModern) return;
    const { name, version, protocolVersion } = this.kind;
    const params = { protocolVersion, capabilities: {}, clientInfo: { name, version } };
    const response = await this.#send({ jsonrpc: '2.0', id: this.#next(), method: 'initialize', params });
    this.sessionId = response.headers.get('mcp-session-id') ?? undefined;
    await response.text();
    await (await this.#send({ jsonrpc: '2.0', method: 'notifications/initialized' })).text();
  }

  /** The GET stream; it ends with the client. */
  async listen(): Promise<void> {
    if (this.#isModern) return;
    const [port] = this.#fleet.ports;
    const headers = { ...this.#headers('GET', {}), Accept: 'text/event-stream' };
    const response = await fetch(`http://127.0.0.1:${port}/mcp`, { headers, signal: this.#abort.signal }).catch(
      () => undefined,
    );
    void response?.text().catch(() => undefined);
  }

  /** From now on its requests go to this port alone. */
  pin(port: number | undefined): void {
    this.#pinned = port;
  }

  /** The status of a request of its session. */
  async status(): Promise<number> {
    const response = await this.#send({ jsonrpc: '2.0', id: this.#next(), method: 'ping' });
    await response.text();
    return response.status;
  }

  async call(tool: string, given: Record<string, unknown> = {}): Promise<string> {
    const { name, version } = this.kind;
    const meta = { 'io.modelcontextprotocol/clientInfo': { name, version } };
    const params = { name: tool, arguments: given, ...(this.#isModern && { _meta: envelope({}, meta) }) };
    const response = await this.#send({ jsonrpc: '2.0', id: this.#next(), method: 'tools/call', params });
    const text = await response.text();
    if (!response.ok || !text.includes('"result"')) this.errors.push(`${response.status} ${text.slice(0, 200)}`);
    return text;
  }

  close(): void {
    this.#abort.abort();
  }

  #next(): number {
    return (this.#id += 1);
  }

  #headers(method: string, params: Record<string, unknown>): Record<string, string> {
    const { user, protocolVersion } = this.kind;
    return {
      'Content-Type': 'application/json',
      Accept: 'application/json, text/event-stream',
      ...(user !== undefined && { 'x-user': user }),
      ...(this.sessionId !== undefined && {
        'Mcp-Session-Id': this.sessionId,
        'MCP-Protocol-Version': protocolVersion,
      }),
      ...(this.#isModern && (mirrored(method, params) as Record<string, string>)),
    };
  }

  async #send(message: {
    readonly method: string;
    readonly params?: Record<string, unknown>;
    readonly [key: string]: unknown;
  }) {
    const headers = this.#headers(message.method, message.params ?? {});
    let cause: unknown;
    for (let attempt = 0; attempt < TRIES; attempt += 1) {
      const { ports } = this.#fleet;
      const port = this.#pinned ?? ports[Math.floor(Math.random() * ports.length)];
      // A request that was cut may still run at its owner: it is sent again as another one.
      const body = JSON.stringify(attempt > 0 && 'id' in message ? { ...message, id: this.#next() } : message);
      try {
        return await fetch(`http://127.0.0.1:${port}/mcp`, {
          method: 'POST',
          headers,
          body,
          signal: this.#abort.signal,
        });
      } catch (error) {
        cause = error;
        if (this.#abort.signal.aborted) throw error;
        await delay(20);
      }
    }
    throw cause;
  }
}

export const KINDS: readonly ClientKind[] = [
  { name: 'claude-code', version: '2.1.0', protocolVersion: '2025-11-25' },
  { name: 'Cursor', version: '1.9.2', protocolVersion: '2025-06-18' },
  { name: 'Visual Studio Code', version: '1.112.0', protocolVersion: '2025-11-25' },
  { name: 'ChatGPT', version: '1.0.0', protocolVersion: '2025-06-18' },
  { name: 'codex-mcp-client', version: '0.61.0', protocolVersion: '2025-11-25' },
  { name: 'mcp', version: '1.30.0', protocolVersion: '2025-11-25' },
  { name: 'go-sdk', version: '1.8.0', protocolVersion: '2026-07-28' },
];

/** Which of them comes next: some are more common than others. */
const SHARES = [0, 1, 6, 2, 0, 3, 1, 0, 4, 2, 6, 0, 5, 1, 3];

const TOOLS = ['search_docs', 'get_issue', 'list_issues', 'run_query', 'read_file', 'translate'];

/** Clients that call until they are closed. `everyMs`: the mean time between two calls of one client. */
export class Traffic {
  readonly clients: FleetClient[] = [];
  readonly #running: Promise<void>[] = [];
  #isOver = false;

  async start(fleet: RealFleet, number: number, everyMs: number, users: readonly string[] = []): Promise<void> {
    for (let k = 0; k < number; k += 1) {
      const user = users[(k * 7) % Math.max(1, users.length)];
      const kind = KINDS[SHARES[k % SHARES.length] ?? 0] as ClientKind;
      const client = new FleetClient(fleet, { ...kind, ...(user !== undefined && { user }) });
      await client.open();
      if (k % 3 !== 0) await client.listen();
      this.clients.push(client);
      // A few call often, others seldom: as people do.
      this.#running.push(this.#run(client, k % 5 === 4 ? everyMs * 8 : everyMs, k));
    }
  }

  async #run(client: FleetClient, everyMs: number, k: number): Promise<void> {
    for (let n = k; !this.#isOver; n += 1) {
      await delay(everyMs * (0.4 + Math.random() * 1.2));
      if (this.#isOver) return;
      await client.call(TOOLS[(n * 5 + k) % TOOLS.length] as string).catch(() => undefined);
    }
  }

  get errors(): string[] {
    return this.clients.flatMap(({ errors }) => errors);
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    for (const client of this.clients) client.close();
    await Promise.all(this.#running);
  }
}

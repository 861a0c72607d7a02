/** Thirty official clients, and what they see: ten of SDK 1, ten of SDK 2 with sessions, ten that ask for 2026-07-28. */
import { HUNG_MS } from '../../src/cli/prove/clients.ts';
import { Crowd, type Done, type Person } from '../../src/cli/prove/crowd.ts';
import {
  type ConnectOptions,
  openV1,
  openV2,
  type OfficialClient,
} from '../../test/kit/official-client.ts';

const EACH = 10;
const KINDS = {
  v1: (url: string, options: ConnectOptions) => openV1(url, options),
  v2: (url: string, options: ConnectOptions) => openV2(url, options),
  modern: (url: string, options: ConnectOptions) => openV2(url, options, 'http', 'auto'),
} as const;
type Kind = keyof typeof KINDS;

/** What a user does in a row, with a pause between. */
const TOOLS = ['echo', 'count', 'echo', 'ask', 'count', 'slow', 'echo', 'count'] as const;
type Tool = (typeof TOOLS)[number];
const SLOW_MS = 5_000;
/** The SDKs' own. */
const RECONNECTION = {
  initialReconnectionDelay: 1_000,
  maxReconnectionDelay: 30_000,
  reconnectionDelayGrowFactor: 1.5,
  maxRetries: 2,
};

/** Their crowd. */
export class Users extends Crowd<User> {
  constructor(url: string) {
    const kinds = Object.keys(KINDS) as Kind[];
    super(kinds.flatMap((kind) => Array.from({ length: EACH }, (_, n) => new User(kind, n, url))));
  }

  /** Counters that began again. */
  get countersLost(): number {
    return this.people.reduce((sum, { countersLost }) => sum + countersLost, 0);
  }
}

class User implements Person {
  readonly kind: Kind;
  countersLost = 0;
  readonly #url: string;
  readonly #name: string;
  #client: OfficialClient | undefined;
  #calls = 0;
  #count = 0;
  #handle: string | undefined;

  constructor(kind: Kind, number: number, url: string) {
    this.kind = kind;
    this.#url = url;
    this.#name = `${kind}${number}`;
  }

  async connect(): Promise<void> {
    const options: ConnectOptions = {
      elicit: () => ({ action: 'accept', content: { colour: this.#name } }),
      reconnection: RECONNECTION,
      timeout: HUNG_MS,
    };
    this.#client = await KINDS[this.kind](this.#url, options);
  }

  async act(n: number): Promise<Done> {
    const tool = TOOLS[n % TOOLS.length] as Tool;
    const begun = performance.now();
    const failed = await this.#call(tool);
    const waitedMs = performance.now() - begun - (tool === 'slow' ? SLOW_MS : 0);
    return { tool, waitedMs, ...(failed !== undefined && { failed }) };
  }

  /** Resolves with why it failed. */
  async #call(tool: Tool): Promise<string | undefined> {
    const nonce = `${this.#name}.${(this.#calls += 1)}`;
    try {
      const args = { nonce, ...(this.#handle !== undefined && { handle: this.#handle }) };
      const said = await this.#client?.say(tool, args, { timeout: HUNG_MS });
      if (tool === 'count') return this.#counted(said ?? '');
      return said === (tool === 'ask' ? this.#name : nonce) ? undefined : `wrong: ${said}`;
    } catch (error) {
      const { message, data } = error as Error & { data?: { reason?: string } };
      return data?.reason ?? /(?<=<title>)[^<]*/.exec(message)?.[0] ?? message;
    }
  }

  #counted(said: string): string | undefined {
    if (said === '') return undefined; // This side keeps nothing for clients without a session.
    const [count, handle] = said.split(' ');
    const isKept = Number(count) > 0;
    if (!isKept || Number(count) <= this.#count) this.countersLost += 1;
    this.#count = isKept ? Number(count) : 0;
    this.#handle = isKept ? handle : undefined;
    return isKept ? undefined : `wrong: ${said.slice(0, 20)}`;
  }

  ping(timeoutMs: number): Promise<void> | undefined {
    const client = this.#client;
    if (client?.sessionId === undefined) return undefined;
    return client.client.ping({ timeout: timeoutMs }).then(() => {});
  }

  async close(): Promise<void> {
    await this.#client?.close();
    this.#client = undefined;
  }
}

/** The official clients of both lines, and of both eras, as actors. */
import { Client as ClientV2, StreamableHTTPClientTransport as HttpV2 } from '@modelcontextprotocol/client';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { type Call, type Ending, type History, now, type Story } from '../history.ts';
import { isOver } from '../messages.ts';
import { pause, within } from '../pause.ts';
import { type Actor, type ActorOptions, ANSWER_MS, Nonces, Pending, type Work } from './actor.ts';
import { Wire } from './wire.ts';

export type Line = 'v1' | 'v2';

const MODERN = '2026-07-28';
/** Longer than any run: what takes so long is for the checker to find. */
const TIMEOUT_MS = 1_800_000;
/** Once its answer is on the wire. */
const NOTICE_MS = 10_000;
/** For the calls of a session that was deleted to be told so. */
const LEAVE_MS = 3_000;
/** For the wire to explain what a client threw. */
const EXPLAIN_MS = 1_000;

/** The client itself, as far as the lines differ. */
interface Connected {
  readonly version: string | undefined;
  call(name: string, args: Record<string, unknown>, onprogress: () => void): Promise<unknown>;
  list(): Promise<unknown>;
  terminate(): Promise<void>;
  close(): Promise<void>;
}

export interface OfficialOptions extends ActorOptions {
  readonly line: Line;
}

export class OfficialActor implements Actor {
  readonly name: string;
  readonly user: string;
  readonly stateless: boolean;
  readonly pending = new Pending();
  story: Story | undefined;
  readonly #options: OfficialOptions;
  readonly #history: History;
  readonly #nonces: Nonces;
  #wire: Wire | undefined;
  #connected: Connected | undefined;
  #closed = false;

  constructor(options: OfficialOptions) {
    this.#options = options;
    this.#history = options.history;
    this.name = options.name;
    this.user = `user-${options.name}`;
    this.stateless = options.version === MODERN;
    this.#nonces = new Nonces(options.name);
  }

  get ready(): boolean {
    return this.#connected !== undefined;
  }

  async open(): Promise<boolean> {
    for (let tries = 0; tries < 10 && !this.#closed; tries++) {
      if (await this.#open()) return true;
      await pause(50);
    }
    return false;
  }

  async #open(): Promise<boolean> {
    this.#nonces.nextSession();
    const { history, random, route, version } = this.#options;
    const { prefix } = this.#nonces;
    let story: Story | undefined;
    const wire = new Wire({
      history,
      random,
      route,
      user: this.user,
      initializeAs: this.stateless ? undefined : version,
      opened: (id, owner) => {
        story = history.open({ id, client: this.name, user: this.user, version, prefix, owner });
      },
      story: () => story,
      prefix: () => prefix,
    });
    const answer = async (message: string): Promise<object> => {
      await pause(random.between(0, ANSWER_MS));
      return { action: 'accept', content: { answer: message } };
    };
    let connected;
    try {
      connected = await (this.#options.line === 'v1'
        ? connectV1(wire, answer)
        : connectV2(wire, answer, this.stateless));
    } catch (error) {
      // Cut off in the middle of it: what the client makes of that, it has to be told to try again.
      history.count(`connect failed: ${String(error).slice(0, 60)}`);
      wire.close();
      return false;
    }
    this.#wire = wire;
    this.#connected = connected;
    if (connected.version !== version)
      history.violation('status', `${this.name} speaks ${connected.version} instead of ${version}`);
    this.story = story;
    return true;
  }

  async list(): Promise<void> {
    await this.#connected?.list().catch(() => {});
  }

  call(tool: string, work: Work = {}): Promise<Call> {
    const call = this.#history.call({
      client: this.name,
      tool,
      nonce: this.#nonces.next(),
      steps: work.steps ?? 0,
      story: this.story,
    });
    return this.pending.track(this.#call(call, work));
  }

  async #call(call: Call, { ms = 0, steps = 1, leaveAfter }: Work): Promise<Call> {
    const [connected, wire] = [this.#connected, this.#wire];
    if (connected === undefined || wire === undefined) throw new Error(`${this.name} is not connected`);
    if (leaveAfter !== undefined) void pause(leaveAfter).then(() => wire.leave());
    const over = wire.ended(call);
    const called = connected
      .call(call.tool, { nonce: call.nonce, ms, steps }, () => {})
      .then(
        (): Ending => ({ kind: 'exception', text: 'a result that was not on the wire' }),
        (error: unknown): Ending =>
          (this.stateless ? lostAnswer(error) : undefined) ?? { kind: 'exception', text: String(error) },
      );
    const ending = await Promise.race([called, over]);
    if (this.#closed) return call;
    if (ending.kind === 'exception' && call.story !== this.story) {
      this.#history.end(call, { kind: 'left' });
      return call;
    }
    // What came over the wire says more than what the client made of it; but it must have made something of it.
    if (isOver(call)) await this.#noticed(call, called);
    else if (ending.kind === 'exception') this.#history.end(call, (await within(EXPLAIN_MS, over)) ?? ending);
    else this.#history.end(call, ending);
    return call;
  }

  async #noticed(call: Call, called: Promise<Ending>): Promise<void> {
    if ((await within(NOTICE_MS, called)) === undefined)
      this.#history.violation('unexplained', `${call.nonce}: its client never noticed the answer`);
  }

  dropGet(): void {
    this.#wire?.dropGet();
  }

  async delete(): Promise<void> {
    const { story } = this;
    if (story === undefined) return;
    story.deleteSentAt = now();
    this.story = undefined;
    try {
      await this.#connected?.terminate();
      story.deletedAt = now();
    } catch (error) {
      if (story.notFoundAt !== undefined) story.deletedAt = now();
      else this.#history.count(`DELETE failed: ${String(error).slice(0, 60)}`);
    }
    // Calls that still run get the error that the session has ended.
    await within(LEAVE_MS, Promise.all(this.pending));
    await this.#disconnect();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#disconnect();
  }

  async #disconnect(): Promise<void> {
    const connected = this.#connected;
    this.#connected = undefined;
    this.#wire?.close();
    await connected?.close();
  }
}

const identity = { name: 'chaos', version: '1.0.0' };
const capabilities = { elicitation: { form: {} } };
type Answer = (message: string) => Promise<object>;

/** As persistent as a client can be told to be; the server says how long to wait. */
const persistent = () => ({
  initialReconnectionDelay: 60,
  maxReconnectionDelay: 500,
  reconnectionDelayGrowFactor: 1.2,
  maxRetries: 10_000,
});

async function connectV1(wire: Wire, answer: Answer): Promise<Connected> {
  const reconnectionOptions = persistent();
  const client = new ClientV1(identity, { capabilities });
  client.setRequestHandler(ElicitRequestSchema, ({ params }) => answer(params.message) as never);
  const transport = new HttpV1(new URL(wire.url), { fetch: wire.fetch, reconnectionOptions });
  await client.connect(transport);
  return {
    version: transport.protocolVersion,
    call: (name, args, onprogress) =>
      client.callTool({ name, arguments: args }, undefined, { timeout: TIMEOUT_MS, onprogress }),
    list: () => client.listTools(),
    terminate: () => transport.terminateSession(),
    close: () => {
      // Closing takes the timer of one stream away; another that waits to come back would go on trying.
      reconnectionOptions.maxRetries = 0;
      return client.close();
    },
  };
}

async function connectV2(wire: Wire, answer: Answer, modern: boolean): Promise<Connected> {
  const reconnectionOptions = persistent();
  const mode = modern ? 'auto' : 'legacy';
  const client = new ClientV2(identity, { capabilities, versionNegotiation: { mode } });
  client.setRequestHandler('elicitation/create', ({ params }) => answer(params.message) as never);
  const transport = new HttpV2(new URL(wire.url), { fetch: wire.fetch, reconnectionOptions });
  await client.connect(transport);
  return {
    version: client.getNegotiatedProtocolVersion(),
    call: (name, args, onprogress) => client.callTool({ name, arguments: args }, { timeout: TIMEOUT_MS, onprogress }),
    list: () => client.listTools(),
    terminate: () => transport.terminateSession(),
    close: () => {
      reconnectionOptions.maxRetries = 0;
      return client.close();
    },
  };
}

/**
 * After a cut a client of 2026-07-28 comes back with a GET, which belongs to no session whose stream the tap follows.
 * It is answered with the error of the call.
 */
function lostAnswer(error: unknown): Ending | undefined {
  const { code, message, data } = error as { code?: number; message?: string; data?: Record<string, unknown> };
  if (data?.['reason'] !== 'answer_not_kept' || code === undefined) return undefined;
  return { kind: 'error', code, message: message ?? '', reason: data['reason'], mayHaveRun: data['mayHaveRun'] };
}

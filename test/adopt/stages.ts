/**
 * The stages of one published server. Official clients connect, list, call and are asked; the process is killed and
 * started again; it is stopped with SIGTERM and started again; two processes serve one client by turns. The same
 * clients stay connected from the first stage to the third.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemTime, within } from '../../src/base/system.ts';
import {
  type AdoptingClient,
  answerOnStdio,
  type Call,
  type ClientKind,
  CLIENTS,
} from './clients.ts';
import { inherited, startNode } from '../kit/child-process.ts';
import { freePort } from '../kit/free-port.ts';
import type { Message } from '../kit/sse-parser.ts';
import { until } from '../kit/until.ts';

/** Where one published server is tried. */
export interface Place {
  /** The app of the author. */
  readonly app: string;
  /** The folder that a client names as its root. */
  readonly root: string;
  readonly database: string;
}

const urlOf = (port: number): string => `http://127.0.0.1:${port}/mcp`;

/** Puts the folder of the client where the list of servers says `{root}`. */
const fill = (text: string, { root }: Place): string => text.replaceAll('{root}', root);

/** One entry of `servers.json`. A server is served from a module of its author, or from one of its files, changed. */
export interface PublishedServer {
  readonly name: string;
  /** `name@version`; the first is the server. */
  readonly packages: readonly string[];
  /** A file of `test/adopt/servers/`, or of the app's `node_modules/` where `edits` are made. */
  readonly module: string;
  /** Texts of the module that occur once, and what replaces them. `end`: what follows its last line. */
  readonly edits?: ReadonlyArray<readonly [from: string, to: string]>;
  readonly end?: string;
  /** The SDK whose copy the server uses. */
  readonly sdk: '@modelcontextprotocol/sdk' | '@modelcontextprotocol/server';
  /** A call, and a pattern of its answer. Without it: the same as on stdio. `{root}`: the client's folder. */
  readonly call: Call & { readonly expect?: string };
  /** The published server on stdio, its own transport, if it is not `module`: a file of `node_modules/`, its arguments. */
  readonly own?: readonly [file: string, ...args: string[]];
  /** A call whose answer needs what the client says, and a pattern of that answer. */
  readonly question?: Call & { readonly expect: string; readonly asks: string };
  /** A resource to which each client subscribes, and a call of another client after which it gets the update. */
  readonly watch?: { readonly uri: string; readonly call: Call };
  /** What follows `--`. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export const SERVERS = JSON.parse(
  readFileSync(new URL('servers.json', import.meta.url), 'utf8'),
) as readonly PublishedServer[];

type Stage = 'fresh' | 'SIGKILL' | 'SIGTERM' | 'two instances';

interface Person {
  readonly kind: ClientKind;
  readonly client: AdoptingClient;
  readonly url: string;
}

const UPDATED = 'notifications/resources/updated';

/** The question of a new session waits for the GET stream of its client: for `retryMs` (4 s) and a second. */
const ASKED_MS = 8_000;

/** As a message, or as 2026-07-28 asks: in a result. */
const got = ({ messages }: AdoptingClient, wanted: string): boolean =>
  messages.some(({ method, result }) => {
    const asked = Object.values(Object(result?.['inputRequests']) as Record<string, Message>);
    return [method, ...asked.map((question) => question.method)].includes(wanted);
  });

/** How the server is served: the words of `sojourn` before and after the flags. */
export interface Way {
  readonly before: readonly string[];
  readonly after: readonly string[];
  /** Behind `sojourn stdio` it has clients of both eras, and a process for each. */
  readonly isOnStdio: boolean;
}

/** Whether a client of 2026-07-28 is served in that era. */
const isModern = ({ sdk }: PublishedServer, { isOnStdio }: Way): boolean =>
  isOnStdio || sdk.endsWith('/server');

const noNetwork = new URL('processes/no-network.mjs', import.meta.url).href;

export const environmentOf = (
  { env = {} }: PublishedServer,
  place: Place,
): Record<string, string> => ({
  ...Object.fromEntries(Object.entries(env).map(([name, text]) => [name, fill(text, place)])),
  NODE_OPTIONS: `--import=${noNetwork}`,
});

/** How the published server starts on stdio, before its author changes it. */
export function ownCommand({ own, module, args = [] }: PublishedServer, place: Place) {
  const [file, ...words] = own ?? ([module, ...args] as const);
  return [process.execPath, join(place.app, 'node_modules', file), ...words] as const;
}

/** What it answers on stdio. */
export async function ownAnswer(server: PublishedServer, place: Place): Promise<string> {
  const [command, ...args] = ownCommand(server, place);
  const started = { command, args, cwd: place.app };
  const env = { ...inherited, ...environmentOf(server, place) } as Record<string, string>;
  return answerOnStdio({ ...started, env }, filled(server.call, place));
}

const filled = ({ name, args = {} }: Call, place: Place): Call => ({
  name,
  args: JSON.parse(fill(JSON.stringify(args), place)) as Record<string, unknown>,
});

/** Longer than the default: loading a large server blocks a busy machine, and a stage is not about that. */
const LEASE_MS = 8_000;
/** A module that listens for SIGTERM may keep its process from ending. */
const STOPPED_MS = 20_000;

export class StagesRun {
  readonly #server: PublishedServer;
  readonly #place: Place;
  readonly #way: Way;
  /** What the call answers, where the list does not say it. */
  readonly #expected: string | undefined;
  readonly #failures: string[] = [];
  /** The processes that no stage has stopped. */
  readonly #instances: Array<ReturnType<typeof startNode>> = [];
  #people: Person[] = [];
  /** Requests go to two instances by turns. */
  #route: (() => string) | undefined;

  constructor(server: PublishedServer, place: Place, way: Way, expected: string | undefined) {
    this.#server = server;
    this.#place = place;
    this.#way = way;
    this.#expected = expected;
  }

  /** Resolves with each stage of a client that failed, and why. */
  async all(): Promise<string[]> {
    const port = await this.#start(await freePort());
    await this.#each('fresh', (kind) => this.#arrive(kind, urlOf(port)));
    for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
      await this.#stop(signal);
      await this.#start(port);
      await this.#stay(signal);
    }
    await this.#leave();
    await this.#stop('SIGKILL');
    const both = [urlOf(await this.#start(0)), urlOf(await this.#start(0))] as const;
    let turn = 0;
    this.#route = () => both[turn++ % 2] ?? '';
    await this.#each('two instances', async (kind) => {
      await this.#arrive(kind, both[0]);
      const person = this.#people.at(-1) as Person;
      for (let call = 0; call < 3; call++) await this.#use(person);
    });
    await this.#leave();
    return this.#failures;
  }

  async #leave(): Promise<void> {
    for (const { client } of this.#people.splice(0)) await client.close().catch(() => undefined);
  }

  /** SIGKILL ends its worker with it, and any other signal is for the supervisor alone. */
  async #stop(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    for (const { child, closed, stop } of this.#instances.splice(0)) {
      if (signal === 'SIGTERM') child.kill(signal);
      else await stop(signal);
      await within(systemTime, STOPPED_MS, closed, () => stop('SIGKILL'));
    }
  }

  /** Resolves with the port when the endpoint listens. 0 takes a free one. */
  async #start(port: number): Promise<number> {
    const { app, database } = this.#place;
    const { before, after } = this.#way;
    const cli = join(app, 'node_modules/sojourn/dist/cli/main.js');
    const flags = [
      '--port',
      String(port),
      '--store',
      `sqlite:${database}`,
      '--lease-ms',
      String(LEASE_MS),
    ];
    const words = ['--', ...after.map((text) => fill(text, this.#place))];
    const env = { ...inherited, ...environmentOf(this.#server, this.#place) };
    const instance = startNode([cli, ...before, ...flags, ...words], {
      cwd: app,
      env,
      isGroup: true,
    });
    this.#instances.push(instance);
    return Number(await instance.says(/bound to +\S+:(\d+)/));
  }

  /** Whether one, or a worker of it, has ended: a supervisor replaces a worker, and a client may not notice. */
  get #hasCrashed(): boolean {
    return this.#instances.some(
      ({ alive, output }) => !alive() || output.stderr.includes('worker died'),
    );
  }

  async #each(stage: Stage, work: (kind: ClientKind) => Promise<void>): Promise<void> {
    const isServed = ({ wants }: ClientKind): boolean =>
      wants !== 'pinned' || isModern(this.#server, this.#way);
    // The rounds of 2026-07-28 go on in the process on stdio that began them, so they need one instance.
    const isHere = ({ wants }: ClientKind): boolean =>
      stage !== 'two instances' || wants === '2025' || !this.#way.isOnStdio;
    for (const kind of CLIENTS.filter(isServed).filter(isHere)) {
      const failure = await this.#failureOf(work(kind));
      if (failure !== undefined) this.#failures.push(`${kind.name}, ${stage}: ${failure}`);
    }
  }

  /** The clients of the first stage use the server again. A client that never arrived has failed. */
  async #stay(stage: Stage): Promise<void> {
    await this.#each(stage, async (kind) => {
      const person = this.#people.find((each) => each.kind === kind);
      if (person === undefined) throw new Error('not connected');
      await this.#use(person);
    });
  }

  async #failureOf(work: Promise<void>): Promise<string | undefined> {
    try {
      await work;
      return this.#hasCrashed ? 'a process has crashed' : undefined;
    } catch (error) {
      return String(error instanceof Error ? error.message : error).slice(0, 300);
    }
  }

  async #arrive(kind: ClientKind, url: string): Promise<void> {
    const client = await kind.connect(url, this.#place.root, this.#route);
    const expectedEra =
      isModern(this.#server, this.#way) && kind.wants !== '2025' ? '2026-07-28' : '2025';
    if (client.era !== expectedEra)
      throw new Error(`the client is connected in the era ${client.era}`);
    const tools = await client.tools();
    const person = { kind, client, url };
    this.#people.push(person);
    if (tools.length === 0) throw new Error('no tools are listed');
    if (this.#watch !== undefined) await client.subscribe(this.#watch.uri);
    await this.#use(person, ASKED_MS);
  }

  /** A process on stdio hears of no change that another one makes. */
  get #watch(): PublishedServer['watch'] {
    return this.#way.isOnStdio ? undefined : this.#server.watch;
  }

  /** `askedMs`: a new server that asks in its first moments has an answer some time later. A restored one has it. */
  async #use({ client, url }: Person, askedMs = 0): Promise<void> {
    const { call, question } = this.#server;
    const watch = this.#watch;
    if (question !== undefined) await this.#expect(client, question, askedMs);
    // The answer may hold what another client said.
    if (question !== undefined)
      await until(() => got(client, question.asks), { timeoutMs: ASKED_MS }).catch(() => {
        throw new Error(`the client was not asked (${question.asks})`);
      });
    await this.#expect(client, call);
    if (watch !== undefined) await this.#change(client, watch.call, url);
    // Also an even number of requests, which go to two instances by turns: `server-memory` tells of changes
    // only in a process to which some client has subscribed.
    await client.tools();
  }

  /** Another client changes the resource: the subscriber gets the update, and the other client does not. */
  async #change(subscriber: AdoptingClient, { name, args }: Call, url: string): Promise<void> {
    const [first] = CLIENTS;
    const other = await (first as ClientKind).connect(url, this.#place.root, this.#route);
    try {
      subscriber.messages.length = 0;
      const filled = JSON.stringify(args ?? {}).replaceAll('{time}', String(performance.now()));
      await other.call({ name, args: JSON.parse(filled) as Record<string, unknown> });
      await until(() => got(subscriber, UPDATED), { timeoutMs: 5_000 }).catch(() => {
        throw new Error('the subscriber does not get the update of its resource');
      });
      if (got(other, UPDATED)) throw new Error('a client that has not subscribed gets the update');
    } finally {
      await other.close();
    }
  }

  async #expect(
    client: AdoptingClient,
    call: PublishedServer['call'],
    withinMs = 0,
  ): Promise<void> {
    const end = performance.now() + withinMs;
    for (;;) {
      const answer = await client.call(filled(call, this.#place));
      if (this.#isExpected(answer, call.expect)) return;
      if (performance.now() > end) throw new Error(`${call.name} answers ${answer.slice(0, 200)}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  #isExpected(answer: string, expect: string | undefined): boolean {
    if (expect === undefined) return comparable(answer) === comparable(this.#expected);
    return new RegExp(fill(expect, this.#place), 'i').test(answer);
  }
}

/** Some servers make an id up in each answer, or tell the time. */
const comparable = (answer = ''): string =>
  answer
    .replaceAll(/\b[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}\b/g, '{id}')
    .replaceAll(/\b\d{4}-\d\d-\d\dT[\d:.]+Z/g, '{time}');

/**
 * `sojourn prove`: two instances of a server, clients behind a proxy, and what befalls a deployment, in front of its
 * author. However this process ends, its instances and its folder go with it (`src/stdio/remains.ts`).
 */
import { mkdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { base64url, systemRandom } from '../../base/system.ts';
import { DRAIN_TIMEOUT_MS } from '../../base/options/defaults.ts';
import { endGuard, guardFolder, sweepRemains } from '../../stdio/remains.ts';
import { Failure, reason, UsageError } from '../failure.ts';
import { STOP_SIGNALS } from '../shutdown.ts';
import {
  type ClientKind,
  KINDS,
  lineFor,
  type Lines,
  officialLines,
  openClient,
  HUNG_MS,
} from './clients.ts';
import { Crowd } from './crowd.ts';
import { forgetDeployment } from './forget.ts';
import { ATTEMPT_HEADER, Front } from './front.ts';
import { ProvedInstance, type InstanceLog } from './proved-instance.ts';
import { Meter } from './meter.ts';
import { PlannedPerson, type LastTurns } from './person.ts';
import { checkCalls, type Plan, planOf } from './plan.ts';
import { Printer } from './printer.ts';
import { PROVED } from './proved.ts';
import type { ProveContext, ProveRequest } from './request.ts';
import { play } from './story.ts';

const INSTANCES = 2;
const REMAINS_MS = 3_000;
/** These would name one port for both, or take part in another deployment. */
const NOT_INHERITED =
  /^(SOJOURN_(PORT|HOST|PATH|STORE|DEPLOYMENT|METRICS.*|DASHBOARD.*)|LISTEN_(PID|FDS))$/;

/** Resolves with the exit code. */
export async function prove(request: ProveRequest, context: ProveContext): Promise<number> {
  if (process.platform === 'win32') throw new Failure('sojourn prove needs a Unix system: use WSL');
  const id = `prove-${base64url(systemRandom(9)).replaceAll(/[-_]/g, '0')}`;
  const folder = join(tmpdir(), `sojourn-${id}`);
  guardFolder(folder);
  mkdirSync(folder, { mode: 0o700 });
  const run = new ProveRun(request, context, id, folder);
  try {
    return await Promise.race([run.play(), stopped()]);
  } finally {
    await run.close();
    rmSync(folder, { recursive: true, force: true });
    endGuard();
  }
}

/** A second signal ends the process at once. */
const stopped = (): Promise<never> =>
  new Promise((_, reject) => {
    for (const signal of [...STOP_SIGNALS, 'SIGHUP'] as const)
      process.once(signal, () => reject(new Failure(`${signal}: stopped; nothing is left`)));
  });

class ProveRun {
  readonly #request: ProveRequest;
  readonly #context: ProveContext;
  readonly #printer: Printer;
  /** It names the deployment of this run. */
  readonly #id: string;
  #hasStarted = false;
  readonly #log: InstanceLog = { runs: [], faults: [] };
  readonly #file: string | undefined;
  readonly #drainTimeoutMs: number;
  readonly #instances: readonly ProvedInstance[];
  readonly #front = new Front(() => this.#instances.map(({ port }) => port));
  #crowd: Crowd<PlannedPerson> | undefined;

  constructor(request: ProveRequest, context: ProveContext, id: string, folder: string) {
    const { storeUrl, words } = request;
    this.#request = request;
    this.#id = id;
    this.#context = context;
    this.#printer = new Printer(request, context);
    this.#file = storeUrl === undefined ? join(folder, 'prove.db') : undefined;
    const { env } = context;
    this.#drainTimeoutMs = Number(env['SOJOURN_DRAIN_TIMEOUT_MS'] ?? DRAIN_TIMEOUT_MS);
    const inherited = Object.entries(env).filter(([name]) => !NOT_INHERITED.test(name));
    const own = {
      [PROVED]: 'yes',
      SOJOURN_STORE: storeUrl ?? `sqlite:${this.#file}`,
      SOJOURN_WORKERS: '0',
      SOJOURN_DEPLOYMENT: id,
      SOJOURN_ATTEMPT_HEADER: ATTEMPT_HEADER,
      SOJOURN_ALLOWED_HOSTS: '127.0.0.1',
      SOJOURN_LOG_LEVEL: 'error',
    };
    this.#instances = Array.from({ length: INSTANCES }, (_, n) => {
      const command = {
        name: request.name,
        env: { ...Object.fromEntries(inherited), ...own },
        stdio: ['ignore', 'ignore', 'pipe', 'ipc'] as const,
        words: (port: number) => [
          ...context.command,
          words[0] ?? '',
          '--port',
          `${port}`,
          ...words.slice(1),
        ],
      };
      return new ProvedInstance(n + 1, { ...command, stdio: [...command.stdio] }, this.#log);
    });
  }

  async play(): Promise<number> {
    const { seconds } = this.#request;
    this.#printer.begin(this.#file);
    for (const instance of this.#instances) await this.#start(instance);
    const url = await this.#front.listen();
    const lines = await officialLines(this.#context.cwd);
    const { plans, unserved } = await this.#plans(url);
    checkCalls([...plans.values()], this.#request.calls);
    const people = this.#people(plans, url, lines);
    this.#printer.plan({ plans, unserved, people, lines });
    const crowd = new Crowd(people);
    this.#crowd = crowd;
    const meter = new Meter(new Roots(this.#instances));
    this.#printer.watch(crowd);
    await crowd.open();
    const deeds = [...plans.values()].flatMap((plan) => plan.deeds);
    const hinted = new Set(deeds.filter((deed) => deed.mayRunTwice).map(({ name }) => name));
    const hasOther = deeds.some(({ mayRunTwice }) => !mayRunTwice);
    await play({
      instances: this.#instances,
      seconds,
      drainTimeoutMs: this.#drainTimeoutMs,
      file: this.#file,
      isWanted: (tool) => !hasOther || !hinted.has(tool),
      longestMs: () => crowd.longestMs,
      begin: (phase) => (crowd.phase = phase),
      tell: (text) => this.#printer.tell(text),
    });
    await crowd.close();
    const { megabytes } = meter.stop();
    const processesLeft = await this.#remains();
    return this.#printer.outcome(crowd, people, {
      ...this.#log,
      called: crowd.called,
      hinted,
      isProgram: this.#request.words[0] === 'stdio',
      drainTimeoutMs: this.#drainTimeoutMs,
      megabytes,
      processesLeft,
    });
  }

  async #start(instance: ProvedInstance): Promise<void> {
    try {
      await instance.start();
      this.#hasStarted = true;
    } catch (error) {
      throw new Failure(`${this.#request.name} does not start:\n${reason(error)}`, {
        cause: error,
      });
    }
  }

  /** A plan for each kind of client. `unserved`: why there is none of an era. */
  async #plans(url: URL) {
    const { headers, calls } = this.#request;
    const plans = new Map<ClientKind, Plan>();
    const unserved: string[] = [];
    const find = async (kind: ClientKind): Promise<void> => {
      try {
        const { client, opened } = await openClient(kind, url, headers);
        plans.set(kind, await planOf(client, opened['capabilities'], calls));
        await client.close();
      } catch (error) {
        if (error instanceof UsageError) throw error;
        unserved.push(`${kind.slice(0, 4)}: ${reasonOf(error)}`);
      }
    };
    await Promise.all([find('2025, resumes'), find('2026-07-28')]);
    const with2025 = plans.get('2025, resumes');
    if (with2025 !== undefined) plans.set('2025, does not resume', with2025);
    if (plans.size === 0) throw new Failure(`no client can connect: ${unserved.join('; ')}`);
    return { plans, unserved };
  }

  #people(plans: ReadonlyMap<ClientKind, Plan>, url: URL, lines: Lines): readonly PlannedPerson[] {
    const kinds = KINDS.filter((kind) => plans.has(kind));
    const turns: LastTurns = new Map();
    const { headers, clients } = this.#request;
    return Array.from({ length: Math.max(clients, kinds.length) }, (_, n) => {
      const kind = kinds[n % kinds.length] as ClientKind;
      const open = async () => (await openClient(kind, url, headers, lineFor(kind, lines))).client;
      return new PlannedPerson(
        kind,
        Math.floor(n / kinds.length),
        open,
        plans.get(kind)?.deeds ?? [],
        turns,
      );
    });
  }

  /** Ends the instances as a deploy does, and counts what they left. */
  async #remains(): Promise<number | undefined> {
    await Promise.all(this.#instances.map((instance) => instance.drain(REMAINS_MS)));
    return process.platform === 'linux'
      ? sweepRemains(this.#instances.flatMap(({ pids }) => pids))
      : undefined;
  }

  async close(): Promise<void> {
    this.#printer.close();
    await Promise.all(this.#instances.map((instance) => instance.close()));
    this.#front.close();
    const { storeUrl } = this.#request;
    if (storeUrl !== undefined && this.#hasStarted)
      await forgetDeployment(storeUrl, this.#id).catch((error: unknown) =>
        this.#printer.tell(`the store keeps the deployment ${this.#id}: ${reason(error)}`),
      );
    sweepRemains(this.#instances.flatMap(({ pids }) => pids));
    void this.#crowd?.abandon();
  }
}

const reasonOf = (error: unknown): string =>
  error instanceof Error && error.name === 'TimeoutError'
    ? `no answer after ${HUNG_MS / 1_000} s`
    : reason(error);

/** For the meter. */
class Roots {
  readonly #instances: readonly ProvedInstance[];

  constructor(instances: readonly ProvedInstance[]) {
    this.#instances = instances;
  }

  get roots(): readonly number[] {
    return this.#instances.map(({ pid }) => pid);
  }
}

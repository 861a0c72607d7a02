/**
 * What users of official clients see while the store, or the process that serves them, is away for less than `waitMs`: no
 * call fails, none times out, none runs twice, and the longest waits as long as the outage.
 */
import { Client as ClientV2, StreamableHTTPClientTransport as HttpV2 } from '@modelcontextprotocol/client';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Outage, StoreKind } from '../backing-store.ts';
import { Deployment } from '../deployment.ts';
import { readEffects } from '../effects.ts';
import { type Found, History, now, type Violation, VIOLATIONS } from '../history.ts';
import { pause } from '../pause.ts';
import { type PatienceReport, type PatienceRow, quantiles } from '../report.ts';

export interface PatienceOptions {
  readonly kind: StoreKind;
  readonly seed: number;
  readonly leaseMs: number;
  /** Of each kind of outage, in ms. */
  readonly awayMs?: readonly number[];
  /** How many instances. */
  readonly shapes?: readonly (1 | 3)[];
  readonly logs?: string | undefined;
  readonly progress?: ((text: string) => void) | undefined;
}

const AWAY_MS = [300, 1_000, 2_000, 3_000, 5_000, 10_000];
const CLIENTS = 6;
/** Between two calls of a client. */
const EVERY_MS = 20;
/** What the official clients take themselves. */
const TIMEOUT_MS = 60_000;
const WARM_UP_MS = 500;
const DRAIN_MS = 5_000;

type Blow = Outage | 'process';

const TITLES: Readonly<Record<Blow, string>> = {
  killed: 'the store killed and started',
  stopped: 'the store restarted',
  frozen: 'the store frozen',
  process: 'the serving process frozen (SIGSTOP)',
};
const LOCKED = 'the file locked by another process';

interface Called {
  readonly nonce: string;
  readonly effect: boolean;
  readonly sentAt: number;
  endedAt: number;
  error: string | undefined;
}

interface Caller {
  call(name: string, nonce: string): Promise<string>;
  close(): Promise<void>;
}

/** Both lines hold calls to the same result. */
interface Tools {
  callTool(params: object, ...rest: readonly unknown[]): Promise<unknown>;
  close(): Promise<void>;
}

async function connect(url: string, line: 'v1' | 'v2', name: string): Promise<Caller> {
  const options = { requestInit: { headers: { 'x-user': name } } };
  const identity = { name, version: '1' };
  let client: Tools;
  if (line === 'v1') {
    const v1 = new ClientV1(identity);
    await v1.connect(new HttpV1(new URL(url), options));
    client = v1;
  } else {
    const v2 = new ClientV2(identity, { versionNegotiation: { mode: 'legacy' } });
    await v2.connect(new HttpV2(new URL(url), options));
    client = v2;
  }
  const timeout = { timeout: TIMEOUT_MS };
  return {
    async call(tool, nonce) {
      const params = { name: tool, arguments: { nonce } };
      const result = await (line === 'v1'
        ? client.callTool(params, undefined, timeout)
        : client.callTool(params, timeout));
      const { content, isError } = result as { content: { text?: string }[]; isError?: boolean };
      const text = content[0]?.text ?? '';
      if (isError === true) throw new Error(text);
      return (JSON.parse(text) as { value: string }).value;
    },
    close: () => client.close(),
  };
}

/** Calls every few ms until `over`; resolves when every call has ended. */
async function callOn(client: Caller, name: string, over: () => boolean): Promise<Called[]> {
  const calls: Called[] = [];
  const underWay: Promise<void>[] = [];
  while (!over()) {
    const nonce = `${name}:${calls.length}`;
    const effect = calls.length % 2 === 0;
    const called: Called = { nonce, effect, sentAt: now(), endedAt: Infinity, error: undefined };
    calls.push(called);
    const end = (error?: string): void => {
      called.endedAt = now();
      called.error = error;
    };
    underWay.push(
      client.call(effect ? 'effect' : 'read', nonce).then(
        (value) => end(value === nonce ? undefined : `another's answer: ${value}`),
        (error: unknown) => end(String(error)),
      ),
    );
    await pause(EVERY_MS);
  }
  await Promise.all(underWay);
  return calls;
}

export async function runPatience(options: PatienceOptions): Promise<PatienceReport> {
  const { kind, seed, leaseMs, awayMs = AWAY_MS, shapes = [1, 3] } = options;
  const started = now();
  const history = new History();
  const rows: PatienceRow[] = [];
  let how = '';
  let calls = 0;
  for (const instances of shapes) {
    const deployment = await Deployment.open({ ...options, drainMs: DRAIN_MS, history, instances });
    how = deployment.store.how;
    try {
      const blows: readonly Blow[] = kind === 'sqlite' ? ['frozen', 'process'] : ['stopped', 'frozen', 'process'];
      for (const blow of blows) {
        for (const ms of awayMs) {
          const row = await outage(deployment, blow, ms, options);
          rows.push({ ...row, instances });
          calls += row.calls;
        }
      }
    } finally {
      await deployment.close();
    }
  }
  const found: Found[] = [...history.found];
  const violations = Object.fromEntries(
    Object.keys(VIOLATIONS).map((name) => [name, history.violations(name as Violation)]),
  ) as Record<Violation, number>;
  for (const { title, instances, ms, failed, timedOut, twice, errors } of rows) {
    violations.failed += failed;
    violations.hung += timedOut;
    violations.double += twice;
    for (const what of errors)
      found.push({ violation: 'failed', at: 0, what: `${instances} × ${title}, ${ms} ms: ${what}` });
  }
  return {
    scenario: 'patience',
    store: kind,
    how,
    seed,
    leaseMs,
    seconds: (now() - started) / 1000,
    clients: CLIENTS,
    node: process.version,
    sessions: rows.length * CLIENTS,
    requests: calls,
    calls,
    resumes: 0,
    endings: {},
    refusals: {},
    violations,
    found,
    events: [],
    notes: {},
    log: {},
    rows,
  };
}

async function outage(
  deployment: Deployment,
  blow: Blow,
  ms: number,
  { kind, leaseMs, progress = () => {} }: PatienceOptions,
): Promise<Omit<PatienceRow, 'instances'>> {
  const title = blow === 'frozen' && kind === 'sqlite' ? LOCKED : TITLES[blow];
  const { instances, proxy, store, effects } = deployment;
  const [first] = instances;
  if (first === undefined) throw new Error('no instance');
  progress(`${kind}, ${instances.length} × ${title} for ${ms} ms`);
  const url = instances.length === 1 ? first.url : proxy.url;
  const names = Array.from({ length: CLIENTS }, (_, n) => `p${instances.length}-${blow}-${ms}-${n}`);
  const clients = await Promise.all(names.map((name, n) => connect(url, n % 2 === 0 ? 'v1' : 'v2', name)));
  let over = false;
  const calling = clients.map((client, n) => callOn(client, names[n] as string, () => over));
  await pause(WARM_UP_MS);
  const from = now();
  if (blow === 'process') {
    first.freeze();
    await pause(ms);
    first.thaw();
  } else {
    await store.away(ms, blow);
  }
  // A server takes its time to start and to stop: its clients cannot know that it is to come back.
  const awayMs = now() - from;
  await pause(WARM_UP_MS + leaseMs);
  over = true;
  const all = (await Promise.all(calling)).flat();
  await Promise.all(clients.map((client) => client.close().catch(() => {})));
  const ran = new Map<string, number>();
  for (const { nonce } of readEffects(effects).ran) ran.set(nonce, (ran.get(nonce) ?? 0) + 1);
  const errors = all.flatMap(({ error, nonce }) => (error === undefined ? [] : [`${nonce}: ${error}`]));
  const timedOut = errors.filter((text) => /timed out/i.test(text)).length;
  const waited = quantiles(
    all
      .filter(({ sentAt, endedAt }) => sentAt < from + awayMs && endedAt > from)
      .map((one) => one.endedAt - one.sentAt),
  );
  return {
    title,
    ms,
    awayMs,
    calls: all.length,
    failed: errors.length - timedOut,
    timedOut,
    twice: all.filter(({ effect, nonce }) => effect && (ran.get(nonce) ?? 0) > 1).length,
    waited,
    errors: [...new Set(errors)].slice(0, 10),
  };
}

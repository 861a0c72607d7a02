/**
 * A deployment that exists only in numbers, behind the API of the dashboard: to work on the page, and for the list of
 * 10,000 sessions. Everything else is tested with a real one. `npx tsx test/page/fake-fleet.ts` serves it.
 */
import { readFileSync, existsSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type {
  Refusals,
  SessionDetail,
  SessionPage,
  SessionRow,
  TaskDetail,
  TaskPage,
  TaskRow,
  TimelineRow,
} from '../../src/dashboard/wire-pages.ts';
import type {
  FleetSnapshot,
  FleetEvent,
  FleetInstance,
  Hello,
  HourBin,
  StoppedInstance,
  StopCall,
} from '../../src/dashboard/wire.ts';
import { seededRandom } from '../../src/base/seeded-random.ts';

const PAGE = fileURLToPath(new URL('../../dist/dashboard/page/', import.meta.url));
const TYPES: Readonly<Record<string, string>> = {
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
};
const STEP_MS = 500;
const MINUTE_MS = 60_000;
const CLIENTS = [
  ['claude-code', '2.1.0', '2025-11-25', 31],
  ['Cursor', '1.9.2', '2025-06-18', 19],
  ['Visual Studio Code', '1.112.0', '2025-11-25', 15],
  ['ChatGPT', '1.0.0', '2025-06-18', 12],
  ['codex-mcp-client', '0.61.0', '2025-11-25', 9],
  ['mcp', '1.30.0', '2025-11-25', 6],
  ['mcp-remote', '0.15.1', '2025-06-18', 4],
  ['inspector', '2.12.0', '2025-03-26', 1],
] as const;
const TOOLS = ['search_docs', 'get_issue', 'list_issues', 'run_query', 'read_file', 'translate'];
const USERS = 'ann ben chloe dan eva finn grace hugo ines jon kim lea mia noah olga pia quinn rosa sam tess'.split(' ');

interface Lane {
  id: string;
  name: string;
  pid: number;
  state: FleetInstance['state'];
  end?: FleetInstance['end'];
  since: number;
  sessions: number;
  waiting: number;
  count: { requests: number; sessionless: number; relayed: number; moved: number; released: number };
}

type Row = { -readonly [Key in keyof SessionRow]: SessionRow[Key] };

type Changed<T> = { -readonly [Key in keyof T]: T[Key] };

export interface FakeOptions {
  readonly sessions?: number;
  readonly instances?: number;
  readonly token?: string;
  readonly rate?: number;
}

export class FakeFleet {
  readonly #random = seededRandom(20_261_122);
  readonly rows: Row[] = [];
  readonly tasks: TaskRow[] = [];
  readonly lanes: Lane[] = [];
  readonly #events: FleetEvent[] = [];
  readonly #stops: Changed<StoppedInstance>[] = [];
  readonly #hour: HourBin[] = [];
  readonly #streams = new Set<ServerResponse>();
  readonly #rowStreams = new Set<ServerResponse>();
  readonly #changed = new Set<Row>();
  readonly #options: Required<Omit<FakeOptions, 'token'>> & Pick<FakeOptions, 'token'>;
  readonly #timer: NodeJS.Timeout;
  readonly #timers = new Set<NodeJS.Timeout>();
  #awayUntil = 0;
  #ids = 0;
  server: Server | undefined;
  /** The store is away for scans. */
  failsScans = false;

  constructor(options: FakeOptions = {}) {
    this.#options = { sessions: 10_000, instances: 3, rate: 900, ...options };
    const now = Date.now();
    for (let k = 1; k <= this.#options.instances; k += 1) this.lanes.push(this.#lane(`web-${k}`, now - 41 * MINUTE_MS));
    for (let k = 0; k < this.#options.sessions; k += 1) this.rows.push(this.#row(now));
    for (let k = 0; k < 40; k += 1) this.tasks.push(this.#task(k, now));
    for (let k = 120; k > 0; k -= 1) this.#hour.push(this.#bin(now - k * 30_000));
    this.#say('joined', 'web-1 joined (pid 4121)', now - 41 * MINUTE_MS);
    this.#timer = setInterval(() => this.tick(), STEP_MS);
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  #any<T>(list: readonly T[]): T {
    return list[this.#below(list.length)] as T;
  }

  #hex(length: number): string {
    return Array.from({ length }, () => this.#below(16).toString(16)).join('');
  }

  #lane(name: string, since: number): Lane {
    const count = { requests: 0, sessionless: 0, relayed: 0, moved: 0, released: 0 };
    return {
      id: this.#hex(20),
      name,
      pid: 4120 + this.#ids++,
      state: 'serving',
      since,
      sessions: 0,
      waiting: 0,
      count,
    };
  }

  #row(now: number): Row {
    const weights = CLIENTS.flatMap((client) => Array<(typeof CLIENTS)[number]>(client[3]).fill(client));
    const [name, version, protocolVersion] = this.#any(weights);
    const lane = this.#any(this.lanes);
    const isLive = this.#random() < 0.72;
    if (isLive) lane.sessions += 1;
    const createdAt = now - this.#below(180 * MINUTE_MS);
    return {
      hash: this.#hex(12),
      status: isLive ? 'live' : 'hibernated',
      ...(isLive && {
        owner: lane.id,
        exact: true as const,
        calls: this.#below(900),
        getStream: this.#random() < 0.7,
        posts: 0,
      }),
      ...(this.#random() < 0.88 && { userName: this.#any(USERS) }),
      clientInfo: { name, version },
      protocolVersion,
      createdAt,
      activeAt: now - this.#below(now - createdAt),
      bytes: 1200 + this.#below(40_000),
    };
  }

  #task(k: number, now: number): TaskRow {
    const kinds: readonly (readonly [TaskRow['status'], TaskRow['state']])[] = [
      ['working', 'running'],
      ['input_required', 'parked'],
      ['working', 'running'],
      ['detached', 'detached'],
      ['orphaned', 'running'],
      ['queued', 'queued'],
    ];
    const [status, state = 'running'] = kinds[k % kinds.length] ?? ['working', 'running'];
    const createdAt = now - 700_000 - this.#below(5_400_000);
    return {
      hash: this.#hex(12),
      tool: this.#any(['render_report', 'import_repo', 'send_invoices']),
      status,
      state,
      ...(state === 'running' && { owner: this.#any(this.lanes).id }),
      userName: this.#any(USERS),
      attempt: 1 + (k % 3),
      maxAttempts: 5,
      createdAt,
      updatedAt: now - 250_000,
      expiresAt: createdAt + 86_400_000,
      ...(status === 'working' && { message: `frame ${this.#below(640)} of 640` }),
      ...(status === 'input_required' && { asks: ['publish'] }),
    };
  }

  #taskDetail({ asks: _, ...row }: TaskRow): TaskDetail {
    const now = Date.now();
    const [a, b] = [this.lanes[0]?.id ?? '', this.lanes[1]?.id ?? ''];
    const bar = (name: string, run: number, ago: number, ms?: number) => ({
      name,
      run,
      begin: now - ago,
      ...(ms !== undefined && { ms }),
    });
    return {
      ...row,
      at: now,
      round: 1,
      resume: true,
      questions:
        row.status === 'input_required' ? [{ name: 'publish', method: 'elicitation/create', answered: false }] : [],
      bytes: 4_100,
      stepBytes: 51_000,
      steps: 3,
      runs: [
        { run: 1, attempt: 1, round: 1, owner: b, begin: now - 630_000 },
        {
          run: 2,
          attempt: 2,
          round: 1,
          owner: a,
          begin: now - 373_000,
          ...(row.owner === undefined && { end: now - 250_000 }),
        },
      ],
      bars: [
        bar('collect', 1, 630_000, 41_000),
        bar('layout', 1, 588_000, 72_000),
        bar('render', 2, 373_000, 110_000),
        ...(row.owner === undefined ? [] : [bar('upload', 2, 250_000)]),
      ],
    };
  }

  #bin(at: number): HourBin {
    const near = (mean: number, share: number) => mean * (1 + (this.#random() - 0.5) * share);
    const requests = near(this.#options.rate * (1 + 0.08 * Math.sin(at / 700_000)), 0.06);
    return {
      at,
      sessions: this.rows.length,
      requests,
      p50Ms: near(4.1, 0.2),
      waiting: 0,
      refused: this.#below(3),
      storeP50Ms: near(0.6, 0.4),
    };
  }

  #serving(): Lane[] {
    return this.lanes.filter(({ state }) => state === 'serving');
  }

  #say(kind: FleetEvent['kind'], text: string, at = Date.now()): void {
    const event: FleetEvent = { id: `e${this.#ids++}`, at, kind, text };
    this.#events.push(event);
    this.#send('event', event);
  }

  #send(type: string, data: unknown): void {
    for (const stream of this.#streams) stream.write(`event: ${type}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  #sendStop(stop: StoppedInstance): void {
    this.#send('stop', stop);
  }

  tick(): void {
    const now = Date.now();
    const isAway = this.#awayUntil > now;
    const serving = this.#serving();
    const silent = this.lanes.filter(({ state }) => state === 'silent');
    for (let k = 0; serving.length > 0 && k < (this.#options.rate * STEP_MS) / 1000; k += 1) {
      const lane = this.#any(serving);
      lane.count.requests += 1;
      if (this.#random() < 0.32) {
        lane.count.sessionless += 1;
        continue;
      }
      if (isAway) {
        lane.waiting += 1;
        continue;
      }
      const row = this.rows[this.#below(this.rows.length * (this.#random() < 0.9 ? 0.3 : 1))];
      if (row === undefined || silent.some(({ id }) => id === row.owner)) continue;
      if (row.status === 'hibernated' && this.#random() < 0.97) continue;
      if (row.status !== 'live') this.#wake(row, lane);
      row.activeAt = now;
      row.calls = (row.calls ?? 0) + 1;
      this.#changed.add(row);
    }
    if (!isAway) for (const lane of this.lanes) lane.waiting = silent.length > 0 ? lane.waiting : 0;
    if (now - (this.#hour.at(-1)?.at ?? 0) > 30_000) {
      const bin = this.#bin(now);
      this.#hour.push(bin);
      this.#send('hour', bin);
    }
    this.#send('fleet', this.fleet());
    const rows = [...this.#changed].slice(0, 1000);
    this.#changed.clear();
    for (const stream of this.#rowStreams) stream.write(`event: rows\ndata: ${JSON.stringify({ at: now, rows })}\n\n`);
  }

  #wake(row: Row, lane: Lane): void {
    const wasLeft = row.status !== 'hibernated';
    Object.assign(row, { status: 'live', owner: lane.id, exact: true, getStream: true, posts: 0 });
    lane.sessions += 1;
    if (!wasLeft) return;
    lane.count.moved += 1;
    const [stop] = this.#stops;
    if (stop !== undefined) Object.assign(stop, { moved: (stop.moved ?? 0) + 1 });
    if (stop !== undefined && (stop.moved ?? 0) % 400 === 0) this.#sendStop(stop);
  }

  fleet(): FleetSnapshot {
    const now = Date.now();
    const by = (status: SessionRow['status']) => this.rows.filter((row) => row.status === status).length;
    return {
      at: now,
      instances: this.lanes
        .filter(({ state, since }) => state !== 'gone' || now - since < MINUTE_MS)
        .map((lane) => this.#instance(lane, now)),
      store: {
        state: this.#awayUntil > now ? 'away' : 'answers',
        ...(this.#awayUntil > now && { since: this.#awayUntil - 5000 }),
        p50Ms: 0.6,
        p99Ms: 2.9,
        counts: storedCounts(now - 12_000, by('hibernated'), by('released'), by('orphaned')),
      },
      p50Ms: 4.1,
      p99Ms: 31,
      refused: 327,
      reasons: 2,
      clients: 2,
      tasks: this.tasks.length,
    };
  }

  #instance({ id, name, pid, state, end, since, sessions, waiting, count }: Lane, now: number): FleetInstance {
    return {
      id,
      name,
      pid,
      state,
      ...(end !== undefined && { end }),
      since,
      ...(state !== 'gone' && { startedAt: since }),
      host: name,
      version: '0.2.0',
      runtime: 'Node.js 24.11.1',
      leaseMs: 3000 - ((now + pid * 331) % 1000),
      sessions,
      sessionsLimit: 32_768,
      waiting,
      running: 6 + this.#below(5),
      memoryBytes: 60e6 + sessions * 15_000,
      memoryLimit: 512e6,
      loopMs: 2.6 + this.#random(),
      getStreams: Math.round(sessions * 0.7),
      count: { ...count },
    };
  }

  #calls(length: number, number: number): StopCall[] {
    return Array.from({ length: number }, (_, k): StopCall => {
      const wait = length * (0.3 + 0.7 * this.#random());
      const start = k % 3 === 0 ? this.#below(length) : -this.#below(Math.min(length, 200));
      const cut = Math.max(0, start);
      const outcome = k === 1 ? 'lost' : (['again', 'kept', 'again', 'went on'] as const)[k % 4];
      const to = this.#any(this.#serving()).id;
      return {
        method: 'tools/call',
        target: this.#any(TOOLS),
        client: this.#any(CLIENTS)[0],
        start,
        cut,
        wait: Math.max(1, wait - cut),
        run: 5 + this.#below(60),
        outcome: outcome ?? 'again',
        to,
      };
    });
  }

  #stop(
    kind: StoppedInstance['kind'],
    length: number,
    number: number,
    lane?: Lane,
    end?: FleetInstance['end'],
  ): Changed<StoppedInstance> {
    const calls = this.#calls(length, number);
    const waited = calls.filter(({ outcome }) => outcome !== 'lost');
    const stop: Changed<StoppedInstance> = {
      id: `s${this.#ids++}`,
      at: Date.now(),
      kind,
      ...(lane !== undefined && { name: lane.name, instance: lane.id, sessions: lane.sessions, moved: 0 }),
      ...(end !== undefined && { end }),
      waited: waited.length,
      longestMs: Math.max(0, ...waited.map(({ wait }) => wait)),
      lost: calls.length - waited.length,
      resumed: 6,
      calls,
    };
    this.#stops.unshift(stop);
    this.#sendStop(stop);
    return stop;
  }

  #leave(lane: Lane, status: SessionRow['status']): void {
    for (const row of this.rows)
      if (row.owner === lane.id && row.status === 'live') Object.assign(row, { status, exact: undefined });
    lane.sessions = 0;
  }

  kill(k: number): void {
    const lane = this.lanes[k] as Lane;
    this.#stop('gone', 190, 21, lane, 'killed');
    Object.assign(lane, { state: 'gone', end: 'killed', since: Date.now() });
    this.#leave(lane, 'orphaned');
    this.#say('gone', `${lane.name} was killed (pid ${lane.pid})`);
    this.#later(() => this.#restart(k), 12_000);
  }

  #restart(k: number): void {
    const { name } = this.lanes[k] as Lane;
    const lane = this.#lane(name, Date.now());
    this.lanes.splice(k, 1, lane);
    this.#say('joined', `${name} joined (pid ${lane.pid})`);
  }

  drain(k: number): void {
    const lane = this.lanes[k] as Lane;
    const stop = this.#stop('drain', 100, 0, lane, 'drained');
    Object.assign(lane, { state: 'draining', since: Date.now() });
    this.#say('draining', `${lane.name} drains`);
    this.#later(() => {
      lane.count.released += lane.sessions;
      this.#leave(lane, 'released');
    }, 1500);
    this.#later(() => {
      Object.assign(lane, { state: 'gone', end: 'drained', since: Date.now() });
      stop.overAt = Date.now();
      this.#sendStop(stop);
      this.#say('drained', `${lane.name} drained: its calls ended, its sessions are in the store`);
    }, 2600);
    this.#later(() => this.#restart(k), 12_000);
  }

  away(): void {
    this.#awayUntil = Date.now() + 5000;
    const stop = this.#stop('store', 5000, 24);
    this.#say('storeAway', 'The store does not answer; calls wait up to 15 s');
    this.#later(() => {
      stop.overAt = Date.now();
      this.#sendStop(stop);
      this.#say('storeBack', 'The store is back after 5.0 s');
    }, 5000);
  }

  freeze(k: number): void {
    Object.assign(this.lanes[k] as Lane, { state: 'silent', since: Date.now() });
    for (const lane of this.#serving()) lane.waiting = 14;
    this.#later(() => this.kill(k), 3000);
  }

  hello(mayAct: boolean): Hello {
    const { id } = this.#serving()[0] ?? this.lanes[0] ?? { id: '' };
    return {
      instance: id,
      version: '0.2.0',
      at: Date.now(),
      mayAct,
      endpoint: 'http://127.0.0.1:3000/mcp',
      served: true,
      store: 'redis',
      waitMs: 15_000,
      leaseMs: 3_000,
      drainMs: 25_000,
      payloads: 'keys',
      tasks: true,
    };
  }

  #detail(row: Row): SessionDetail {
    const now = Date.now();
    const [a, b] = [this.lanes[0]?.id ?? '', this.lanes[1]?.id ?? ''];
    const calls = Array.from({ length: 30 }, (_, k): TimelineRow => ({
      kind: 'message',
      at: now - 4000 - k * k * 9000,
      direction: 'in',
      method: 'tools/call',
      target: this.#any(TOOLS),
      stream: 'POST',
      instance: k < 12 ? a : b,
      ms: 9 + this.#below(90),
      ...(k === 5 && {
        waitedMs: 86,
        waitedFor: 'owner',
        outcome: 'again',
        via: b,
      }),
    }));
    const events: TimelineRow[] = [
      {
        kind: 'event',
        at: now - 9 * MINUTE_MS,
        what: 'takenOver',
        text: 'Taken over by web-1: web-2 went away. Restored in 4.1 ms. Epoch 3.',
        instance: a,
        from: b,
      },
      {
        kind: 'event',
        at: now - 19 * MINUTE_MS,
        what: 'woken',
        text: 'Woken by a request at web-2. Epoch 2.',
        instance: b,
      },
      {
        kind: 'event',
        at: now - 34 * MINUTE_MS,
        what: 'hibernated',
        text: 'Hibernated after 5 min without a request.',
        instance: a,
      },
      { kind: 'event', at: now - 82 * MINUTE_MS, what: 'opened', text: 'Opened on web-1. Epoch 1.', instance: a },
    ];
    const timeline = [...calls, ...events].sort((x, y) => y.at - x.at);
    return {
      ...row,
      at: now,
      epoch: 3,
      initialized: true,
      capabilities: ['elicitation', 'roots'],
      logLevel: 'info',
      subscriptions: 2,
      expiresAt: now + 7_100_000,
      state: { cart: 3600, calls: 3 },
      getStreamKept: { messages: 61, bytes: 84_000 },
      timeline,
    };
  }

  #refusals(): Refusals {
    const now = Date.now();
    const minutes = Array.from({ length: 60 }, (_, k) => (k > 50 ? this.#below(20) : this.#below(3)));
    return {
      at: now,
      reasons: [
        {
          status: 403,
          reason: 'origin',
          why: 'Origin "https://notes.example" is not allowed here; name it in the option allowedOrigins',
          times: 214,
          firstAt: now - 3e6,
          lastAt: now - 4000,
          minutes,
          allow: {
            flag: '--allowed-origins https://notes.example',
            variable: 'SOJOURN_ALLOWED_ORIGINS=https://notes.example',
            module: "options: { allowedOrigins: ['https://notes.example'] }",
          },
          advice: 'Allow it only if you know this site: a browser sends what its user may do.',
          callers: [
            {
              origin: 'https://notes.example',
              client: 'Chrome 151',
              address: '203.0.113.7',
              times: 198,
              lastAt: now - 4000,
            },
            {
              origin: 'https://notes.example',
              client: 'Firefox 152',
              address: '198.51.100.23',
              times: 16,
              lastAt: now - 310_000,
            },
          ],
        },
        {
          status: 401,
          reason: 'unauthorized',
          why: 'The token has expired ("exp" claim)',
          times: 113,
          firstAt: now - 3e6,
          lastAt: now - 120_000,
          minutes: minutes.toReversed(),
          advice: 'The client must get a new token. No option allows it.',
          callers: [
            { client: 'Cursor 1.9.2', why: '"exp" claim', address: '203.0.113.40', times: 113, lastAt: now - 120_000 },
          ],
        },
      ],
    };
  }

  async listen(port = 0): Promise<string> {
    this.server = createServer((request, response) => this.#answer(request, response));
    await new Promise<void>((done) => this.server?.listen(port, '127.0.0.1', done));
    const address = this.server.address();
    return `http://127.0.0.1:${typeof address === 'object' ? address?.port : port}/`;
  }

  #later(run: () => void, ms: number): void {
    this.#timers.add(setTimeout(run, ms));
  }

  close(): void {
    clearInterval(this.#timer);
    for (const timer of this.#timers) clearTimeout(timer);
    this.server?.closeAllConnections();
    this.server?.close();
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { pathname, searchParams, search } = new URL(request.url ?? '/', 'http://localhost');
    const json = (value: unknown, status = 200) =>
      response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(value));
    if (!pathname.startsWith('/api/')) return this.#file(pathname.slice(1) || 'index.html', response);
    const mayAct =
      this.#options.token === undefined || request.headers.authorization === `Bearer ${this.#options.token}`;
    if (!mayAct) return void json({ error: 'token', message: 'A token is needed.' }, 401);
    const [what = '', id = '', action] = pathname.slice(5).split('/');
    if (what === 'stream') return this.#stream(search.includes('rows'), response);
    if (what === 'do') {
      (this as unknown as Record<string, (k: number) => void>)[id]?.(Number(action ?? 1));
      return void json({ done: true });
    }
    if (action === 'drain') this.drain(this.lanes.findIndex((lane) => lane.id === id));
    const at = this.rows.findIndex((row) => row.hash === id);
    if (action === 'end') this.rows.splice(at, 1);
    if (action !== undefined)
      return void json(action === 'payloads' ? { until: Date.now() + 300_000 } : { done: true });
    const task = this.tasks.find(({ hash }) => hash === id);
    if (what === 'tasks' && id !== '')
      return void (task === undefined ? json({ error: 'unknown', message: '' }, 404) : json(this.#taskDetail(task)));
    if (what === 'sessions' && id !== '')
      return void (at < 0 ? json({ error: 'unknown', message: '' }, 404) : json(this.#detail(this.rows[at] as Row)));
    if ((what === 'sessions' || what === 'tasks') && this.failsScans)
      return void json({ error: 'store_away', message: 'The session store cannot be reached' }, 503);
    if (what === 'sessions') {
      const from = Number(searchParams.get('cursor') ?? 0);
      const page: SessionPage = {
        at: Date.now(),
        sessions: this.rows.slice(from, from + 1000),
        ...(from + 1000 < this.rows.length && { nextCursor: String(from + 1000) }),
      };
      return void json(page);
    }
    if (what === 'tasks') {
      const page: TaskPage = { at: Date.now(), tasks: this.tasks };
      return void json(page);
    }
    if (what === 'running')
      return void json({
        at: Date.now(),
        tasks: this.tasks.slice(0, 3).map(({ hash }) => ({ hash, steps: 3, now: [] })),
      });
    if (what === 'refusals') return void json(this.#refusals());
    const clientInfo = { name: 'claude-code', version: '2.1.0' };
    return void json({
      at: Date.now(),
      clients: [
        {
          clientInfo,
          userName: 'ann',
          protocolVersion: '2026-07-28',
          activeAt: Date.now() - 2000,
          tool: 'search_docs',
          perMinute: 412,
        },
        {
          clientInfo: { name: 'go-sdk', version: '1.8.0' },
          protocolVersion: '2026-07-28',
          activeAt: Date.now() - 9000,
        },
      ],
    });
  }

  #stream(rows: boolean, response: ServerResponse): void {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    const set = rows ? this.#rowStreams : this.#streams;
    set.add(response);
    response.on('close', () => set.delete(response));
    if (rows) return;
    const first = [
      ['hello', this.hello(true)],
      ...this.#events.map((one) => ['event', one] as const),
      ...this.#stops.map((one) => ['stop', one] as const),
      ...this.#hour.map((one) => ['hour', one] as const),
      ['fleet', this.fleet()],
    ] as const;
    for (const [type, data] of first) response.write(`event: ${type}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  #file(name: string, response: ServerResponse): void {
    const file = join(PAGE, name);
    if (!/^[\w.-]+$/.test(name) || !existsSync(file)) return void response.writeHead(404).end();
    const type = TYPES[name.slice(name.lastIndexOf('.'))] ?? 'text/html; charset=utf-8';
    const csp =
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
    response
      .writeHead(200, { 'Content-Type': type, 'Content-Security-Policy': csp, 'Cache-Control': 'no-store' })
      .end(readFileSync(file));
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { FAKE_PORT = '4174', FAKE_TOKEN, FAKE_SESSIONS = '10000', FAKE_INSTANCES = '3' } = process.env;
  const fleet = new FakeFleet({
    sessions: Number(FAKE_SESSIONS),
    instances: Number(FAKE_INSTANCES),
    ...(FAKE_TOKEN !== undefined && { token: FAKE_TOKEN }),
  });
  console.log(await fleet.listen(Number(FAKE_PORT)));
}

function storedCounts(at: number, hibernated: number, released: number, orphaned: number) {
  return { at, stored: hibernated + released + orphaned, hibernated, released, orphaned };
}

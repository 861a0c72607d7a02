/**
 * `sojourn sessions ls | show | end`: looks into the store of a deployment, without being an instance of it. It takes no
 * lease, so it can neither claim a session nor ask the instance where one is live.
 */
import { existsSync } from 'node:fs';
import { SojournError } from '../errors.ts';
import { DEFAULTS } from '../options/defaults.ts';
import { isEnded, type OpenStore, type Store } from '../stores/store.ts';
import { systemRandom } from '../options/system.ts';
import { EXIT, Failure, UsageError } from './failure.ts';
import { endedLine, sessionDetails, sessionLine, sessionRow, tableHead } from './session-printout.ts';
import { storeOf } from './store-url.ts';

export interface SessionsRequest {
  readonly what: 'ls' | 'show' | 'end';
  /** Of `show` and `end`. */
  readonly id: string;
  readonly storeUrl: string;
  /** The flag or variable that gave it, for errors. */
  readonly origin: string;
  /** The endpoint's `name`. */
  readonly name: string;
  readonly json: boolean;
}

const PAGE = 100;
const TRIES = 3;

/** Resolves with the exit code. */
export async function sessions(request: SessionsRequest, out: (text: string) => void): Promise<number> {
  const chosen = await storeOf(request.storeUrl, request.origin);
  try {
    const store = await openStore(chosen.store, request);
    try {
      await run[request.what](store, request, out);
    } finally {
      await store.close();
    }
  } catch (error) {
    // One line: the store's errors say what to do, and no module of the user is involved.
    throw error instanceof SojournError ? new Failure(chosen.clean(error.message), { cause: error }) : error;
  }
  return EXIT.ok;
}

async function openStore(store: Store, { storeUrl, origin, name }: SessionsRequest): Promise<OpenStore> {
  if (!store.durable) {
    throw new UsageError(
      `${origin}: ${store.kind}: is the memory of the process that serves the sessions, and no other can look into it`,
    );
  }
  const file = storeUrl.replace(/^sqlite:/i, '');
  // Opening makes a file where there is none: right for a server, a trap for who mistypes its name.
  if (store.kind === 'sqlite' && !existsSync(file)) throw new Failure(`${file} does not exist; nothing was made`);
  return store.open({
    name,
    time: DEFAULTS.timeProvider,
    random: systemRandom,
    logger: DEFAULTS.logger,
    leaseMs: DEFAULTS.leaseMs,
    tombstoneMs: DEFAULTS.tombstoneMs,
    retention: DEFAULTS.eventRetention,
    eventLogBytes: DEFAULTS.limits.eventLogBytes,
    tombstones: DEFAULTS.limits.tombstones,
  });
}

type Run = (store: OpenStore, request: SessionsRequest, out: (text: string) => void) => Promise<void>;

const run: Readonly<Record<SessionsRequest['what'], Run>> = {
  async ls(store, { json }, out) {
    let cursor: string | undefined;
    if (!json) out(tableHead());
    do {
      const page = await store.sessions.list(PAGE, cursor);
      // Of this moment: between two pages an instance may die.
      const alive = await living(store);
      out(page.records.map((record) => (json ? sessionLine(record, alive) : sessionRow(record, alive))).join(''));
      cursor = page.nextCursor;
    } while (cursor !== undefined);
  },

  async show(store, { id, json }, out) {
    const found = await store.sessions.read(id);
    if (found === undefined) throw unknown(id);
    out(isEnded(found) ? endedLine(found, json) : sessionDetails(found, await living(store), json));
  },

  async end(store, { id, json }, out) {
    for (let tries = 0; tries < TRIES; tries++) {
      const found = await store.sessions.read(id);
      if (found === undefined) throw unknown(id);
      if (isEnded(found)) throw new Failure(`session ${id} has ended already: ${endedLine(found, false).trim()}`);
      const { owner } = found;
      if (owner !== null && (await living(store)).has(owner)) {
        throw new Failure(
          `session ${id} is live on instance ${owner}, which alone may end it: ` +
            'call endpoint.sessions.terminate(id) there, or stop that process first',
        );
      }
      const outcome = await store.sessions.end(id, null, 'terminated');
      if (outcome === 'ended') return out(json ? `${JSON.stringify({ id, ended: 'terminated' })}\n` : `ended ${id}\n`);
    }
    throw new Failure(`session ${id} is changing hands; try again`);
  },
};

const unknown = (id: string): Failure =>
  new Failure(`there is no session ${JSON.stringify(id)} here; --name says whose sessions are looked at`);

async function living(store: OpenStore): Promise<ReadonlySet<string>> {
  return new Set((await store.instances.list()).map(({ id }) => id));
}

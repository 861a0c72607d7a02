/**
 * `sojourn sessions ls | show | end`: reads the store of a deployment. The command is not an instance and takes no
 * lease, so it can neither claim a session nor send a message to the owner of a live one.
 */
import { existsSync } from 'node:fs';
import { SojournError } from '../errors.ts';
import { DEFAULTS } from '../options/table.ts';
import { userName } from '../shown.ts';
import { openEndpointStore } from '../endpoint/endpoint-store.ts';
import { Notices } from '../observe/notices.ts';
import { isEnded, type Store } from '../stores/store.ts';
import { EXIT, Failure, UsageError } from './failure.ts';
import { endedLine, sessionDetails, sessionLine, sessionRow, tableHead } from './session-printout.ts';
import { storeOf } from './store-url.ts';

export interface SessionsRequest {
  readonly what: 'ls' | 'show' | 'end';
  /** The session id for `show` and `end`. */
  readonly id: string;
  readonly storeUrl: string;
  /** The flag or variable that gave it, for errors. */
  readonly origin: string;
  /** The endpoint's `name`. */
  readonly name: string;
  readonly json: boolean;
  /** `ls` lists only the sessions of the user with this name or this key. */
  readonly user: string | undefined;
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
    // One line and no stack: the store's errors say what to do, and the user's code is not involved.
    throw error instanceof SojournError ? new Failure(chosen.redact(error.message), { cause: error }) : error;
  }
  return EXIT.ok;
}

type Opened = Awaited<ReturnType<typeof openEndpointStore>>;

async function openStore(store: Store, { storeUrl, origin, name }: SessionsRequest): Promise<Opened> {
  if (!store.durable) {
    throw new UsageError(
      `${origin}: the ${store.kind}: store is in the memory of the process that serves the sessions; this command cannot read it`,
    );
  }
  const file = storeUrl.replace(/^sqlite:/i, '');
  // Opening creates a missing file: right for a server, but here the name of the file may be mistyped.
  if (store.kind === 'sqlite' && !existsSync(file))
    throw new Failure(`${file} does not exist; check the path in --store`);
  return openEndpointStore(store, { ...DEFAULTS, notices: new Notices(), name });
}

type Run = (store: Opened, request: SessionsRequest, out: (text: string) => void) => Promise<void>;

const run: Readonly<Record<SessionsRequest['what'], Run>> = {
  async ls(store, { json, user }, out) {
    let cursor: string | undefined;
    if (!json) out(tableHead());
    do {
      const page = await store.sessions.list(PAGE, cursor);
      // Read again for each page, because an instance may die between two pages.
      const alive = await liveInstances(store);
      const wanted = page.records.filter((record) => user === undefined || isOf(user, record.user));
      out(wanted.map((record) => (json ? sessionLine(record, alive) : sessionRow(record, alive))).join(''));
      cursor = page.nextCursor;
    } while (cursor !== undefined);
  },

  async show(store, { id, json }, out) {
    const found = await store.sessions.read(id);
    if (found === undefined) throw sessionUnknown(id);
    out(isEnded(found) ? endedLine(found, json) : sessionDetails(found, await liveInstances(store), json));
  },

  async end(store, { id, json }, out) {
    for (let tries = 0; tries < TRIES; tries++) {
      const found = await store.sessions.read(id);
      if (found === undefined) throw sessionUnknown(id);
      if (isEnded(found)) throw new Failure(`session ${id} has already ended: ${endedLine(found, false).trim()}`);
      const { owner } = found;
      // Not the list of leases: only the answer of `read` is final.
      if (owner !== null && (await store.instances.read(owner)) !== undefined) {
        throw new Failure(
          `session ${id} is live on instance ${owner}, and only that instance can end it: ` +
            'stop sojourn serve there (Ctrl+C), run this command, and start serve again: other sessions continue. ' +
            'A program of yours can call endpoint.sessions.terminate(id) while it runs',
        );
      }
      const outcome = await store.sessions.end(id, found, 'terminated');
      if (outcome === 'ended') return out(json ? `${JSON.stringify({ id, ended: 'terminated' })}\n` : `ended ${id}\n`);
    }
    throw new Failure(`session ${id} is moving to another instance; try again`);
  },
};

const isOf = (user: string, key: string | null): boolean => key !== null && (key === user || userName(key) === user);

const sessionUnknown = (id: string): Failure =>
  new Failure(`there is no session ${JSON.stringify(id)} in this store; set --name to the name of its endpoint`);

async function liveInstances(store: Opened): Promise<ReadonlySet<string>> {
  return new Set((await store.instances.list()).map(({ id }) => id));
}

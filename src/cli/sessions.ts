/**
 * `sojourn sessions ls | show | end`, `sojourn instances ls`: reads the store of a deployment. The command is not an
 * instance and takes no lease, so it can neither claim a session nor send a message to the owner of a live one.
 */
import { existsSync } from 'node:fs';
import { SojournError } from '../errors.ts';
import { DEFAULTS } from '../options/table.ts';
import { sessionHash } from '../shown.ts';
import { openEndpointStore } from '../endpoint/endpoint-store.ts';
import { Notices } from '../observe/notices.ts';
import { isEnded, type Store, type StoredRecord } from '../stores/store.ts';
import { EXIT, Failure, UsageError } from './failure.ts';
import {
  countLine,
  endedLine,
  instanceHead,
  instanceLine,
  instanceRow,
  instanceText,
  sessionDetails,
  sessionLine,
  sessionRow,
  type SessionSummary,
  summary,
  tableHead,
} from './session-printout.ts';
import { storeOf } from './store-url.ts';

export interface SessionsRequest {
  readonly what: 'ls' | 'show' | 'end' | 'instances';
  /** For `show` and `end`: the id of a session, or its hash, of which the beginning is enough. */
  readonly id: string;
  readonly storeUrl: string;
  /** The flag or variable that gave it, for errors. */
  readonly origin: string;
  /** The endpoint's `name`. */
  readonly name: string;
  readonly json: boolean;
  /** Ids are printed: who has one has its session. */
  readonly ids: boolean;
  readonly filter: SessionFilter;
}

/** What `ls` leaves out. `undefined`: nothing. */
export interface SessionFilter {
  /** Name or key. */
  readonly user?: string | undefined;
  /** A part of the client's name, whatever its case. */
  readonly client?: string | undefined;
  /** The instance that has the session in memory. */
  readonly owner?: string | undefined;
  /** ms without a request, at least. */
  readonly idleMs?: number | undefined;
}

const PAGE = 100;
const TRIES = 3;
/** Log lines show 12 digits. */
const HASH = /^[0-9a-f]{4,12}$/;

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

/** The sessions that have not ended, page by page. */
async function* sessionPages(store: Opened, limit: number): AsyncGenerator<readonly StoredRecord[], void> {
  let cursor: string | undefined;
  do {
    const page = await store.sessions.list(limit, cursor);
    yield page.records;
    cursor = page.nextCursor;
  } while (cursor !== undefined);
}

type Run = (store: Opened, request: SessionsRequest, out: (text: string) => void) => Promise<void>;

const run: Readonly<Record<SessionsRequest['what'], Run>> = {
  async ls(store, { json, ids, filter }, out) {
    const counts = { live: 0, hibernated: 0 };
    if (!json) out(tableHead(ids));
    for await (const records of sessionPages(store, PAGE)) {
      // Read again for each page, because an instance may die between two pages.
      const alive = await liveInstances(store);
      const wanted = records.map((record) => summary(record, alive)).filter((session) => fits(session, filter));
      for (const { status } of wanted) counts[status] += 1;
      out(wanted.map((session) => (json ? sessionLine(session, ids) : sessionRow(session, ids))).join(''));
    }
    if (!json) out(countLine(counts));
  },

  async show(store, { id: given, json, ids }, out) {
    const found = await store.sessions.read(await idOf(store, given));
    if (found === undefined) throw sessionUnknown(given);
    out(isEnded(found) ? endedLine(found, json, ids) : sessionDetails(found, await liveInstances(store), json, ids));
  },

  async end(store, { id: given, json, ids }, out) {
    const id = await idOf(store, given);
    const shown = ids ? id : sessionHash(id);
    for (let tries = 0; tries < TRIES; tries++) {
      const found = await store.sessions.read(id);
      if (found === undefined) throw sessionUnknown(given);
      if (isEnded(found))
        throw new Failure(`session ${shown} has already ended: ${endedLine(found, false, ids).trim()}`);
      // Not the list of leases: only the answer of `read` is final.
      const owner = found.owner === null ? undefined : await store.instances.read(found.owner);
      if (owner !== undefined) {
        throw new Failure(
          `session ${shown} is live on instance ${instanceText(owner)}, and only that instance can end it: ` +
            'stop sojourn serve there (Ctrl+C), run this command, and start serve again: other sessions continue. ' +
            'A program of yours can call endpoint.sessions.terminate(id) while it runs',
        );
      }
      const outcome = await store.sessions.end(id, found, 'terminated');
      if (outcome === 'ended') {
        const told = { hash: sessionHash(id), ...(ids && { id }), ended: 'terminated' };
        return out(json ? `${JSON.stringify(told)}\n` : `ended ${shown}\n`);
      }
    }
    throw new Failure(`session ${shown} is moving to another instance; try again`);
  },

  instances: listInstances,
};

/** `sojourn instances ls`: the instances of a deployment, and how many sessions each has live. */
async function listInstances(store: Opened, { json }: SessionsRequest, out: (text: string) => void): Promise<void> {
  const leases = await store.instances.list();
  const sessions = new Map<string, number>();
  for await (const records of sessionPages(store, PAGE))
    for (const { owner } of records) if (owner !== null) sessions.set(owner, (sessions.get(owner) ?? 0) + 1);
  if (!json) out(instanceHead());
  for (const lease of leases) out((json ? instanceLine : instanceRow)(lease, sessions.get(lease.id) ?? 0));
}

/** The id of a session that is named by its id, or by the beginning of its hash. */
async function idOf(store: Opened, given: string): Promise<string> {
  if (!HASH.test(given) || (await store.sessions.read(given)) !== undefined) return given;
  const found: string[] = [];
  for await (const records of sessionPages(store, PAGE))
    found.push(...records.map(({ id }) => id).filter((id) => sessionHash(id).startsWith(given)));
  const [id] = found;
  if (found.length > 1)
    throw new Failure(
      `${found.length} sessions have a hash that begins with ${given}: ${found.map(sessionHash).join(', ')}`,
    );
  return id ?? given;
}

function fits(session: SessionSummary, { user, client, owner, idleMs }: SessionFilter): boolean {
  return (
    (user === undefined || session.user === user || session.userName === user) &&
    (client === undefined || session.clientInfo.name.toLowerCase().includes(client.toLowerCase())) &&
    (owner === undefined || session.owner === owner) &&
    (idleMs === undefined || Date.now() - session.activeAt >= idleMs)
  );
}

const sessionUnknown = (id: string): Failure =>
  new Failure(`there is no session ${JSON.stringify(id)} in this store; set --name to the name of its endpoint`);

async function liveInstances(store: Opened): Promise<ReadonlySet<string>> {
  return new Set((await store.instances.list()).map(({ id }) => id));
}

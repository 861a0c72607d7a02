/**
 * `sojourn sessions ls | show | end`, `sojourn instances ls | drain`: reads the store of a deployment. The command is
 * not an instance and takes no lease, so it cannot claim a session: it orders the instance that has one (`orders.ts`).
 */
import { pagesOf } from '../base/pages.ts';
import { sessionHash } from '../base/shown.ts';
import type { EndpointStore } from '../endpoint/endpoint-store.ts';
import { setTimeout as delay } from 'node:timers/promises';
import { isatty } from 'node:tty';
import { GET_STREAM, type SessionSummary, summary } from '../endpoint/sessions.ts';
import { isEnded, type InstanceLease, type StoredRecord } from '../stores/store.ts';
import { Failure } from './failure.ts';
import { drainInstance, listInstances } from './instances.ts';
import { idOf, type StoreRequest, withOpenStore } from './opened-store.ts';
import { GivenOrders, type Operator } from './given-orders.ts';
import {
  countLine,
  endedLine,
  type SessionCounts,
  sessionDetails,
  sessionLine,
  sessionRow,
  type SessionSurroundings,
  tableHead,
} from './session-printout.ts';

export interface SessionsRequest extends StoreRequest, Operator {
  readonly what: 'ls' | 'show' | 'end' | 'instances' | 'drain';
  /** For `show` and `end`: the id of a session, or its hash. For `drain`: of an instance. The beginning is enough. */
  readonly id: string;
  readonly json: boolean;
  /** Ids are printed: who has one has its session. */
  readonly ids: boolean;
  readonly filter: SessionFilter;
  /** `ls` prints the list again after so many ms, until it is stopped. */
  readonly watchMs?: number | undefined;
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
const STDOUT = 1;
const CLEAR = '\u001b[H\u001b[2J';

/** Resolves with the exit code. */
export function sessions(request: SessionsRequest, out: (text: string) => void): Promise<number> {
  return withOpenStore(request, (store) => run[request.what](store, request, out));
}

type Out = (text: string) => void;
type Run = (store: EndpointStore, request: SessionsRequest, out: Out) => Promise<void>;

const run: Readonly<Record<SessionsRequest['what'], Run>> = {
  async ls(store, request, out) {
    const { watchMs } = request;
    if (watchMs === undefined) return list(store, request, out);
    for (;;) {
      let screen = '';
      await list(store, request, (text) => (screen += text));
      // A terminal is written over; elsewhere each list follows the one before.
      out(isatty(STDOUT) ? `${CLEAR}${screen}` : `${new Date().toISOString()}\n${screen}\n`);
      await delay(watchMs);
    }
  },

  async show(store, { id: given, json, ids }, out) {
    const found = await store.sessions.read(await idOf('sessions', store.sessions, given));
    if (found === undefined) throw sessionUnknown(given);
    out(isEnded(found) ? endedLine(found, json, ids) : sessionDetails(found, await around(store, found), json, ids));
  },

  async end(store, request, out) {
    const { id: given, json, ids } = request;
    const id = await idOf('sessions', store.sessions, given);
    const shown = ids ? id : sessionHash(id);
    const orders = new GivenOrders(store, request);
    for (let tries = 0; tries < TRIES; tries++) {
      const found = await store.sessions.read(id);
      if (found === undefined) throw sessionUnknown(given);
      if (isEnded(found))
        throw new Failure(`session ${shown} has already ended: ${endedLine(found, false, ids).trim()}`);
      // Not the list of leases: only the answer of `read` is final.
      const owner = found.owner === null ? undefined : await store.instances.read(found.owner);
      const outcome = owner === undefined ? await store.sessions.end(id, found, 'terminated') : await endAt(owner, id);
      if (outcome === 'ended') {
        const told = { hash: sessionHash(id), ...(ids && { id }), ended: 'terminated' };
        return out(json ? `${JSON.stringify(told)}\n` : `ended ${shown}\n`);
      }
    }
    throw new Failure(`session ${shown} is moving to another instance; try again`);

    /** Only the instance that has it can end it. `moved`: that instance died, or has it no more. */
    async function endAt(owner: InstanceLease, session: string): Promise<'ended' | 'moved'> {
      await orders.send(owner, { run: 'end', session });
      const outcome = await orders.effect(async () => {
        const now = await store.sessions.read(session);
        if (now === undefined || isEnded(now)) return 'ended' as const;
        const isThere = now.owner === owner.id && (await store.instances.read(owner.id)) !== undefined;
        return isThere ? undefined : ('moved' as const);
      });
      if (outcome === undefined) throw await orders.noEffect(owner, 'end the session');
      return outcome;
    }
  },

  instances: listInstances,
  drain: drainInstance,
};

async function list(store: EndpointStore, { json, ids, filter }: SessionsRequest, out: Out): Promise<void> {
  const counts: SessionCounts = { live: 0, hibernated: 0, released: 0, orphaned: 0 };
  if (!json) out(tableHead(ids));
  for await (const { records } of pagesOf((cursor) => store.sessions.list(PAGE, cursor))) {
    // Read again for each page, because an instance may die between two pages.
    const alive = await liveInstances(store);
    const wanted = records.map((record) => summary(record, alive)).filter((session) => fits(session, filter));
    for (const { status } of wanted) counts[status] += 1;
    out(wanted.map((session) => (json ? sessionLine(session, ids) : sessionRow(session, ids))).join(''));
  }
  if (!json) out(countLine(counts));
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

async function around(store: EndpointStore, { id, owner }: StoredRecord): Promise<SessionSurroundings> {
  const lease = owner === null ? undefined : await store.instances.read(owner);
  const kept = await store.sessions.replay(id, GET_STREAM, -1);
  if (!kept.found) return { owner: lease, getStream: undefined };
  const bytes = kept.events.reduce((sum, { data }) => sum + Buffer.byteLength(data), 0);
  return { owner: lease, getStream: { messages: kept.events.length, bytes } };
}

async function liveInstances(store: EndpointStore): Promise<ReadonlySet<string>> {
  return new Set((await store.instances.list()).map(({ id }) => id));
}

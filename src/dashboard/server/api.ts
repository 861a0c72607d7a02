/**
 * The API of the page, below `…/api/`: `wire.ts` and `wire-pages.ts` say what each answer is. The path before it may be
 * any prefix, and no part of a path is used for more than a comparison or a look into a map.
 */
import { sessionHash } from '../../base/shown.ts';
import { base64url, systemRandom } from '../../base/system.ts';
import { SojournError } from '../../errors.ts';
import { BUILD_VERSION } from '../../protocol/versions.ts';
import type { Hello } from '../wire.ts';
import type {
  Done,
  PayloadsOn,
  Refusals,
  RefusalReason,
  RunningTaskRow,
  RunningTasks,
  SessionlessClients,
} from '../wire-pages.ts';
import type { Access } from './access.ts';
import type { Collector } from './collector.ts';
import type { Fleet } from './fleet.ts';
import type { CheckedDashboard } from './options.ts';
import { PageStream } from './page-stream.ts';
import type { DashboardParts } from './parts-of-endpoint.ts';
import type { Peers } from './peers.ts';
import { joinedReasons, type ReasonRows } from './refusal-rows.ts';
import { adviceFor, allowanceFor } from './remedies.ts';
import { answered, type DashboardRequest, failed, type DashboardReply } from './dashboard-request.ts';
import { sessionDetail } from './session-detail.ts';
import type { SessionRows } from './session-rows.ts';
import { joinedClients } from './sessionless.ts';
import type { StoredRows } from './stored-rows.ts';
import { taskDetail } from './task-detail.ts';
import { runningTasks, type TaskRows } from './task-rows.ts';

/** Streams that are open at once: more pages than people look. Each may have two. */
const STREAMS = 32;
const HASH = /^[\da-f]{12}$/;
const INSTANCE = /^[\w-]{1,64}$/;
const CURSOR_LENGTH = 2_048;
const NONCE_BYTES = 9;
const STREAM_HEADERS = {
  'Content-Type': 'text/event-stream',
  'Cache-Control': 'no-store',
  // nginx would hold the stream back.
  'X-Accel-Buffering': 'no',
};

interface ApiParts {
  readonly parts: DashboardParts;
  readonly given: CheckedDashboard;
  readonly access: Access;
  readonly collector: Collector;
  readonly fleet: Fleet;
  readonly peers: Peers;
  readonly rows: SessionRows;
  readonly tasks: TaskRows;
}

export class Api {
  readonly #of: ApiParts;
  readonly #streams = new Set<PageStream>();

  constructor(parts: ApiParts) {
    this.#of = parts;
  }

  /** `path`: behind `…/api/`. */
  async serve(request: DashboardRequest, path: string): Promise<DashboardReply> {
    const steps = path.split('/');
    const isAction = steps.length === 3;
    const wanted = isAction ? 'POST' : 'GET';
    if (request.method !== wanted && !(request.method === 'HEAD' && !isAction))
      return failed(405, 'method', `Use ${wanted}`, { Allow: wanted });
    const { access } = this.#of;
    const refused = isAction ? access.refusesAction(request) : await access.refusesLook(request);
    if (refused !== undefined) return refused;
    try {
      await this.#of.parts.ready();
      return (await (isAction ? this.#act(steps) : this.#look(request, steps))) ?? failed(404, 'unknown', 'Not found');
    } catch (err) {
      if (err instanceof SojournError && err.code === 'STORE_AWAY')
        return failed(503, 'store_away', 'The session store cannot be reached');
      this.#of.parts.options.logger.error({ err }, 'The dashboard could not answer its page');
      return failed(500, 'internal', 'The dashboard could not answer; the log says why');
    }
  }

  stop(): void {
    for (const stream of this.#streams) stream.end();
  }

  async #look(request: DashboardRequest, [what = '', which]: readonly string[]): Promise<DashboardReply | undefined> {
    const query = new URLSearchParams(request.query);
    if (which !== undefined)
      return what === 'sessions' ? this.#session(which) : what === 'tasks' ? this.#task(which) : undefined;
    switch (what) {
      case 'stream':
        return this.#stream(request, query.has('rows'));
      case 'sessions':
        return this.#page(this.#of.rows, query.get('cursor') || undefined);
      case 'tasks':
        return this.#page(this.#of.tasks, query.get('cursor') || undefined);
      case 'running':
        return this.#running();
      case 'clients':
        return this.#clients();
      case 'refusals':
        return this.#refusals();
      default:
        return undefined;
    }
  }

  #stream(request: DashboardRequest, wantsRows: boolean): DashboardReply {
    if (this.#streams.size >= STREAMS)
      return failed(503, 'streams', `${STREAMS} pages are open here already; close one`, { 'Retry-After': '5' });
    // Nothing follows the head of the answer to a HEAD.
    if (request.method === 'HEAD') return { status: 200, headers: STREAM_HEADERS };
    const { fleet, parts } = this.#of;
    const { timeProvider } = parts.options;
    const stream = new PageStream(fleet, timeProvider, this.#hello(request), this.#streams, wantsRows);
    return { status: 200, headers: STREAM_HEADERS, stream };
  }

  #hello(request: DashboardRequest): Hello {
    const { parts, given, access } = this.#of;
    const { options, instance, storeKind, tasks } = parts;
    const { served, payloads } = given;
    return {
      instance: instance.lease.id,
      version: BUILD_VERSION,
      at: options.timeProvider.now(),
      mayAct: access.mayAct(request),
      ...(served !== undefined && { served: true, drainMs: served.drainMs }),
      ...(served?.endpoint !== undefined && { endpoint: served.endpoint }),
      store: storeKind,
      waitMs: options.waitMs,
      leaseMs: options.leaseMs,
      payloads,
      ...(tasks !== undefined && { tasks: true }),
    };
  }

  async #page(rows: StoredRows, cursor: string | undefined): Promise<DashboardReply> {
    if (cursor !== undefined && cursor.length > CURSOR_LENGTH) return failed(400, 'cursor', 'This is no cursor');
    const page = await rows.page(cursor);
    return page === undefined ? failed(400, 'cursor', 'This is no cursor') : answered(page);
  }

  async #session(hash: string): Promise<DashboardReply | undefined> {
    const detail = HASH.test(hash) ? await sessionDetail(hash, this.#of) : undefined;
    if (detail === undefined) return failed(404, 'unknown', 'The store does not know this session');
    return answered(JSON.stringify(detail));
  }

  async #task(hash: string): Promise<DashboardReply> {
    const detail = HASH.test(hash) ? await taskDetail(hash, this.#of) : undefined;
    return detail === undefined ? unknownTask() : answered(JSON.stringify(detail));
  }

  async #running(): Promise<DashboardReply> {
    const { fleet, peers, parts } = this.#of;
    await fleet.look();
    const answers = await peers.ask(fleet.others, 'tasks');
    const others = answers.flatMap(([, answer]) => (Array.isArray(answer) ? (answer as RunningTaskRow[]) : []));
    const running: RunningTasks = {
      at: parts.options.timeProvider.now(),
      tasks: [...runningTasks(parts), ...others],
    };
    return answered(JSON.stringify(running));
  }

  async #clients(): Promise<DashboardReply> {
    const { fleet, peers, collector, parts } = this.#of;
    await fleet.look();
    const answers = await peers.ask(fleet.others, 'clients');
    const lists = answers.map(([, answer]) => (Array.isArray(answer) ? answer : []));
    const clients: SessionlessClients = {
      at: parts.options.timeProvider.now(),
      clients: joinedClients([collector.clients.list(), ...lists]),
    };
    return answered(JSON.stringify(clients));
  }

  async #refusals(): Promise<DashboardReply> {
    const { fleet, peers, collector, parts } = this.#of;
    await fleet.look();
    const answers = await peers.ask(fleet.others, 'refusals');
    const lists = answers.map(([, answer]) => (Array.isArray(answer) ? (answer as ReasonRows[]) : []));
    const reasons = joinedReasons([collector.refusals.list(), ...lists]).map((of) => this.#reason(of));
    const refusals: Refusals = { at: parts.options.timeProvider.now(), reasons };
    return answered(JSON.stringify(refusals));
  }

  #reason({ minute: _, others, minutes, ...of }: ReasonRows): RefusalReason {
    const { origin, host } = of.callers[0] ?? {};
    const allow = allowanceFor(of, of.reason === 'origin' ? origin : host, this.#of.parts.options);
    const advice = adviceFor(of.reason);
    return {
      ...of,
      times: minutes.reduce((sum, many) => sum + many, 0),
      minutes,
      ...(allow !== undefined && { allow }),
      ...(advice !== undefined && { advice }),
      ...(others > 0 && { others }),
    };
  }

  async #act([what = '', which = '', deed = '']: readonly string[]): Promise<DashboardReply | undefined> {
    const { logger } = this.#of.parts.options;
    const name = `${what} ${deed}`;
    if (name === 'sessions end' && HASH.test(which)) {
      const id = await this.#of.rows.idOf(which);
      if (id === undefined) return failed(404, 'unknown', 'The store does not know this session');
      logger.info({ sessionId: id }, 'A session ends, as the dashboard ordered');
      return (await this.#of.parts.terminate(id)) ? done() : failed(409, 'ended', 'The session has ended already');
    }
    if (name === 'sessions payloads' && HASH.test(which)) return this.#payloads(which);
    if (name === 'tasks cancel' && HASH.test(which)) return this.#cancel(which);
    if (name === 'instances drain' && INSTANCE.test(which)) return this.#drain(which);
    return undefined;
  }

  async #cancel(hash: string): Promise<DashboardReply> {
    const { tasks, parts } = this.#of;
    if (parts.tasks === undefined) return failed(409, 'tasks', 'This instance runs without the option tasks');
    const id = await tasks.idOf(hash);
    if (id === undefined) return unknownTask();
    parts.options.logger.info({ task: sessionHash(id) }, 'A task is cancelled, as the dashboard ordered');
    if (!(await parts.tasks.end(id, { status: 'cancelled' })))
      return failed(409, 'ended', 'The task has ended already');
    tasks.changed();
    return done();
  }

  async #payloads(hash: string): Promise<DashboardReply> {
    const { given, rows, collector, fleet, peers, parts } = this.#of;
    if (given.payloads === false)
      return failed(403, 'payloads', 'Payloads are not shown here: mount the dashboard with the option payloads');
    const id = await rows.idOf(hash);
    if (id === undefined) return failed(404, 'unknown', 'The store does not know this session');
    const until = collector.payloads.begin(id);
    if (until === undefined)
      return failed(409, 'payloads', 'The payloads of other sessions are shown now; wait for their end');
    parts.options.logger.info({ sessionId: id }, 'The dashboard shows the payloads of a session for five minutes');
    await fleet.look();
    await peers.ask(fleet.others, 'payloads', id);
    const on: PayloadsOn = { until };
    return answered(JSON.stringify(on));
  }

  async #drain(id: string): Promise<DashboardReply> {
    const { peers, parts } = this.#of;
    const { instance, drainOrdered } = parts;
    const by = `the dashboard of ${instance.lease.id}`;
    if (id === instance.lease.id) {
      drainOrdered(by);
      return done();
    }
    const isThere = (await instance.leases()).some((lease) => lease.id === id);
    if (!isThere) return failed(404, 'unknown', 'No instance has this id');
    if (await instance.orderDrain(id, by)) return done();
    const [answer] = await peers.ask([id], 'drain', by);
    if (answer?.[1] === true) return done();
    return failed(409, 'not_sent', 'The order was not sent: it has left, or has no dashboard and runs in this process');
  }
}

const unknownTask = (): DashboardReply => failed(404, 'unknown', 'The store does not know this task');

function done(): DashboardReply {
  const answer: Done = { done: true };
  return answered(JSON.stringify(answer));
}

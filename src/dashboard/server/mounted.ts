/**
 * The dashboard of an endpoint. `endpoint/dashboard.ts` loads this folder when an application mounts one, and from then
 * on the instance counts what its pages show (`own-figures.ts`). Requests below `…/api/` get values, as `wire.ts` says;
 * others get the files of the page. The path before may be any prefix, and no part of a path is used for more than a
 * comparison or a look into a map.
 */
import type { DashboardParts } from '../../endpoint/dashboard-parts.ts';
import { orUndefined } from '../../base/or-undefined.ts';
import { sessionHash } from '../../base/shown.ts';
import { SojournError } from '../../errors.ts';
import type { Done, FleetPage, SessionRow, TaskRow } from '../wire.ts';
import { Access } from './access.ts';
import { type DashboardReply, type DashboardRequest, failed, tagOf } from './dashboard-request.ts';
import { sessionDetail, sessionRow, taskDetail, taskRow } from './details.ts';
import { Fleet } from './fleet.ts';
import type { CheckedDashboard } from './options.ts';
import { OwnFigures } from './own-figures.ts';
import { PageFiles, withSecurity } from './page-files.ts';
import { ShownRecords } from './records.ts';

export { serveFetch, serveNode } from './faces.ts';

const API = '/api/';
const ROUTES = new Set(['fleet', 'sessions', 'instances', 'tasks']);
const HASH = /^[\da-f]{12}$/;
const INSTANCE = /^[\w-]{1,64}$/;
const QUERY_LENGTH = 300;

/** What all dashboards of an endpoint share. */
export class Collected {
  readonly parts: DashboardParts;
  readonly fleet: Fleet;
  readonly sessions: ShownRecords<SessionRow>;
  readonly tasks: ShownRecords<TaskRow>;

  constructor(parts: DashboardParts) {
    const { store } = parts;
    this.parts = parts;
    this.fleet = new Fleet(parts, new OwnFigures(parts));
    this.sessions = new ShownRecords(parts, { records: () => store.sessions, purpose: 'sessions', row: sessionRow });
    this.tasks = new ShownRecords(parts, { records: () => store.tasks, purpose: 'tasks', row: taskRow });
  }
}

export class Mounted {
  readonly #of: Collected;
  readonly #given: CheckedDashboard;
  readonly #access: Access;
  readonly #files = new PageFiles();

  constructor(of: Collected, given: CheckedDashboard) {
    this.#of = of;
    this.#given = given;
    this.#access = new Access(of.parts.options, given);
  }

  async handle(request: DashboardRequest): Promise<DashboardReply> {
    return withSecurity(await this.#answer(request));
  }

  async #answer(request: DashboardRequest): Promise<DashboardReply> {
    const { method, path } = request;
    const at = path.lastIndexOf(API);
    const rest = path.slice(at + API.length);
    // The prefix itself may have `/api/` in it.
    if (at >= 0 && ROUTES.has(rest.split('/', 1)[0] ?? '')) return this.#value(request, rest);
    if (method !== 'GET' && method !== 'HEAD') return failed(405, 'method', 'Use GET', { Allow: 'GET, HEAD' });
    return (await this.#access.refusesPage(request)) ?? this.#files.serve(request);
  }

  /** `path`: behind `…/api/`. */
  async #value(request: DashboardRequest, path: string): Promise<DashboardReply> {
    const steps = path.split('/');
    const isAction = steps.length === 3;
    const wanted = isAction ? 'POST' : 'GET';
    if (request.method !== wanted && !(request.method === 'HEAD' && !isAction))
      return failed(405, 'method', `Use ${wanted}`, { Allow: wanted });
    const refused = isAction ? this.#access.refusesAction(request) : await this.#access.refusesLook(request);
    if (refused !== undefined) return refused;
    try {
      const answer = await (isAction ? this.#act(steps) : this.#look(request, steps));
      if (answer === undefined) return failed(404, 'unknown', 'This is not known to the store, or has ended');
      return isReply(answer) ? answer : answered(answer, request);
    } catch (err) {
      if (err instanceof SojournError && err.code === 'STORE_AWAY')
        return failed(503, 'store_away', 'The session store cannot be reached');
      this.#of.parts.options.logger.error({ err }, 'The dashboard could not answer its page');
      return failed(500, 'internal', 'The dashboard could not answer; the log says why');
    }
  }

  async #look(request: DashboardRequest, [what, hash]: readonly string[]): Promise<object | undefined> {
    if (what === 'fleet' && hash === undefined) return this.#fleet(request);
    if (what !== 'sessions' && what !== 'tasks') return undefined;
    const { parts, [what]: records } = this.#of;
    await parts.ready();
    if (hash === undefined) {
      const query = new URLSearchParams(request.query);
      // The page sends it as a header: proxies log addresses, and it may be the id of a session.
      const text = request.header('sojourn-search') ?? query.get('q') ?? '';
      const sought = orUndefined(() => decodeURIComponent(text)) ?? text;
      const page = await records.page(sought.slice(0, QUERY_LENGTH), query.get('cursor') ?? '');
      if (page === 'cursor') return failed(400, 'cursor', 'This is no cursor');
      return page === 'busy' ? failed(503, 'busy', 'Other searches run; try again', { 'Retry-After': '1' }) : page;
    }
    const id = HASH.test(hash) ? await records.idOf(hash) : undefined;
    if (id === undefined) return undefined;
    return what === 'sessions' ? sessionDetail(hash, id, parts) : taskDetail(hash, id, parts);
  }

  async #fleet(request: DashboardRequest): Promise<FleetPage> {
    const { parts, fleet } = this.#of;
    const { options, instance, storeKind, tasks } = parts;
    const { endpoint, drainMs } = this.#given.served ?? {};
    const { allowedHosts = [], allowedOrigins, limits } = options;
    return {
      at: options.timeProvider.now(),
      instance: instance.lease.id,
      mayAct: this.#access.mayAct(request),
      ...(endpoint !== undefined && { endpoint }),
      ...(drainMs !== undefined && { drainMs }),
      store: storeKind,
      ...(tasks !== undefined && { tasks: true }),
      ...(await fleet.look()),
      options: { allowedHosts, allowedOrigins, limits },
    };
  }

  async #act([what = '', which = '', deed = '']: readonly string[]): Promise<Done | DashboardReply | undefined> {
    const { parts, sessions, tasks } = this.#of;
    const { logger } = parts.options;
    await parts.ready();
    const name = `${what} ${deed}`;
    if (name === 'instances drain' && INSTANCE.test(which)) return this.#drain(which);
    if (!HASH.test(which)) return undefined;
    if (name === 'sessions end') {
      const id = await sessions.idOf(which);
      if (id === undefined) return undefined;
      logger.info({ sessionId: id }, 'A session ends, as the dashboard ordered');
      return (await parts.terminate(id)) ? DONE : failed(409, 'ended', 'The session has ended already');
    }
    if (name !== 'tasks cancel') return undefined;
    if (parts.tasks === undefined) return failed(409, 'tasks', 'This instance runs without the option tasks');
    const id = await tasks.idOf(which);
    if (id === undefined) return undefined;
    logger.info({ task: sessionHash(id) }, 'A task is cancelled, as the dashboard ordered');
    const isEnded = await parts.tasks.end(id, { status: 'cancelled' });
    return isEnded ? DONE : failed(409, 'ended', 'The task has ended already');
  }

  async #drain(id: string): Promise<Done | DashboardReply | undefined> {
    const { instance, drainOrdered } = this.#of.parts;
    const by = `the dashboard of ${instance.lease.id}`;
    if (id === instance.lease.id) {
      drainOrdered(by);
      return DONE;
    }
    if (!(await instance.living()).has(id)) return undefined;
    if (await instance.orderDrain(id, by)) return DONE;
    return failed(409, 'not_sent', 'The order was not sent: it has left, or runs in this process, which can drain it');
  }
}

const DONE: Done = { done: true };

const isReply = (answer: object): answer is DashboardReply => 'headers' in answer;

function answered(value: object, { header }: DashboardRequest): DashboardReply {
  const body = JSON.stringify(value);
  const etag = tagOf(body);
  const headers = { 'Content-Type': 'application/json', 'Cache-Control': 'no-store', ETag: etag };
  return header('if-none-match') === etag ? { status: 304, headers } : { status: 200, headers, body };
}

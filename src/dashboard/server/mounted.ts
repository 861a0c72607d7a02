/**
 * The dashboard of an endpoint. `endpoint/dashboard.ts` loads this folder when an application mounts one, and from then
 * on the instance counts what its pages show (`instance-figures.ts`). Requests below `…/api/` get values, as `wire.ts` says;
 * others get the files of the page. The path before may be any prefix, and no part of a path is used for more than a
 * comparison or a look into a map.
 */
import type { ShownEndpoint } from './shown-endpoint.ts';
import { orUndefined } from '../../base/or-undefined.ts';
import { sessionHash } from '../../base/shown.ts';
import { SojournError } from '../../base/errors.ts';
import { LOOPBACK_NAMES } from '../../base/options/hosts.ts';
import { Access } from './access.ts';
import { type DashboardReply, type DashboardRequest, failed, Refused } from './faces.ts';
import type { Ordered } from '../../cluster/orders.ts';
import { objectOf } from '../../durable/state/handles.ts';
import { isEnded } from '../../stores/store.ts';
import { Fleet } from './fleet.ts';
import type { CheckedDashboard } from './options.ts';
import { InstanceFigures } from './instance-figures.ts';
import { PageFiles, withSecurity } from './page-files.ts';
import { ShownRecords } from './records.ts';

export { serveFetch, serveNode } from './faces.ts';

const API = '/api/';
const ROUTES = new Set(['fleet', 'sessions', 'instances', 'tasks', 'handles']);
const QUERY_LENGTH = 300;
/** An action was carried out, or its order was sent. */
const DONE = { done: true };

/** What all dashboards of an endpoint share. */
export class Collected {
  readonly endpoint: ShownEndpoint;
  readonly fleet: Fleet;
  readonly sessions: ShownRecords;
  readonly tasks: ShownRecords;
  readonly handles: ShownRecords;

  constructor(endpoint: ShownEndpoint) {
    this.endpoint = endpoint;
    this.fleet = new Fleet(endpoint, new InstanceFigures(endpoint));
    this.sessions = new ShownRecords(endpoint, 'sessions');
    this.tasks = new ShownRecords(endpoint, 'tasks');
    this.handles = new ShownRecords(endpoint, 'handles');
  }
}

export class Mounted {
  readonly #of: Collected;
  readonly #served: CheckedDashboard['served'];
  readonly #access: Access;
  readonly #files = new PageFiles();

  constructor(of: Collected, given: CheckedDashboard) {
    this.#of = of;
    this.#served = given.served;
    this.#access = new Access(of.endpoint.options.allowedHosts, given);
  }

  readonly handle = async (request: DashboardRequest): Promise<DashboardReply> =>
    withSecurity(await this.#answer(request));

  async #answer(request: DashboardRequest): Promise<DashboardReply> {
    const { method, path } = request;
    const at = path.lastIndexOf(API);
    const steps = path.slice(at + API.length).split('/');
    // The prefix itself may have `/api/` in it.
    const isApi = at >= 0 && ROUTES.has(steps[0] ?? '');
    const isAction = isApi && steps.length === 3;
    const methods = isAction ? ['POST'] : ['GET', 'HEAD'];
    if (!methods.includes(method))
      return failed(405, 'method', `Use ${methods[0]}`, { Allow: methods.join(', ') });
    if (!isApi) return this.#access.refusesPage(request) ?? this.#files.serve(request);
    const refused = this.#access.refuses(request, isAction);
    if (refused !== undefined) return refused;
    try {
      const answer = await (isAction ? this.#act(steps) : this.#look(request, steps));
      if (answer === undefined)
        return failed(404, 'unknown', 'This is not known to the store, or has ended');
      return answered(answer);
    } catch (err) {
      if (err instanceof Refused) return err.reply;
      if (err instanceof SojournError && err.code === 'STORE_UNAVAILABLE')
        return failed(503, 'store_unavailable', 'The session store cannot be reached');
      this.#of.endpoint.options.logger.error({ err }, 'The dashboard could not answer its page');
      return failed(500, 'internal', 'The dashboard could not answer; the log says why');
    }
  }

  async #look(
    { query, header }: DashboardRequest,
    [what, which]: readonly string[],
  ): Promise<object | undefined> {
    if (what === 'fleet' && which === undefined) return this.fleet();
    if (what !== 'sessions' && what !== 'tasks' && what !== 'handles') return undefined;
    const { endpoint, [what]: records } = this.#of;
    await endpoint.ready();
    if (which !== undefined) return records.detail(which);
    // The page sends it as a header: proxies log addresses, and it may be the id of a session.
    const text = header('sojourn-search') ?? query.get('q') ?? '';
    const sought = orUndefined(() => decodeURIComponent(text)) ?? text;
    return records.page(sought.slice(0, QUERY_LENGTH), query.get('cursor') ?? '');
  }

  async fleet() {
    const { endpoint, fleet } = this.#of;
    const { options, instance, tasks } = endpoint;
    // Where the option is not set, only a listener on loopback refuses a host.
    const { allowedHosts = LOOPBACK_NAMES, allowedOrigins } = options;
    const limits: Readonly<Record<string, unknown>> = { ...options.limits };
    return {
      at: options.timeProvider.now(),
      /** The instance that answers, by the id of its row. */
      instance: instance.lease.owner,
      /** Where clients connect, and how long running calls have in a drain: known to `sojourn serve`. */
      endpoint: this.#served?.endpoint,
      drainMs: this.#served?.drainMs,
      store: options.store?.kind ?? 'memory',
      tasks: tasks !== undefined,
      ...(await fleet.look()),
      /** Options that may allow what was refused. A limit of `null` is none. */
      options: { allowedHosts, allowedOrigins, limits },
    };
  }

  async #act([what = '', which = '', deed]: readonly string[]): Promise<object | undefined> {
    const { endpoint, sessions, tasks, handles } = this.#of;
    const { logger } = endpoint.options;
    await endpoint.ready();
    const name = `${what} ${deed}`;
    if (name === 'instances drain') return this.#drain(which);
    const records = {
      'sessions end': sessions,
      'tasks cancel': tasks,
      'handles end': handles,
      'handles close': handles,
    }[name];
    if (records === tasks && endpoint.tasks === undefined)
      throw new Refused(409, 'tasks', 'This instance runs without the option tasks');
    const id = await records?.idOf(which);
    if (id === undefined) return undefined;
    if (name === 'handles close') return this.#closeObject(id);
    if (records === sessions)
      logger.info({ sessionId: id }, 'A session ends, as the dashboard ordered');
    else if (records === handles)
      logger.info({ handle: id }, 'A handle ends, as the dashboard ordered');
    else logger.info({ task: sessionHash(id) }, 'A task is cancelled, as the dashboard ordered');
    const order =
      records === sessions
        ? endpoint.legacy.terminate(id)
        : records === handles
          ? endpoint.states.handles.end(id)
          : endpoint.tasks?.tasks.end(id, { status: 'cancelled' });
    if (!(await order)) throw new Refused(409, 'ended', 'It has ended already');
    return DONE;
  }

  /** The object of a handle closes where it is open. The handle and its state stay. */
  async #closeObject(id: string): Promise<object | undefined> {
    const { store, instance, live, options } = this.#of.endpoint;
    options.logger.info(
      { handle: id },
      'The object of a handle is closed, as the dashboard ordered',
    );
    if (await live.closeOne(id)) return DONE;
    const record = await store.handles.read(id);
    if (record === undefined || isEnded(record)) return undefined;
    const object = objectOf(record, await instance.living());
    if (object === undefined || object.instance === instance.lease.owner)
      throw new Refused(409, 'closed', 'No instance has its object open');
    return this.#order(object.instance, { run: 'close', handle: id });
  }

  async #drain(id: string): Promise<object | undefined> {
    const { instance, orders } = this.#of.endpoint;
    if (id === instance.lease.owner) {
      orders.drain(this.#by);
      return DONE;
    }
    if (!(await instance.living()).has(id)) return undefined;
    return this.#order(id, { run: 'drain' });
  }

  get #by(): string {
    return `the dashboard of ${this.#of.endpoint.instance.lease.id}`;
  }

  async #order(to: string, ordered: Ordered): Promise<object> {
    const { instance } = this.#of.endpoint;
    const order = { kind: 'order', by: this.#by, ...ordered } as const;
    // Messages within one process carry no orders.
    if (!instance.inProcess && (await instance.notify(to, order))) return DONE;
    const why = 'The order was not sent: it has left, or runs in this process, which can do it';
    throw new Refused(409, 'not_sent', why);
  }
}

function answered(value: object): DashboardReply {
  const headers = { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' };
  return { status: 200, headers, body: JSON.stringify(value) };
}

/**
 * The dashboard of an endpoint. `endpoint/dashboard.ts` loads this folder when an application mounts one, and from then
 * on the instance collects what its pages show (`collector.ts`).
 */
import { Access } from './access.ts';
import { Api } from './api.ts';
import { ChangedRows } from './changed-rows.ts';
import { Collector } from './collector.ts';
import type { DashboardHandler } from './faces.ts';
import { KnownInstances } from './known-instances.ts';
import { Fleet } from './fleet.ts';
import type { CheckedDashboard } from './options.ts';
import { PageFiles, withSecurity } from './page-files.ts';
import type { DashboardParts } from './parts-of-endpoint.ts';
import { type Answers, Peers, type Question } from './peers.ts';
import { Reports } from './report.ts';
import { type DashboardRequest, failed, type DashboardReply } from './dashboard-request.ts';
import { timelinePart } from './session-detail.ts';
import { SessionRows } from './session-rows.ts';
import { runningTasks, TaskRows } from './task-rows.ts';

export { serveFetch, serveNode } from './faces.ts';

/** All dashboards of an endpoint share what it collects. */
export class Collecting implements Answers {
  readonly parts: DashboardParts;
  readonly collector: Collector;
  readonly rows: SessionRows;
  readonly tasks: TaskRows;
  readonly peers: Peers;
  readonly fleet: Fleet;

  constructor(parts: DashboardParts) {
    this.parts = parts;
    const { options, registry, instance } = parts;
    this.collector = new Collector(options.timeProvider, registry, options.notices, instance.lease);
    this.rows = new SessionRows(parts);
    this.tasks = new TaskRows(parts);
    const reports = new Reports(parts, this.collector);
    const changed = new ChangedRows(this.collector, this.rows);
    const instances = new KnownInstances(instance.lease);
    this.peers = new Peers(parts, reports, changed, this, instances);
    this.fleet = new Fleet(parts, instances, reports, this.peers, this.rows, changed);
    instance.mount(this.peers);
  }

  answer(question: Question, of: string): unknown {
    switch (question) {
      case 'refusals':
        return this.collector.refusals.list();
      case 'clients':
        return this.collector.clients.list();
      case 'timeline':
        return timelinePart(of, this.collector, this.rows);
      case 'payloads':
        return this.collector.payloads.begin(of) ?? null;
      case 'drain':
        return this.#drainHere(of);
      case 'tasks':
        return runningTasks(this.parts, of);
    }
  }

  /** Between processes orders are messages of their own, which no one can repeat. */
  #drainHere(by: string): boolean {
    const { options, drainOrdered } = this.parts;
    if (options.store?.inProcess === false) return false;
    drainOrdered(by);
    return true;
  }

  stop(): void {
    this.fleet.stop();
    this.peers.stop();
    this.collector.stop();
    this.rows.clear();
    this.tasks.clear();
  }
}

const API = '/api/';
const ROUTES = new Set(['stream', 'sessions', 'clients', 'refusals', 'instances', 'tasks', 'running']);

export class Mounted implements DashboardHandler {
  readonly #access: Access;
  readonly #api: Api;
  readonly #files = new PageFiles();

  constructor(collecting: Collecting, given: CheckedDashboard) {
    const { parts, collector, fleet, peers, rows, tasks } = collecting;
    const { payloads } = given;
    // An endpoint may have several dashboards, and one of them may show more.
    if (payloads !== false && collector.payloads.shows !== 'values') collector.payloads.shows = payloads;
    this.#access = new Access(parts.options, given);
    this.#api = new Api({ parts, given, access: this.#access, collector, fleet, peers, rows, tasks });
  }

  /** Its streams end. */
  stop(): void {
    this.#api.stop();
  }

  async handle(request: DashboardRequest): Promise<DashboardReply> {
    return withSecurity(await this.#answer(request));
  }

  async #answer(request: DashboardRequest): Promise<DashboardReply> {
    const { method, path } = request;
    const at = path.lastIndexOf(API);
    const rest = path.slice(at + API.length);
    // The prefix itself may have `/api/` in it.
    if (at >= 0 && ROUTES.has(rest.split('/', 1)[0] ?? '')) return this.#api.serve(request, rest);
    if (method !== 'GET' && method !== 'HEAD') return failed(405, 'method', 'Use GET', { Allow: 'GET, HEAD' });
    return (await this.#access.refusesPage(request)) ?? this.#files.serve(request);
  }
}

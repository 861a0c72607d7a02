/**
 * Who may look at the dashboard, and who may act. The files of the page are the same for everybody and tell nothing but
 * how to make a token, so they need none; all that the page shows comes from the API. Where a request comes from opens
 * nothing: a proxy on the same machine cannot be told from a browser there.
 *
 *     API     one Host, an allowed one ──▶ site and Origin ──▶ token, or `authorize` ──▶ looks
 *     action                                                   token ──▶ a header that no form can send ──▶ acts
 *
 * No answer has CORS headers. A page of another site that makes a browser send a request therefore reads nothing, and
 * what it could cause is refused before: by `Sec-Fetch-Site` and `Origin`, and an action also by the token.
 */
import { digestOf, isBearer } from '../../base/digest.ts';
import { LOOPBACK_NAMES } from '../../options/hosts.ts';
import { orUndefined } from '../../base/or-undefined.ts';
import { inHookTime } from '../../session/hook-time.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import type { CheckedDashboard } from './options.ts';
import { type DashboardRequest, failed, type DashboardReply } from './dashboard-request.ts';

const SAME_SITE = new Set(['same-origin', 'none']);
/** The header of an action. A form cannot send it, and a page of another site only after a CORS preflight. */
const ACTION_HEADER = 'sojourn-dashboard';

export class Access {
  readonly #options: ResolvedOptions;
  readonly #given: CheckedDashboard;
  readonly #token: Buffer | undefined;
  readonly #hosts: readonly string[] | undefined;

  constructor(options: ResolvedOptions, given: CheckedDashboard) {
    this.#options = options;
    this.#given = given;
    this.#token = given.token === undefined ? undefined : digestOf(given.token);
    this.#hosts = options.allowedHosts ?? (given.served?.loopback === true ? LOOPBACK_NAMES : undefined);
  }

  /** Whether the token that was sent allows actions. */
  mayAct(request: DashboardRequest): boolean {
    return this.#token !== undefined && isBearer(request.header('authorization'), this.#token);
  }

  /** Why the files of the page are refused; `undefined`: they are served. */
  async refusesPage(request: DashboardRequest): Promise<DashboardReply | undefined> {
    const wrong = this.#refusesHost(request);
    if (wrong !== undefined || this.#given.token !== undefined) return wrong;
    return (await this.#isAuthorized(request)) ? undefined : unknownCaller();
  }

  /** Why a request that only reads is refused. */
  async refusesLook(request: DashboardRequest): Promise<DashboardReply | undefined> {
    const wrong = this.#refusesHost(request) ?? refusesSite(request);
    if (wrong !== undefined || this.mayAct(request)) return wrong;
    return (await this.#isAuthorized(request)) ? undefined : unknownCaller();
  }

  /** Why an action is refused. */
  refusesAction(request: DashboardRequest): DashboardReply | undefined {
    const wrong = this.#refusesHost(request) ?? refusesSite(request);
    if (wrong !== undefined) return wrong;
    if (this.#token === undefined)
      return failed(403, 'no_token', 'No action is possible here: this dashboard was mounted without a token');
    if (!this.mayAct(request)) return unknownCaller();
    if (request.header(ACTION_HEADER) === '1') return undefined;
    return failed(403, 'header', 'An action needs the header Sojourn-Dashboard: 1');
  }

  #refusesHost(request: DashboardRequest): DashboardReply | undefined {
    const { repeated } = request;
    if (repeated !== undefined) return failed(400, 'repeated', `The request has more than one ${repeated} field`);
    const host = request.header('host');
    if (this.#hosts === undefined || this.#hosts.includes(hostName(host))) return undefined;
    return failed(403, 'host', 'This host is not allowed here (allowedHosts)');
  }

  async #isAuthorized(request: DashboardRequest): Promise<boolean> {
    const { authorize } = this.#given;
    if (authorize === undefined) return false;
    const hook = { hook: 'authorize of the dashboard', sessionId: undefined };
    try {
      // Only `true` allows: a function that returns a user's name by mistake grants nothing.
      return (await inHookTime(this.#options, hook, Promise.resolve(authorize(request.view)))) === true;
    } catch (err) {
      this.#options.logger.warn({ err }, 'authorize of the dashboard threw: the request is refused');
      return false;
    }
  }
}

const unknownCaller = (): DashboardReply =>
  failed(401, 'token', 'The dashboard needs its token', { 'WWW-Authenticate': 'Bearer realm="sojourn dashboard"' });

/** Browsers say which site made them send a request. A page of another one reads no answer, and causes nothing. */
function refusesSite(request: DashboardRequest): DashboardReply | undefined {
  const site = request.header('sec-fetch-site');
  const origin = request.header('origin');
  const isForeign = (site !== undefined && !SAME_SITE.has(site)) || (origin !== undefined && !isSame(origin, request));
  return isForeign ? failed(403, 'origin', 'The request comes from a page of another origin') : undefined;
}

/** The scheme is not compared: a proxy may end TLS. */
function isSame(origin: string, request: DashboardRequest): boolean {
  const url = orUndefined(() => new URL(origin));
  const host = url && orUndefined(() => new URL(`${url.protocol}//${request.header('host') ?? ''}`));
  return url !== undefined && host !== undefined && url.host !== '' && url.host === host.host;
}

/** A name or an address, and a port. */
const HOST = /^([\w.-]+|\[[\da-f:.]+\])(?::\d{0,5})?$/i;

function hostName(header: string | undefined): string {
  return HOST.exec(header ?? '')?.[1]?.toLowerCase() ?? '';
}

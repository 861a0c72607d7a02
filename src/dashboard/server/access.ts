/**
 * Who may look at the dashboard, and act. The files of the page are the same for everybody and tell
 * nothing but how to make a token, so they need none; all that the page shows comes from the API.
 * The address of a request opens nothing: a proxy on the same machine looks like a browser there.
 *
 *     page    one Host field ──▶ an allowed Host
 *     API     the same ──▶ site and Origin ──▶ token
 *     action  the same ──▶ a header that no form can send
 *
 * No answer has CORS headers. A page of another site that makes a browser send a request therefore
 * reads nothing, and what it could cause is refused before: by `Sec-Fetch-Site` and `Origin`, by
 * the token, and by that header.
 */
import { digestOf, isBearer } from '../../base/digest.ts';
import { orUndefined } from '../../base/or-undefined.ts';
import { checkHost } from '../../http/head-checks.ts';
import type { CheckedDashboard } from './options.ts';
import { type DashboardReply, type DashboardRequest, failed } from './faces.ts';

const SAME_SITE = new Set([undefined, 'same-origin', 'none']);
/** The header of an action. A form cannot send it, and a page of another site only after a CORS preflight. */
const ACTION_HEADER = 'sojourn-dashboard';
const BEARER = { 'WWW-Authenticate': 'Bearer realm="sojourn dashboard"' };

export class Access {
  readonly #token: Buffer;
  readonly #hosts: readonly string[] | undefined;

  constructor(allowedHosts: readonly string[] | undefined, { token, served }: CheckedDashboard) {
    this.#token = digestOf(token);
    // The names of loopback stay: the page has one of them where the endpoint itself is behind a proxy.
    this.#hosts =
      allowedHosts === undefined ? served?.hosts : [...allowedHosts, ...(served?.hosts ?? [])];
  }

  /** Why the files of the page are refused; `undefined`: they are served. */
  refusesPage({ header, repeated }: DashboardRequest): DashboardReply | undefined {
    if (repeated !== undefined)
      return failed(400, 'repeated', `The header ${repeated} was sent more than once`);
    if (this.#hosts === undefined || checkHost(header('host'), this.#hosts) === undefined)
      return undefined;
    return failed(403, 'host', 'This host is not allowed here (allowedHosts)');
  }

  /** Why a request to the API is refused. */
  refuses(request: DashboardRequest, isAction: boolean): DashboardReply | undefined {
    const wrong = this.refusesPage(request);
    if (wrong !== undefined) return wrong;
    if (isForeign(request))
      return failed(403, 'origin', 'The request comes from a page of another origin');
    if (!isBearer(request.header('authorization'), this.#token))
      return failed(401, 'token', 'The dashboard needs its token', BEARER);
    if (!isAction || request.header(ACTION_HEADER) === '1') return undefined;
    return failed(403, 'header', 'An action needs the header Sojourn-Dashboard: 1');
  }
}

/** Browsers say which site made them send a request. The scheme is not compared: a proxy may end TLS. */
function isForeign({ header }: DashboardRequest): boolean {
  if (!SAME_SITE.has(header('sec-fetch-site'))) return true;
  const origin = header('origin');
  if (origin === undefined) return false;
  const url = orUndefined(() => new URL(origin));
  const host = url && orUndefined(() => new URL(`${url.protocol}//${header('host') ?? ''}`).host);
  return url === undefined || url.host === '' || url.host !== host;
}

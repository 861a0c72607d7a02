/**
 * `--dashboard`: the dashboard at `/dashboard`, on the socket of the endpoint. Without a token of the operator the
 * command makes one, which the workers of a supervisor share. It is printed as a part of the address, behind the `#`
 * that browsers send to no server, and only to a terminal: a file of lines would keep it. Without a terminal the
 * dashboard stays closed until the operator gives a token.
 */
import { isatty } from 'node:tty';
import { internalsOf } from '../endpoint/internals.ts';
import type { McpEndpoint } from '../endpoint/mcp-endpoint.ts';
import { isLoopback } from '../http/listen/exposure.ts';
import { loopbackNames } from '../base/options/hosts.ts';
import { base64url, systemRandom } from '../base/system.ts';
import { UsageError } from './failure.ts';
import type { OriginOf } from './flags.ts';

const PATH = '/dashboard';
const TOKEN_BYTES = 24;
const TOKEN = /^[\x21-\x7e]{16,512}$/;
const STDOUT = 1;

export const makeToken = (): string => base64url(systemRandom(TOKEN_BYTES));

/** What `serveDashboard` needs. `token`: `undefined`: the command makes one. `origin`: what asks for the dashboard. */
export function dashboardSettings(
  wanted: boolean | undefined,
  token: string | undefined,
  path: string,
  originOf: OriginOf,
) {
  if (token !== undefined && !TOKEN.test(token))
    throw new UsageError(
      `${originOf('dashboardToken')} takes 16 characters or more, without blanks; better set it as SOJOURN_DASHBOARD_TOKEN`,
    );
  if (token !== undefined && wanted === undefined)
    throw new UsageError(
      `${originOf('dashboardToken')} needs --dashboard, which serves the dashboard`,
    );
  if (wanted === true && /^\/dashboard\/*$/.test(path))
    throw new UsageError(
      `--path ${path} is where the dashboard is: choose another path, or say --no-dashboard`,
    );
  return wanted === true ? { token, origin: originOf('dashboard') ?? '--dashboard' } : undefined;
}

/** The address, as it is printed. `undefined`: it is not wanted. `made`: the token from the supervisor. */
export function serveDashboard(
  endpoint: McpEndpoint,
  wanted: ReturnType<typeof dashboardSettings>,
  drainMs: number,
  { address: bound, url, clientUrl }: Readonly<Record<'address' | 'url' | 'clientUrl', string>>,
  made = makeToken(),
): string | undefined {
  if (wanted === undefined) return undefined;
  const { token, origin } = wanted;
  const hosts = isLoopback(bound) ? loopbackNames(url) : undefined;
  const mayPrint = isatty(STDOUT);
  if (hosts === undefined && token === undefined && !mayPrint)
    throw new UsageError(
      `${origin}: other machines reach ${bound}, and no terminal shows a token that is made here: set SOJOURN_DASHBOARD_TOKEN`,
    );
  const served = { hosts, endpoint: clientUrl, drainMs };
  const internals = internalsOf(endpoint);
  if (internals !== undefined)
    internals.beside = {
      path: PATH,
      serve: internals.dashboards.mount({ token: token ?? made }, served).node,
    };
  const address = `${new URL(hosts === undefined ? clientUrl : url).origin}${PATH}/`;
  if (token !== undefined) return address;
  return mayPrint ? `${address}#token=${made}` : `${address} (set SOJOURN_DASHBOARD_TOKEN to look)`;
}

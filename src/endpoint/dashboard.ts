/**
 * `endpoint.dashboard()`: checks its options, and loads the dashboard (`dashboard/server/`), which a program that
 * mounts none never loads.
 */
import type { CheckedDashboard, Dashboard, DashboardOptions, ServedDashboard } from '../dashboard/server/options.ts';
import type { DashboardParts } from '../dashboard/server/parts-of-endpoint.ts';
import { optionInvalid, optionsContradict } from '../errors.ts';
import { checkArguments, checkChoice, checkFunction } from '../options/checks.ts';

const SHORTEST_TOKEN = 16;
const PAYLOADS = ['keys', 'values'] as const;

/** What of an endpoint is mounted: it exists before the store is open. */
export interface MountedEndpoint {
  dashboardParts(): DashboardParts;
}

type Loaded = typeof import('../dashboard/server/mounted.ts');

/** What the dashboards of one endpoint share, from the first one on. */
export class Dashboards {
  readonly #endpoint: MountedEndpoint;
  #loading: Promise<readonly [Loaded, InstanceType<Loaded['Collecting']>]> | undefined;

  readonly #mounted: Promise<{ readonly handler: InstanceType<Loaded['Mounted']> }>[] = [];

  constructor(endpoint: MountedEndpoint) {
    this.#endpoint = endpoint;
  }

  /** The endpoint closes. */
  async stop(): Promise<void> {
    for (const mounted of this.#mounted) (await mounted).handler.stop();
    const [, collecting] = (await this.#loading) ?? [];
    collecting?.stop();
  }

  /** `served`: from the command line, which knows where the endpoint listens. */
  mount(given: DashboardOptions | undefined, served?: ServedDashboard): Dashboard {
    const checked = checkDashboard(given, served);
    const mounted = this.#load().then(([loaded, collecting]) => ({
      loaded,
      handler: new loaded.Mounted(collecting, checked),
    }));
    // A request tells it.
    mounted.catch(() => {});
    this.#mounted.push(mounted);
    return {
      fetch: async (request) => {
        const { loaded, handler } = await mounted;
        return loaded.serveFetch(handler, request);
      },
      node: (req, res) => {
        mounted
          .then(({ loaded, handler }) => loaded.serveNode(handler, req, res))
          .catch(() => {
            if (!res.headersSent) res.statusCode = 500;
            res.end();
          });
      },
    };
  }

  #load(): Promise<readonly [Loaded, InstanceType<Loaded['Collecting']>]> {
    return (this.#loading ??= import('../dashboard/server/mounted.ts').then(
      (loaded) => [loaded, new loaded.Collecting(this.#endpoint.dashboardParts())] as const,
    ));
  }
}

function checkDashboard(given: DashboardOptions | undefined, served: ServedDashboard | undefined): CheckedDashboard {
  if (given !== undefined) checkArguments('dashboard', given, ['token', 'authorize', 'traceUrl', 'payloads'], 'token');
  const { token, authorize, traceUrl, payloads = false } = given ?? {};
  if (token === undefined && authorize === undefined)
    throw optionsContradict('dashboard(): it shows who uses this endpoint, so give a token, or authorize');
  const takes = `a text of ${SHORTEST_TOKEN} characters or more, without blanks`;
  if (token !== undefined && typeof token !== 'string') throw optionInvalid('type', 'token', typeof token, takes);
  // The message of an error must not have it.
  if (token !== undefined && (token.length < SHORTEST_TOKEN || !/^[\x21-\x7e]+$/.test(token)))
    throw optionInvalid('range', 'token', `${token.length} characters`, takes);
  if (authorize !== undefined) checkFunction('authorize', authorize, 'a function (request)');
  if (traceUrl !== undefined && !isTraceUrl(traceUrl))
    throw optionInvalid('range', 'traceUrl', traceUrl, 'a URL of http or https with {traceId} in it');
  return {
    token,
    authorize,
    traceUrl,
    payloads: payloads !== false && checkChoice('payloads', payloads, PAYLOADS),
    served,
  };
}

function isTraceUrl(value: unknown): boolean {
  if (typeof value !== 'string' || !value.includes('{traceId}') || !URL.canParse(value)) return false;
  return ['http:', 'https:'].includes(new URL(value).protocol);
}

/**
 * `endpoint.dashboard()`: checks its options, and loads the dashboard (`dashboard/server/`), which a program that
 * mounts none never loads.
 */
import type {
  CheckedDashboard,
  Dashboard,
  DashboardOptions,
  ServedDashboard,
} from '../dashboard/server/options.ts';
import type { Core } from './core.ts';
import { optionInvalid, optionsContradict } from '../base/errors.ts';
import { checkArguments, got, hidden } from '../base/options/checks.ts';

const SHORTEST_TOKEN = 16;

type Loaded = typeof import('../dashboard/server/mounted.ts');

/** What the dashboards of one endpoint share, from the first one on. */
export class Dashboards {
  readonly #core: Core;
  #loading: Promise<readonly [Loaded, InstanceType<Loaded['Collected']>]> | undefined;

  /** Its store need not be open. */
  constructor(core: Core) {
    this.#core = core;
  }

  /** `served`: from the command line, which knows where the endpoint listens. */
  mount(given: DashboardOptions | undefined, served?: ServedDashboard): Dashboard {
    const checked = checkDashboard(given, served);
    const mounted = this.#load().then(([loaded, collected]) => ({
      loaded,
      handler: new loaded.Mounted(collected, checked),
    }));
    // A request tells it.
    mounted.catch(() => {});
    return {
      fetch: async (request) => {
        const { loaded, handler } = await mounted;
        return loaded.serveFetch(handler.handle, request);
      },
      node: (req, res) => {
        mounted
          .then(({ loaded, handler }) => loaded.serveNode(handler.handle, req, res))
          .catch(() => {
            if (!res.headersSent) res.statusCode = 500;
            res.end();
          });
      },
    };
  }

  #load(): Promise<readonly [Loaded, InstanceType<Loaded['Collected']>]> {
    return (this.#loading ??= import('../dashboard/server/mounted.ts').then(
      (loaded) => [loaded, new loaded.Collected(this.#core)] as const,
    ));
  }
}

function checkDashboard(
  given: DashboardOptions | undefined,
  served: ServedDashboard | undefined,
): CheckedDashboard {
  if (given !== undefined) checkArguments('dashboard', given, ['token'], 'token');
  const { token } = given ?? {};
  if (token === undefined)
    throw optionsContradict('dashboard(): it shows who uses this endpoint, so give a token');
  const takes = `a text of ${SHORTEST_TOKEN} characters or more, without blanks`;
  if (typeof token !== 'string') throw optionInvalid('type', 'token', hidden(token), takes);
  // The message of an error must not have it.
  if (token.length < SHORTEST_TOKEN || !/^[\x21-\x7e]+$/.test(token))
    throw optionInvalid('range', 'token', got(`${token.length} characters`), takes);
  return { token, served };
}

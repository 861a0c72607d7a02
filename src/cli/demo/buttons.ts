/**
 * The buttons of the demo's page. The front answers them, in the process of the demo, because an instance that is
 * killed or frozen answers nothing. They are protected as the actions of every dashboard: `Access` checks host, site,
 * token and header. `sojourn serve` has nothing that answers at these addresses.
 *
 *     GET  /dashboard/api/demo                   `DemoState`
 *     POST /dashboard/api/demo/<name>/<deed>     `Done`; 409: its state does not allow it
 *     GET  /<key>                                leads to the page, with the token: the address that the terminal shows
 */
import { timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { digestOf } from '../../base/digest.ts';
import { Access } from '../../dashboard/server/access.ts';
import { type DashboardHandler, serveNode } from '../../dashboard/server/faces.ts';
import { withSecurity } from '../../dashboard/server/page-files.ts';
import {
  answered,
  type DashboardRequest,
  failed,
  type DashboardReply,
} from '../../dashboard/server/dashboard-request.ts';
import type { DemoDeed, DemoState, Done } from '../../dashboard/wire-pages.ts';
import { resolveOptions } from '../../options/resolve.ts';
import { base64url, systemRandom } from '../../base/system.ts';
import { type Name, NAMES } from './instance-names.ts';

/** The stage, as its page sees it. */
export interface Pressed {
  readonly state: DemoState;
  /** Returns why it cannot be done, if so. */
  press(name: Name, deed: Exclude<DemoDeed, 'away'>): string | undefined;
  takeStoreAway(): string | undefined;
}

const BASE = '/dashboard/api/demo';
/** Short enough for the screen, and more than can be guessed while a demo runs. */
const KEY_BYTES = 6;
const DEEDS: readonly string[] = ['kill', 'freeze', 'unfreeze', 'drain', 'restart'] satisfies readonly DemoDeed[];

export class Buttons implements DashboardHandler {
  /** The path that leads to the page with the token. */
  readonly path = `/${base64url(systemRandom(KEY_BYTES))}`;
  readonly #token: string;
  readonly #access: Access;
  readonly #pressed: Pressed;

  constructor(token: string, pressed: Pressed) {
    const served = { loopback: true, endpoint: undefined, drainMs: 0 };
    const given = { token, authorize: undefined, traceUrl: undefined, payloads: false, served } as const;
    this.#token = token;
    this.#access = new Access(resolveOptions({}), given);
    this.#pressed = pressed;
  }

  /** `false`: it is a request to an instance. */
  serve(req: IncomingMessage, res: ServerResponse): boolean {
    const { url = '/' } = req;
    if (isSame(url, this.path)) {
      const headers = { location: `/dashboard/#token=${this.#token}`, 'cache-control': 'no-store' };
      res.writeHead(307, { ...headers, 'referrer-policy': 'no-referrer' }).end();
      return true;
    }
    if (url !== BASE && !url.startsWith(`${BASE}/`)) return false;
    void serveNode(this, req, res).catch(() => res.destroy());
    return true;
  }

  async handle(request: DashboardRequest): Promise<DashboardReply> {
    return withSecurity(await this.#answer(request));
  }

  async #answer(request: DashboardRequest): Promise<DashboardReply> {
    const [name = '', deed = '', ...more] = request.path.slice(BASE.length + 1).split('/');
    const isAction = deed !== '';
    const wanted = isAction ? 'POST' : 'GET';
    if (request.method !== wanted) return failed(405, 'method', `Use ${wanted}`, { Allow: wanted });
    const refused = isAction ? this.#access.refusesAction(request) : await this.#access.refusesLook(request);
    if (refused !== undefined) return refused;
    if (name === '') return answered(JSON.stringify(this.#pressed.state));
    const isKnown = more.length === 0 && isAction && (isStore(name, deed) || (isName(name) && DEEDS.includes(deed)));
    if (!isKnown) return failed(404, 'unknown', 'Not found');
    const why = isStore(name, deed)
      ? this.#pressed.takeStoreAway()
      : this.#pressed.press(name as Name, deed as Exclude<DemoDeed, 'away'>);
    const done: Done = { done: true };
    return why === undefined ? answered(JSON.stringify(done)) : failed(409, 'state', why);
  }
}

const isStore = (name: string, deed: string): boolean => name === 'store' && deed === 'away';
const isName = (name: string): boolean => (NAMES as readonly string[]).includes(name);

const isSame = (one: string, other: string): boolean => timingSafeEqual(digestOf(one), digestOf(other));

/** What `sojourn serve` serves on the socket of the endpoint: the dashboard. Paths of the endpoint come first. */
import type { IncomingMessage, ServerResponse } from 'node:http';

type Serve = (req: IncomingMessage, res: ServerResponse) => void;

export class OtherPaths {
  readonly #served = new Map<string, Serve>();

  /** From now on `path` and everything below it. */
  add(path: string, serve: Serve): void {
    this.#served.set(path, serve);
  }

  /** `false`: nothing is served there. */
  serve(path: string, req: IncomingMessage, res: ServerResponse): boolean {
    for (const [prefix, serve] of this.#served) {
      if (path !== prefix && !path.startsWith(`${prefix}/`)) continue;
      serve(req, res);
      return true;
    }
    return false;
  }
}

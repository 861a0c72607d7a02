/**
 * Instances of this deployment that serve another server. A client's session may move to any instance of a deployment,
 * so it would find the tools of another server there.
 */
import type { InstanceLease } from '../stores/store.ts';
import type { Logger } from '../base/types.ts';

/** Names that one instance warns of. More of them say nothing new. */
const MOST_NAMES = 10;

const STRANGER =
  'Another server is in this deployment, and their sessions are shared: give each server its own `deployment`';

export class Strangers {
  readonly #deployment: string;
  readonly #logger: Logger;
  readonly #told = new Set<string>();

  constructor(deployment: string, logger: Logger) {
    this.#deployment = deployment;
    this.#logger = logger;
  }

  /** `own`: the name that the server of this instance gives itself. */
  note(own: string, leases: readonly InstanceLease[]): void {
    for (const { id, server } of leases) {
      if (server === undefined || server === own || this.#told.has(server)) continue;
      if (this.#told.size === MOST_NAMES) return;
      this.#told.add(server);
      const fields = { deployment: this.#deployment, server: own, other: server, instance: id };
      this.#logger.warn(fields, STRANGER);
    }
  }
}

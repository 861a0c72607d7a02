/** The load client: autocannon, in the process of the harness. */
// @ts-expect-error: a package without declarations
import autocannon from 'autocannon';

/** What the client sends repeatedly. The id of each request is inserted between `before` and `after`. */
export interface Load {
  readonly port: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly before: string;
  readonly after: string;
}

export interface LoadResult {
  readonly seconds: number;
  readonly p99Ms: number;
}

interface Connection {
  setRequests(requests: readonly object[]): void;
}

interface AutocannonResult {
  readonly '2xx': number;
  readonly non2xx: number;
  readonly errors: number;
  readonly latency: { readonly p99: number };
}

/** A session refuses a second request with a running id, so each connection has ids of its own. */
const BODIES = 64;

/** Rejects where a request failed: its figures would say nothing. */
export async function runLoad(
  { port, headers, before, after }: Load,
  requests: number,
  connections: number,
): Promise<LoadResult> {
  const began = performance.now();
  let first = 1;
  const result = (await autocannon({
    url: `http://127.0.0.1:${port}/mcp`,
    connections,
    amount: requests,
    // It looks so often, in ms, whether it is done.
    sampleInt: 5,
    timeout: 20,
    setupClient(connection: Connection) {
      const bodies = Array.from({ length: BODIES }, (_, n) => `${before}${first + n}${after}`);
      connection.setRequests(bodies.map((body) => ({ method: 'POST', path: '/mcp', headers, body })));
      first += BODIES;
    },
  })) as AutocannonResult;
  const failures = result.non2xx + result.errors;
  if (failures > 0 || result['2xx'] !== requests) throw new Error(`${failures} of ${requests} requests failed`);
  return { seconds: (performance.now() - began) / 1000, p99Ms: result.latency.p99 };
}

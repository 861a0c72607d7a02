/**
 * The module that each instance serves: `sojourn serve counter.js --store sqlite:…`. It passes the notices of its
 * endpoint to the demo, and twice a second the time of its last lease renewal and the latency of its store.
 */
import { hostname } from 'node:os';
import { nameHost } from '../../base/this-process.ts';
import type { McpEndpointContext, McpEndpointOptions } from '../../index.ts';
import { processEnded, showDemo } from '../dashboard.ts';
import { isMessage } from '../worker-messages.ts';
import { createCounter, storeNothing, type StoreNumber } from './counter-tool.ts';
import { NAME_VARIABLE } from './instance-names.ts';
import { endWithParent, tellParent } from './with-parent.ts';

/** Between two reports about the store. */
const REPORT_MS = 500;

/** What an instance reports about its store. */
export interface StoreReport {
  /** ms since its lease was renewed. */
  readonly renewedAgo: number | undefined;
  /** The median latency of the last calls to the store, in ms. */
  readonly storeMs: number | undefined;
}

endWithParent();
// Its name in the leases, as the terminal has it.
nameHost(process.env[NAME_VARIABLE] ?? hostname());
showDemo();
process.on('message', (message) => {
  // Windows has no SIGTERM. There the demo sends this order to drain.
  if (message === 'drain') process.emit('SIGTERM');
  if (isMessage(message, 'ended')) processEnded(message);
});

let renewedAt: number | undefined;
let latencies: number[] = [];
setInterval(() => {
  const storeMs = latencies.toSorted((a, b) => a - b)[latencies.length >> 1];
  latencies = [];
  const renewedAgo = renewedAt === undefined ? undefined : performance.now() - renewedAt;
  tellParent({ report: { renewedAgo, storeMs } satisfies StoreReport });
}, REPORT_MS).unref();

function createServer({ session, serverOptions }: McpEndpointContext) {
  const store: StoreNumber = async (number) => {
    if (session === undefined) return storeNothing(number);
    let stored = 0;
    await session.state.update<number>('number', (before = 0) => Math.max((stored = before), number));
    return stored;
  };
  return createCounter(store, serverOptions);
}

const options: McpEndpointOptions = {
  observe: (notice) => {
    if (notice.kind !== 'storeCall') return tellParent({ notice });
    if (notice.failed) return;
    latencies.push(notice.ms);
    if (notice.operation === 'instances.renew' || notice.operation === 'instances.join') renewedAt = performance.now();
  },
};

export default { factory: createServer, options };

import { hostname } from 'node:os';
import { processStart } from './system.ts';

let served: { readonly served: true } | undefined;

/** This process is `sojourn serve`. */
export function markServed(): void {
  served = { served: true };
}

/** What the lease of an instance says of this process: an `InstanceProcess`. */
export function thisProcess() {
  const { bun, deno, node } = process.versions;
  const runtime = bun !== undefined ? `Bun ${bun}` : deno !== undefined ? `Deno ${deno}` : `Node.js ${node}`;
  return { host: hostname(), pid: process.pid, startedAt: processStart, runtime, ...served };
}

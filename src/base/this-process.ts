import { hostname } from 'node:os';
import { processStart } from './system.ts';

let served: { readonly served: true } | undefined;

/** This process is `sojourn serve`. */
export function markServed(): void {
  served = { served: true };
}

let host = hostname();

/** For tests of several hosts on one machine. */
export function nameHost(name: string): void {
  host = name;
}

/** What the lease of an instance says of this process: an `InstanceProcess`. */
export function thisProcess() {
  const { bun, deno, node } = process.versions;
  const runtime = bun !== undefined ? `Bun ${bun}` : deno !== undefined ? `Deno ${deno}` : `Node.js ${node}`;
  return { host, pid: process.pid, startedAt: processStart, runtime, ...served };
}

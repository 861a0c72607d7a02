import { hostname } from 'node:os';
import { processStart } from '../base/system.ts';
import type { InstanceProcess } from '../stores/store.ts';

let served: { readonly served: true } | undefined;

/** This process is `sojourn serve`. */
export function markServed(): void {
  served = { served: true };
}

let host = hostname();

/** The demo calls its processes by name. */
export function nameHost(name: string): void {
  host = name;
}

/** What the lease of an instance says of this process. */
export function thisProcess(): InstanceProcess {
  const { bun, deno, node } = process.versions;
  const runtime = bun !== undefined ? `Bun ${bun}` : deno !== undefined ? `Deno ${deno}` : `Node.js ${node}`;
  return { host, pid: process.pid, startedAt: processStart, runtime, ...served };
}

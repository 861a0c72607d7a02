import { hostname } from 'node:os';
import { processStart } from './system.ts';

let served: { readonly served: true } | undefined;

/** This process is `sojourn serve`. */
export function markServed(): void {
  served = { served: true };
}

let checked = false;

/** `sojourn check` loads a module now, which must neither listen nor join a deployment. */
export const setChecked = (value: boolean): void => void (checked = value);
export const isChecked = (): boolean => checked;

/** What the lease of an instance says of this process: an `InstanceProcess`. */
export function thisProcess() {
  const { bun, deno, node } = process.versions;
  const runtime =
    bun !== undefined ? `Bun ${bun}` : deno !== undefined ? `Deno ${deno}` : `Node.js ${node}`;
  return { host: hostname(), pid: process.pid, startedAt: processStart, runtime, ...served };
}

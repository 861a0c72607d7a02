/** Names of hosts for endpoints of one process. */
import { hostname } from 'node:os';
import { nameHost } from '../../src/base/this-process.ts';

/** What takes its lease within `work` runs on the host `name`. */
export async function onHost<T>(name: string, work: () => Promise<T>): Promise<T> {
  nameHost(name);
  try {
    return await work();
  } finally {
    nameHost(hostname());
  }
}

/** Names of hosts for endpoints of one process. */
import { syncBuiltinESMExports } from 'node:module';
import os from 'node:os';

const { hostname } = os;

/** What takes its lease within `work` runs on the host `name`. */
export async function onHost<T>(name: string, work: () => Promise<T>): Promise<T> {
  os.hostname = () => name;
  syncBuiltinESMExports();
  try {
    return await work();
  } finally {
    os.hostname = hostname;
    syncBuiltinESMExports();
  }
}

/** The deployment of a run is removed from a store that is a server. A file goes with its folder. */
import { openEndpointStore } from '../../endpoint/endpoint-store.ts';
import { resolveOptions } from '../../base/options/resolve.ts';
import { collectingLogger } from '../records/printing.ts';
import { storeOf } from '../store-url.ts';

export async function forgetDeployment(url: string, deployment: string): Promise<void> {
  const { store, remote } = await storeOf(url, '--store');
  if (!remote) return;
  const options = resolveOptions({ deployment, logger: collectingLogger(new Set()) });
  const opened = await openEndpointStore(store, options);
  try {
    await opened.forgetAll?.();
  } finally {
    await opened.close();
  }
}

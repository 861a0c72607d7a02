/**
 * The store object of a file or a server. The first view opens what all views use, and the close of the last view
 * closes it. `partsOf` makes a view of that; where `open` or `partsOf` fails, the view counts as closed.
 */
import { openView, type ViewParts } from '../kernel/open-view.ts';
import type { MaybePromise, Store, StoreOptions } from '../store.ts';

export function sharedStore<T extends { close(): MaybePromise<void> }>(
  kind: string,
  open: (options: StoreOptions) => Promise<T>,
  partsOf: (resource: T, options: StoreOptions) => MaybePromise<Omit<ViewParts, 'closed'>>,
): Store {
  let opened: Promise<T> | undefined;
  let views = 0;
  /** Once for each view. A view that is made while the last one closes opens the resource again. */
  const closed = async (): Promise<void> => {
    views -= 1;
    if (views > 0) return;
    const last = opened;
    opened = undefined;
    await (await last?.catch(() => undefined))?.close();
  };
  return {
    kind,
    durable: true,
    async open(options) {
      views += 1;
      try {
        const resource = await (opened ??= open(options));
        return openView({ ...(await partsOf(resource, options)), closed }, options);
      } catch (error) {
        await closed();
        throw error;
      }
    },
  };
}

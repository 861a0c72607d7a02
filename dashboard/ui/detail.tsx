/** One session or task that the page asks for again and again, and what is shown while it is not there. */
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { ApiError, get } from '../net/api.ts';
import { Icon } from './icon.tsx';
import { usePolled } from './polled.ts';

interface Detail<T> {
  readonly loaded: T | 'unknown' | undefined;
  readonly failure: string | undefined;
  reload(): void;
}

/** `everyMs`: how often it is asked for, by what was heard last. */
export function useDetail<T>(path: string, everyMs: (loaded: Detail<T>['loaded']) => number): Detail<T> {
  const [loaded, setLoaded] = useState<Detail<T>['loaded']>(undefined);
  const [failure, setFailure] = useState<string | undefined>(undefined);
  const load = async (): Promise<void> => {
    try {
      setLoaded(await get<T>(path));
      setFailure(undefined);
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) setLoaded('unknown');
      else setFailure(error instanceof Error ? error.message : String(error));
    }
  };
  const ms = everyMs(loaded);
  usePolled(load, ms, `${path} ${ms}`);
  return { loaded, failure, reload: () => void load() };
}

export function DetailFrame({
  of: { loaded, failure },
  children,
}: {
  of: Pick<Detail<unknown>, 'loaded' | 'failure'>;
  children: ComponentChildren;
}) {
  return (
    <>
      {failure !== undefined && (
        <p class="banner bad" role="status">
          <Icon name="gone" /> {failure} {loaded !== undefined && 'What you see is older.'}
        </p>
      )}
      {loaded === undefined && failure === undefined && <p class="none">Asks the store and the instances…</p>}
      {children}
    </>
  );
}

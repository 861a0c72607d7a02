/** Loads again while a view is open, seen, connected and not paused. */
import { useEffect } from 'preact/hooks';
import { connection, paused } from '../state/model.ts';

const EVERY_MS = 2_000;

/** `load` never rejects. One ends before the next begins. */
export function usePolled(load: () => Promise<void>, everyMs = EVERY_MS, key = ''): void {
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let isOpen = true;
    const next = async (isFirst: boolean): Promise<void> => {
      const isShown = !document.hidden && !paused.peek() && connection.peek().state === 'live';
      if (isShown || isFirst) await load();
      if (isOpen) timer = setTimeout(() => void next(false), everyMs);
    };
    void next(true);
    return () => {
      isOpen = false;
      clearTimeout(timer);
    };
  }, [key]);
}

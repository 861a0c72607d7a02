/** Calls the option `observe` with the notices that are public. */
import { guardedCall } from '../base/guarded-call.ts';
import type { Logger } from '../types.ts';
import type { EmittedNotice, Notice, Notices } from './notices.ts';

/** Called in the turn in which something happens. What it returns is ignored. */
export type Observe = (notice: Notice) => unknown;

/** What `observe` throws or rejects with ends here. */
export function observeNotices(notices: Notices, observe: Observe, logger: Logger): void {
  const failed = (cause: unknown): void => logger.warn({ err: cause }, 'observe threw');
  const tell = (notice: EmittedNotice): void => {
    if (notice.kind === 'request' || notice.kind === 'handlerThrew') return;
    guardedCall(() => observe(publicNotice(notice)), failed);
  };
  notices.listen(tell);
}

/** A copy, because the notice reaches other listeners too. */
function publicNotice(notice: Exclude<EmittedNotice, { readonly kind: 'request' | 'handlerThrew' }>): Notice {
  if (notice.kind !== 'refused') return { ...notice };
  const { watched: _, exchange: __, ...refused } = notice;
  return refused;
}

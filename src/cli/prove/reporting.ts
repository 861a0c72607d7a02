/** What an instance of `sojourn prove` tells it: which tools run, what they answered, and how long its loop was blocked. */
import { callsTool } from '../../base/protocol/methods.ts';
import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { isObject } from '../../base/protocol/jsonrpc.ts';
import type { Middleware } from '../../base/options/middleware.ts';
import { DEFAULTS } from '../../base/options/table.ts';
import { loadQuietly } from '../quiet-module.ts';
import type { ServerSource } from '../server-module.ts';
import { forgetDeployment } from './forget.ts';
import { PROVED } from './proved.ts';

/** The member of `_meta` with the number of the call. */
export const CALL_META = 'sojourn/prove';
/** Until both instances have heard that `sojourn prove` is dead. */
const HEARD_MS = 300;
/** Between two looks at the clock. */
export const LOOK_MS = 200;

export type Report =
  | { readonly prove: 'began'; readonly call: string; readonly tool: string }
  | {
      readonly prove: 'ended';
      readonly call: string;
      readonly tool: string;
      /** A hash of the answer. `undefined`: none, or it asks for input. */
      readonly answer: string | undefined;
      readonly isError: boolean;
      readonly asks: boolean;
    }
  | { readonly prove: 'blocked'; readonly ms: number };

/** The same source. Its server reports what it runs. */
export function reporting(source: ServerSource, self: NodeJS.Process): ServerSource {
  delete self.env[PROVED];
  const { SOJOURN_STORE: url = '', SOJOURN_DEPLOYMENT: deployment = '' } = self.env;
  self.once('disconnect', () => void outlive(self, url, deployment));
  const report: Tell = (one) => void self.send?.(one, undefined, undefined, () => {});
  return {
    name: source.name,
    async load(loading) {
      const { options, ...loaded } = await loadQuietly(source, loading);
      const { use = [], leaseMs = DEFAULTS.leaseMs } = options;
      watchLoop((2 * leaseMs) / 3, report);
      return {
        ...loaded,
        options: { ...options, use: [{ middleware: reportsRuns(report) }, ...use] },
      };
    },
  };
}

/**
 * The process of `sojourn prove` is dead, and this one has a second. The other instance may write until it hears of it,
 * so what it writes is removed, too.
 */
async function outlive(self: NodeJS.Process, url: string, deployment: string): Promise<void> {
  self.removeAllListeners('SIGTERM').on('SIGTERM', () => {});
  const forget = (): Promise<void> => forgetDeployment(url, deployment).catch(() => {});
  await forget();
  await delay(HEARD_MS);
  await forget();
  self.exit();
}

type Tell = (report: Report) => void;

/** A frozen process is late, too. */
function watchLoop(mostMs: number, report: Tell): void {
  let looked = performance.now();
  setInterval(() => {
    const [before, now] = [looked, performance.now()];
    looked = now;
    if (now - before > mostMs) report({ prove: 'blocked', ms: Math.round(now - before) });
  }, LOOK_MS).unref();
}

const reportsRuns =
  (report: Tell): Middleware =>
  async (request, next) => {
    const meta = request.params?.['_meta'];
    const call = isObject(meta) ? meta[CALL_META] : undefined;
    const { name: tool } = request;
    if (!callsTool(request.method) || tool === undefined || typeof call !== 'string') return next();
    report({ prove: 'began', call, tool });
    const end = { prove: 'ended', call, tool } as const;
    try {
      const answer = await next();
      const { content, structuredContent, isError, resultType } = answer.result ?? {};
      const hash = createHash('sha1').update(JSON.stringify([content, structuredContent]) ?? '');
      const asks = resultType === 'input_required';
      report({
        ...end,
        asks,
        isError: isError === true || answer.error !== undefined,
        answer: asks || answer.error !== undefined ? undefined : hash.digest('hex'),
      });
      return answer;
    } catch (error) {
      report({ ...end, asks: false, isError: true, answer: undefined });
      throw error;
    }
  };

/**
 * What the endpoints of a test do at this moment, for a test that waits in vain: each instance with its lease, its
 * sessions with their running calls, and what the code waits for. `waits.ts` prints it.
 */
import { Core } from '../../src/endpoint/core.ts';
import { sessionHash } from '../../src/base/shown.ts';
import type { LiveSession } from '../../src/session/session.ts';
import { forgetLinks, silentLinks } from './awaited.ts';
import { explainsWaits } from './endpoints-now.ts';

const SESSIONS = 20;

/** In the order in which they were made. */
const cores = new Set<Core>();

const { open } = Core.prototype;
Core.prototype.open = function (this: Core): ReturnType<typeof open> {
  cores.add(this);
  return open.call(this);
};

explainsWaits({
  describe: () => [...[...cores].map(describe), ...silentLinks()].join('\n'),
  forget: () => {
    cores.clear();
    forgetLinks();
  },
});

function describe(core: Core, n: number): string {
  const { registry, instance, legacy, shutdown, options } = core;
  const { state, store, reason = '' } = core.health();
  const { id, valid, remainingMs } = instance.lease;
  const sessions = [...registry.values()];
  const busy = sessions.filter(({ calls }) => calls.running.size > 0);
  return [
    `instance ${n + 1} (${id}): ${state}, store ${store} ${reason}`,
    `  lease: ${valid ? `valid for ${Math.round(remainingMs ?? Infinity)} ms` : 'none'}`,
    `  owns ${sessions.length} sessions; ${legacy.running} requests open or look for one, ${legacy.waiting.size} wait, ` +
      `${shutdown.sessionless} run without one`,
    ...busy.slice(0, SESSIONS).flatMap((session) => callsOf(session, options.timeProvider.now())),
  ].join('\n');
}

function callsOf(session: LiveSession, now: number): string[] {
  const calls = session.calls.running.values().map(({ id, method, stream, sent }) => {
    const name = String(sent?.params?.['name'] ?? '');
    const reader =
      stream === undefined ? 'no stream' : `reader ${stream.hasOpenSink ? 'open' : 'gone'}`;
    return `    ${method} ${name} (id ${String(id)}): runs, ${reader}`;
  });
  const { ownership, id, createdAt } = session;
  const claim = ownership.claimsSettled === undefined ? 'claimed' : 'its claim has not ended';
  return [`  session ${sessionHash(id)}: ${claim}, ${now - createdAt} ms old`, ...calls];
}
